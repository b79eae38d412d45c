# student-bench suite and pareto from end to end on a synthetic data set: rows and seeds, reuse, interruption and resume, a
# row that fails, tables and pictures; then accuracy against speed of the students it made.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
bench=$SACCADE_BIN/student-bench
run 0 "$SACCADE_BIN/synth" -o set --width 128 --height 96 --train-clips 2 --test-clips 2 --frames 24 --walkers 6 -q
run 0 "$SACCADE_BIN/teach" --dataset set -o maps -t 1 --crop-size 16 --epochs 1 --samples-per-epoch 32 \
    --validation-samples 16 --batch 16 -q

cat >rows.json <<'ROWS'
{"arguments": {"width": 48, "height": 32, "batch": 8, "epochs": 2, "samples-per-epoch": 16},
 "rows": [{"name": "base", "seeds": 2, "arguments": {"pseudo": 1, "quantise": true, "quantise-epochs": 1}},
          {"name": "No altered clips!", "group": "data", "teachers": ["m"], "arguments": {"pseudo": 0}}]}
ROWS
plain=("$bench" suite -d set --teacher m=maps:0.5 -t 1 --rounds 1 --seconds 0.02)
suite=("${plain[@]}" -o ablation --rows rows.json)

run 0 "$bench" suite --help
has out '{"arguments": {"epochs": 10},'
# ---- a whole suite ------------------------------------------------------------------------------------------------

run 0 "${suite[@]}" --list
has out "base, seed 1: to do"
has out "--pseudo=1"
has out "2 rows, 3 runs"
[ ! -e ablation ] || fail "--list wrote something"

run 0 "${suite[@]}"
has out "| base | 2 | "
has out "| No altered clips! | 1 | "
has out "±"
has err "'base', seed 2: micro AUC"
for name in results.json results.csv results.md results.svg results.png; do
    [ -s ablation/$name ] || fail "no $name"
done
head -n 1 ablation/results.md | grep -q ' saccade [0-9].*, load' || fail "no machine in results.md: $(head -n 1 ablation/results.md)"
[ "$(wc -l <ablation/results.csv)" = 3 ] || fail "$(cat ablation/results.csv)"
[ "$(ls ablation/runs | wc -l)" = 3 ] || fail "$(ls ablation/runs)"
ls ablation/runs | grep -q '^no-altered-clips-s1-[0-9a-f]\{8\}$' || fail "$(ls ablation/runs)"
[ -z "$(find ablation -name '*.tmp-*')" ] || fail "$(find ablation -name '*.tmp-*')"
run 0 "$bench" compare ablation/results.json ablation/results.json --fail-below 1 -q
has out "base; micro AUC light"
has out "base; student alone"
# --quantise gives a second student, measured in int8.
has out "base; micro AUC light int8"
has out "base; student alone int8"

# Nothing is trained again, and the table says the same but for the speed.
find ablation/runs -name '*.safetensors' -exec md5sum {} + | sort >before
cp ablation/results.csv first.csv
run 0 "${suite[@]}" --no-speed
lacks err "failed"
find ablation/runs -name '*.safetensors' -exec md5sum {} + | sort | cmp - before || fail "a finished run was trained again"
cmp <(cut -d, -f1-40 first.csv) <(cut -d, -f1-40 ablation/results.csv) || fail "the tables differ"
run 0 "${suite[@]}" --list
has out "base, seed 2: finished"
# Another setting is another run; the old ones stay.
run 0 "${suite[@]}" --list -- --jitter 0.2
has out "base, seed 2: to do"
has out " --jitter 0.2"
# JSON instead of the table.
run 0 "${suite[@]}" --no-speed --json -q
has out '"deviation"'
lacks out "| base |"

# ---- interruption -------------------------------------------------------------------------------------------------

sed 's/"epochs": 2/"epochs": 200, "patience": 0/; s/"seeds": 2, //' rows.json >long.json
long=("${plain[@]}" -o long --rows long.json --no-speed)
"${long[@]}" >out 2>err </dev/null &
process=$!
tries=0
until ls long/runs/base-*/metrics.csv >/dev/null 2>&1; do
    sleep 0.05
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "no epoch in a minute: $(cat err long/runs/*/distill.log)"
done
kill -INT $process
code=0
wait $process || code=$?
[ $code = 130 ] || fail "exit code $code after SIGINT: $(cat err)"
has err "go on with --resume"
[ -s long/results.md ] || fail "no table of what was finished"
run 2 "${long[@]}"
has err "was begun and not finished"
run 0 "${long[@]}" --list
has out "base, seed 1: interrupted"
# It goes on where it stopped.
run 0 "${long[@]}" --resume
has out "| base | 1 | "

