# teach with the attribute family and with ensembles on a small synthetic data set: results, trained teachers taken
# from files and stores, distillation from an ensemble, errors.
set -u
export OMP_WAIT_POLICY=passive
teach="$SACCADE_BIN/teach"
synth="$SACCADE_BIN/synth"
distill="$SACCADE_BIN/distill"
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# expect CODE 'TEXT' command...: exit code and a part of stderr.
expect() {
    local code=$1 text=$2 got=0
    shift 2
    "$@" >out.txt 2>err.txt || got=$?
    [ "$got" = "$code" ] || { fail "exit $got instead of $code: $*"; cat err.txt; }
    grep -qF -- "$text" err.txt || { fail "stderr lacks '$text': $*"; cat err.txt; }
}
same() {
    for f in objects.csv Train001.16x16.npy Test001.16x16.npy Test001.4x4.npy Test001.1x1.npy; do
        cmp -s "$1/$f" "$2/$f" || fail "$1/$f differs from $2/$f"
    done
}

rm -rf data a b c d e f g h i j k x y run vectors elsewhere
"$synth" -o data --width 96 --height 64 --train-clips 3 --test-clips 1 --frames 40 --walkers 5 --seed 3 --quiet \
    || { echo "SKIPPED: synth failed"; exit 77; }
groups=velocity,orientation,place,size,rest,appearance
common=(--dataset data --min-area 12 --seed 5 --threads 2 --quiet)

"$teach" "${common[@]}" --teacher attributes --bank 200 --attributes "$groups" -o a >table.txt || fail "attributes"
for task in velocity orientation place size rest appearance; do
    grep -q "^| $task " table.txt || { fail "no row for $task"; cat table.txt; }
done
head -1 a/objects.csv | grep -q ",score,velocity,orientation" || fail "columns of objects.csv"
grep -q '"attributes"' a/store.json || fail "provenance has no attributes"
grep -q '"crop-size"' a/store.json && fail "provenance holds options of another family"
[ "$(stat -c %s a/teacher.safetensors)" -lt 700000 ] || fail "the teacher file is large"
# Once more, and from the file: the same maps.
"$teach" "${common[@]}" --teacher attributes --bank 200 --attributes "$groups" -o b >/dev/null || fail "attributes again"
same b a
"$teach" "${common[@]}" --from a/teacher.safetensors -o c >/dev/null || fail "from a file"
same c a
"$teach" "${common[@]}" --from a -o d >/dev/null || fail "from a store"
same d a
grep -q '"trained"' d/store.json || fail "provenance of the trained teacher is lost"
# Other detection settings are said.
expect 0 "min-area" "$teach" "${common[@]}" --min-area 14 --from a -o x
rm -rf x
# Nested boxes are dropped as they were for the teacher, by teachers of before there was the option not at all.
grep -q '"drop-nested": 0.8' a/store.json || fail "provenance lacks the part of nested boxes"
"$teach" "${common[@]}" --teacher attributes --attributes velocity --drop-nested 0.5 -o x >/dev/null || fail "nested"
"$teach" "${common[@]}" --from x -o y >/dev/null 2>err.txt || fail "from a teacher with nested boxes"
[ "$(grep -c '"drop-nested": 0.5' y/store.json)" = 2 ] || fail "the teacher's part of nested boxes was not taken"
grep -q "drop-nested" err.txt && fail "a difference in nested boxes that is none: $(cat err.txt)"
LC_ALL=C sed 's/drop-nested/drop-nestex/g' x/teacher.safetensors >old.safetensors
"$teach" "${common[@]}" --from old.safetensors -o y --overwrite >/dev/null || fail "from an old teacher"
grep -q '"drop-nested": 0.0' y/store.json || fail "an old teacher's boxes were dropped"
expect 0 "trained with --drop-nested 0, here it is 0.8" "$teach" "${common[@]}" --from old.safetensors --drop-nested 0.8 \
    -o y --overwrite
rm -rf x y
expect 1 "nowhere" "$teach" "${common[@]}" --from nowhere -o x
printf 'x' >broken.safetensors
expect 1 "broken.safetensors" "$teach" "${common[@]}" --from broken.safetensors -o x
expect 2 "--attributes" "$teach" "${common[@]}" --teacher attributes --attributes speed -o x --overwrite

# Interrupted while scoring, resumed.
"$teach" "${common[@]}" --teacher attributes --bank 200 --attributes "$groups" -o g >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do [ -e g/work/detections.safetensors ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ -e g/store.json ] || "$teach" "${common[@]}" --teacher attributes --bank 200 --attributes "$groups" -o g --resume >/dev/null || fail "resume"
same g a

