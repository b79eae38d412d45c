# teach from end to end on a small synthetic data set: results, exact resume after SIGINT and after kill -9, errors.
set -u
# Waiting threads sleep: on a busy machine spinning ones take minutes for these tiny batches.
export OMP_WAIT_POLICY=passive
teach="$SACCADE_BIN/teach"
synth="$SACCADE_BIN/synth"
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

rm -rf data a b c d bad
"$synth" -o data --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 24 --walkers 5 --seed 3 --quiet \
    || { echo "SKIPPED: synth failed"; exit 77; }
common=(--dataset data --min-area 12 --crop-size 16 --batch 8 --epochs 2 --samples-per-epoch 48
    --validation-samples 16 --seed 5 --threads 2)

# An uninterrupted run.
"$teach" "${common[@]}" -o a --overlay "Test001=a.mp4" --report a.html >table.txt 2>log.txt || { cat log.txt; fail "plain run"; }
grep -q "causal" table.txt || fail "no table of AUCs"
for f in store.json objects.csv teacher.safetensors metrics.csv Train001.16x16.npy Train002.4x4.npy Test001.1x1.npy; do
    [ -s "a/$f" ] || fail "a/$f is missing"
done
[ -s a.mp4 ] || fail "no overlay"
grep -q '</html>' a.html && grep -q 'Task: ' a.html || fail "no report, or not a whole one"
[ -e a/work ] && fail "intermediate files were left"
[ "$(ls a | grep -c tmp)" = 0 ] || fail "temporary files were left"
[ "$(wc -l <a/metrics.csv)" = 3 ] || fail "metrics.csv has not one row per epoch"

# Presets change defaults; what is given wins.
grep -qF "default deep-wide" <<<"$("$teach" --preset paper --help | grep -A1 -e "--backbone")" || fail "preset paper has another backbone"
grep -qF "default 32" <<<"$("$teach" --preset=hour --help | grep -A1 -e "--crop-size")" || fail "preset hour has other crops"
expect 2 "standard, fast, hour, paper" "$teach" --preset nonsense "${common[@]}" -o bad
expect 2 "distillation needs a network" "$teach" "${common[@]}" --tasks arrow,distillation -o bad
rm -rf bad

# Stopped and killed again and again, resumed each time: the same weights, objects and maps.
same() {
    for f in objects.csv Train001.16x16.npy Train002.16x16.npy Test001.16x16.npy Test001.4x4.npy Test001.1x1.npy; do
        cmp -s "a/$f" "$1/$f" || fail "$1/$f differs from the uninterrupted run"
    done
}
"$teach" "${common[@]}" -o b --checkpoint-minutes 0 2>log.txt &
pid=$!
for _ in $(seq 400); do [ -e b/work/checkpoint.safetensors ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
code=$?
[ $code = 130 ] || [ -e b/store.json ] || { fail "exit $code after SIGINT"; cat log.txt; }
[ $code = 130 ] && { grep -q "interrupted" log.txt || fail "no word about the interruption"; }
"$teach" "${common[@]}" -o b --resume >/dev/null 2>log.txt || { cat log.txt; fail "resume after SIGINT"; }
same b

"$teach" "${common[@]}" -o c --checkpoint-minutes 0 >/dev/null 2>&1 &
pid=$!
for round in 1 2 3 4 5 6; do
    for _ in $(seq 400); do [ -e c/work/checkpoint.safetensors ] && break; sleep 0.05; done
    sleep 0.3
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e c/store.json ] && break
    "$teach" "${common[@]}" -o c --resume --checkpoint-minutes 0 >/dev/null 2>&1 &
    pid=$!
    sleep 0.5
done
wait $pid 2>/dev/null
[ -e c/store.json ] || "$teach" "${common[@]}" -o c --resume >/dev/null 2>log.txt || { cat log.txt; fail "resume after kill -9"; }
same c

# A finished or unfinished folder is not overwritten by accident.
expect 2 "add --overwrite" "$teach" "${common[@]}" -o a
expect 0 "finished" "$teach" "${common[@]}" -o a --resume
mkdir -p d/work
expect 2 "unfinished run" "$teach" "${common[@]}" -o d
expect 2 "exclude each other" "$teach" "${common[@]}" -o d --resume --overwrite
# Other settings than those of the run to be continued.
cp -r a d/old
"$teach" "${common[@]}" -o e --checkpoint-minutes 0 >/dev/null 2>&1 &
pid=$!
for _ in $(seq 400); do [ -e e/work/checkpoint.safetensors ] && break; sleep 0.05; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
if [ ! -e e/store.json ]; then
    expect 1 "settings" "$teach" "${common[@]}" --learning-rate 0.01 -o e --resume
    printf 'x' >e/work/checkpoint.safetensors
    expect 1 "checkpoint.safetensors" "$teach" "${common[@]}" -o e --resume
fi
"$teach" "${common[@]}" -o e --overwrite >/dev/null 2>log.txt || { cat log.txt; fail "overwrite"; }
same e

# Names need not be UTF-8.
rm -rf $'sc\xe9ne' $'m\xe4ps'
cp -r data $'sc\xe9ne'
"$teach" "${common[@]}" --dataset $'sc\xe9ne' -o $'m\xe4ps' --json >table.json 2>log.txt ||
    { cat log.txt; fail "a name that is not UTF-8"; }
grep -qF $'"output": "m\xef\xbf\xbdps"' table.json || fail "$(head -c 300 table.json)"
grep -qF $'"name": "sc\xef\xbf\xbdne"' $'m\xe4ps/store.json' || fail "the data set's name in store.json"

# Bad input.
expect 2 "--dataset" "$teach" -o x
expect 2 "--output" "$teach" --dataset data
expect 1 "nowhere" "$teach" --dataset nowhere -o x
expect 2 "known detectors" "$teach" "${common[@]}" --detector yolo -o x
expect 1 "nowhere.csv" "$teach" "${common[@]}" --detector boxes:nowhere.csv -o x
printf 'clip,frame,x1,y1,x2,y2\nTrain001,1,1,1,9,9\n' >few.csv
expect 1 "clip Train002" "$teach" "${common[@]}" --detector boxes:few.csv -o x --overwrite
printf 'clip,frame,x1,y1,x2,y2\nTrain001,99,1,1,9,9\n' >late.csv
expect 1 "24 frames" "$teach" "${common[@]}" --detector boxes:late.csv -o x --overwrite
expect 2 "multiple of 8" "$teach" "${common[@]}" --crop-size 20 -o x --overwrite
expect 2 "CLIP=FILE" "$teach" "${common[@]}" --overlay Test001 -o x --overwrite
expect 2 "--epochs" "$teach" "${common[@]}" --epochs 0 -o x
[ -e x/store.json ] && fail "a failed run left a store.json"
if [ "$(id -u)" != 0 ]; then
    mkdir -p locked && chmod 500 locked
    expect 1 "locked" "$teach" "${common[@]}" -o locked/x
    chmod 700 locked
fi
expect 1 "/proc/nowhere" "$teach" "${common[@]}" -o /proc/nowhere
[ $failures = 0 ] && echo "all teach checks passed"
exit $((failures > 0))