# Stopped in a stage of distill that has a checkpoint of its own.
cat >stages.json <<'ROWS'
{"rows": [{"name": "base", "arguments": {"width": 48, "height": 32, "batch": 8, "epochs": 1, "samples-per-epoch": 16,
                                         "pseudo": 0, "pretrain": "plain", "pretrain-epochs": 300}}]}
ROWS
stages=("${plain[@]}" -o stages --rows stages.json --no-speed)
"${stages[@]}" >out 2>err </dev/null &
process=$!
tries=0
until ls stages/runs/base-*/pretrain/checkpoint.safetensors >/dev/null 2>&1; do
    sleep 0.05
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "no pre-training in a minute: $(cat err stages/runs/*/distill.log)"
done
kill -INT $process
code=0
wait $process || code=$?
[ $code = 130 ] || fail "exit code $code after SIGINT in pre-training: $(cat err)"
run 0 "${stages[@]}" --resume
has out "| base | 1 | "

# ---- what fails ---------------------------------------------------------------------------------------------------

cat >bad.json <<'ROWS'
{"rows": [{"name": "x", "arguments": {"no-such-option": 1}}]}
ROWS
run 2 "${plain[@]}" -o bad --rows bad.json
has err "bad.json: row 1 ('x'): distill: "
has err "no-such-option"
[ ! -e bad ] || fail "a mistake in the rows left $(find bad)"
mkdir kept && touch kept/own
run 2 "${plain[@]}" -o kept --rows bad.json
[ "$(find kept -mindepth 1)" = kept/own ] || fail "a mistake in the rows left $(find kept)"
# late ARGUMENTS: a table whose last row alone has a mistake; nothing is trained for the rows before it.
late() {
    echo "{\"rows\": [{\"name\": \"x\", \"seeds\": 2}, {\"name\": \"late\", \"arguments\": {$1}}]}" >late.json
}
for bad in '"flip": "often"' '"epochs": -1' '"samples-per-epoch": 3' '"heads": "16,1", "scale-weights": "0,1,0"' \
    '"offsets": "3,0,-3"' '"arch": "huge"' '"pseudo-kinds": "sideways"' '"epochs": 0'; do
    late "$bad"
    run 2 "${plain[@]}" -o bad/deep --rows late.json
    has err "late.json: row 2 ('late'): distill: "
    [ ! -e bad ] || fail "a mistake in the last row ($bad) left $(find bad)"
done
late '"init": "nowhere.safetensors"'
run 1 "${plain[@]}" -o bad --rows late.json
has err "late.json: row 2 ('late'): distill: nowhere.safetensors"
[ ! -e bad ] || fail "a mistake in the last row left $(find bad)"
# Finished rows ask nothing of the program any more.
printf '#!/bin/sh\necho "called" >>calls\nexit 2\n' >never
chmod +x never
run 0 "${suite[@]}" --no-speed --distill ./never -q
[ ! -e calls ] || fail "distill was started for finished rows"
# An abbreviation is the option itself.
echo '{"rows": [{"name": "x", "arguments": {"outp": "elsewhere"}}]}' >bad.json
run 1 "${plain[@]}" -o bad --rows bad.json
has err "'outp' is set by the suite"
# program NAME CODE: a distill that takes every argument, and fails with CODE when it comes to it
program() {
    printf '#!/bin/sh\ncase " $* " in *" --check "*) exit 0 ;; esac\necho "distill: broken" >&2\nexit %s\n' "$2" >"$1"
    chmod +x "$1"
}
program refusing 2
run 2 "${plain[@]}" -o bad --rows rows.json --distill ./refusing
has err "rows.json: row 1 ('base'): distill: broken"
[ ! -e bad ] || fail "a refused row left $(find bad)"
program broken 1
run 1 "${plain[@]}" -o broken_out --rows rows.json --distill ./broken
has err "'base', seed 1 failed: distill: broken"
has err "3 of 3 runs failed"
has broken_out/results.md "| base | 0 of 2 (2 failed) | - |"
[ ! -e broken_out/results.svg ] || fail "a picture of nothing"
# Out of time a run is not finished, now or with the same time; with more it is, in the same folder.
cat >timed.json <<'ROWS'
{"rows": [{"name": "timed", "arguments": {"pseudo": 1, "quantise": true, "epochs": 2, "samples-per-epoch": 64,
                                          "batch": 8, "width": 48, "height": 32}}]}