# An ensemble of two, its file alone, and a student of it.
"$teach" "${common[@]}" --teacher attributes --attributes place --bank 100 -o e >/dev/null || fail "place"
"$teach" "${common[@]}" --teacher ensemble --members "all=a,place=e:0.5" -o f >table.txt || fail "ensemble"
grep -q "^| place " table.txt || { fail "no row for a member"; cat table.txt; }
cp f/teacher.safetensors alone.safetensors
"$teach" "${common[@]}" --from alone.safetensors -o x --overwrite >/dev/null || fail "ensemble from a file"
for f in Test001.16x16.npy Test001.1x1.npy; do cmp -s "x/$f" "f/$f" || fail "x/$f differs from the ensemble"; done
# Mistakes in a family's options are said before the data set is opened or an older run is given up.
expect 2 "--members" "$teach" "${common[@]}" --teacher ensemble -o y
expect 2 "different names of a-z, 0-9, '_' and '-'" "$teach" --dataset nowhere --teacher ensemble --members $'all=a,\xe4=e' -o y
expect 2 "different names of a-z, 0-9, '_' and '-'" "$teach" "${common[@]}" --teacher ensemble --members $'all=a,\xe4=e' -o f --overwrite
expect 2 "'colour' is unknown" "$teach" "${common[@]}" --teacher attributes --attributes colour -o f --overwrite
expect 2 "'deep' needs an image network" "$teach" "${common[@]}" --teacher attributes --attributes deep -o f --overwrite
expect 2 "unknown task 'sleep'" "$teach" "${common[@]}" --tasks sleep -o f --overwrite
expect 2 "task pose needs a network" "$teach" "${common[@]}" --tasks middle,pose -o f --overwrite
expect 2 "multiple of 8" "$teach" "${common[@]}" --crop-size 20 -o f --overwrite
expect 2 "multiple of 8" "$teach" "${common[@]}" --teacher background-agnostic --agnostic-crop-size 20 -o f --overwrite
[ -e f/store.json ] || fail "a refused command gave up the maps that were there"
[ ! -e y ] || fail "a refused command left a folder"
expect 1 "another data set" bash -c "sed 's/\"fingerprint\": \"./\"fingerprint\": \"x/' a/store.json >s && cp s a/store.json && \
    '$teach' --dataset data --min-area 12 --quiet --teacher ensemble --members a=a,b=e -o y --overwrite"
expect 1 "same boxes" "$teach" --dataset data --min-area 20 --quiet --teacher ensemble --members b=e,c=d -o y --overwrite

# Deep features of a small generated network: a store, its file alone, an ensemble, and a network that has gone.
cat >tiny.cfg <<'CFG'
[net]
width=16
height=16
channels=3
[convolutional]
filters=6
size=3
stride=2
pad=1
activation=leaky
[avgpool]
CFG
# Version 0.2 and 6 + 6 * 27 numbers between -0.5 and 0.5, written as f32 in hexadecimal.
{
    printf '\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
    for i in $(seq 168); do
        # Sign and some of the mantissa vary: -0.25 .. -0.5 and 0.25 .. 0.5.
        printf "\\x00\\x00\\x$(printf %02x $((128 + i * 37 % 128)))\\x$([ $((i * 7 % 3)) = 0 ] && echo be || echo 3e)"
    done
} >tiny.weights
deep=(--teacher attributes --attributes velocity,deep --bank 200 --deep-features darknet:tiny.cfg:tiny.weights)
"$teach" "${common[@]}" "${deep[@]}" --detections-cache vectors -o h >table.txt || fail "deep features"
grep -q "^| deep " table.txt || { fail "no row for deep"; cat table.txt; }
[ "$(ls vectors | grep -c '^deep\.')" = 4 ] || fail "the cache holds $(ls vectors)"
grep -q '"network": "darknet:tiny.cfg:tiny.weights"' h/store.json || fail "provenance has no network"
"$teach" "${common[@]}" "${deep[@]}" -o i >/dev/null || fail "deep features without a cache"
same i h
"$teach" "${common[@]}" --from h -o x --overwrite >/dev/null || fail "deep features from a store"
same x h
"$teach" "${common[@]}" --teacher ensemble --members "deep=h,place=e" -o j >/dev/null || fail "ensemble with deep features"
mkdir -p elsewhere
mv tiny.weights elsewhere/
expect 1 "--deep-features" "$teach" "${common[@]}" --from h -o x --overwrite
expect 1 "tiny.weights" "$teach" "${common[@]}" --from j/teacher.safetensors -o x --overwrite
"$teach" "${common[@]}" --from h --deep-features darknet:tiny.cfg:elsewhere/tiny.weights -o x --overwrite >/dev/null ||
    fail "deep features from elsewhere"
same x h
"$teach" "${common[@]}" --from j/teacher.safetensors --deep-features darknet:tiny.cfg:elsewhere/tiny.weights -o x \
    --overwrite >/dev/null || fail "an ensemble's deep features from elsewhere"
for f in Test001.16x16.npy Test001.1x1.npy; do cmp -s "x/$f" "j/$f" || fail "x/$f differs from the ensemble's"; done
expect 2 "torch" "$teach" "${common[@]}" "${deep[@]}" --deep-preprocess torch -o y --overwrite
# Maps of the test clips only: enough for a table, and said when something else is wanted from it.
"$teach" "${common[@]}" --teacher attributes --attributes place --bank 100 --no-training-maps -o k >/dev/null ||
    fail "maps of test clips only"
[ -e k/Test001.16x16.npy ] && [ ! -e k/Train001.16x16.npy ] || fail "clips of k: $(ls k)"
cmp -s k/Test001.16x16.npy e/Test001.16x16.npy || fail "maps without those of training clips differ"
expect 1 "Train001" "$teach" "${common[@]}" --teacher ensemble --members "a=k,b=e" -o y --overwrite

if [ -x "$distill" ]; then
    "$distill" --dataset data --teacher both=f -o run --epochs 1 --pseudo 1 --batch 2 --samples-per-epoch 8 --quiet \
        --width 96 --height 64 >out.txt 2>err.txt || { cat err.txt; fail "distill from an ensemble"; }
fi
[ $failures = 0 ] && echo "all checks of teacher families passed"
exit $((failures > 0))