ROWS
run 1 "${plain[@]}" -o timed --rows timed.json --max-time 0.0000001s
has err "'timed', seed 1 failed: distill: out of time while gathering"
run 1 "${plain[@]}" -o timed --rows timed.json --max-time 0.0000001s --resume
has err "out of time while gathering"
run 0 "${plain[@]}" -o timed --rows timed.json --resume
has timed/results.md "| timed | 1 |"
[ "$(ls timed/runs | wc -l)" = 1 ] || fail "another folder: $(ls timed/runs)"
run 2 "${plain[@]}" -o no --rows rows.json -- --epochs 1 --seed 4
has err "'--seed' behind '--': the suite sets this itself"

run 1 "${plain[@]}" -o no --rows rows.json --distill ./missing
has err "./missing: no such program"
run 2 "$bench" suite -d set -o no
has err "--dataset, --teacher and -o are needed"
run 2 "$bench" suite -d set --teacher maps -o no
has err "expected NAME=MAPS"
run 1 "$bench" suite -d set --teacher a=nowhere -o no
has err "nowhere"
run 2 "$bench" suite -d set --teacher a=maps --teacher a=maps -o no --list
has err "two teachers are named 'a'"
sed 's/"teachers": \["m"\]/"teachers": ["z"]/' rows.json >other.json
run 2 "${plain[@]}" -o no --rows other.json
has err "wants the teacher 'z'"
echo '{"rows": 5}' >other.json
run 1 "${plain[@]}" -o no --rows other.json
has err "other.json"
run 1 "${plain[@]}" -o no --rows nowhere.json
has err "nowhere.json"
[ ! -e no ] || fail "something was written for a command that was refused"

# The built-in rows can be printed, changed and given back.
run 0 "${plain[@]}" -o no --list --json
cp out built_in.json
has built_in.json '"no altered clips"'
run 0 "${plain[@]}" -o no --list --rows built_in.json --json
cmp out built_in.json || fail "the rows do not survive a round trip"

# ---- accuracy against speed ---------------------------------------------------------------------------------------

a=$(ls -d ablation/runs/base-s1-*)/student.safetensors
b=$(ls -d ablation/runs/no-altered-*)/student.safetensors
pareto=("$bench" pareto -d set -t 1 --rounds 1 --seconds 0.02)
run 0 "${pareto[@]}" -m "$a" -m "$b" --plot p.svg --plot p.png --json p.json --csv p.csv --published always
has out "student #2"
head -n 1 out | grep -q ' saccade [0-9].*, load' || fail "no machine at the head of pareto: $(head -n 1 out)"
has out "AED-MAE"
has p.json '"of_decoding"'
has p.csv "AED-MAE,0,"
has p.svg "</svg>"
[ -s p.png ] || fail "no p.png"
run 0 "${pareto[@]}" -m "$a" --no-file --json - -q
has out '"fps_file_to_score": null'
lacks out "AED-MAE"
# A student that holds scales is shown in both precisions.
run 0 "${pareto[@]}" -m "$(dirname "$a")/student-int8.safetensors" --no-file -q
[ "$(grep -c "student-int8" out)" = 2 ] || fail "one line a precision expected: $(cat out)"
has out "student-int8 int8"
run 2 "${pareto[@]}"
has err "--dataset DIR and -m MODEL are needed"
run 2 "${pareto[@]}" -m "$a" -m "$a"
has err "is given twice"
run 2 "${pareto[@]}" -m "$a" --plot p.gif
has err ".svg or .png"
run 1 "${pareto[@]}" -m nowhere.safetensors
has err "nowhere.safetensors"
exit 0
