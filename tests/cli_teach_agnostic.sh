# The background-agnostic teacher from end to end on a small synthetic data set: results, exact resume after SIGINT and
# kill -9, scoring with the trained file, errors.
set -u
# One thread, and waiting ones sleep: on a busy machine threads that wait for each other take minutes for such batches.
export OMP_WAIT_POLICY=passive
teach="$SACCADE_BIN/teach"
synth="$SACCADE_BIN/synth"
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
expect() {
    local code=$1 text=$2 got=0
    shift 2
    "$@" >out.txt 2>err.txt || got=$?
    [ "$got" = "$code" ] || { fail "exit $got instead of $code: $*"; cat err.txt; }
    grep -qF -- "$text" err.txt || { fail "stderr lacks '$text': $*"; cat err.txt; }
}

rm -rf data a b c bad again
"$synth" -o data --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 24 --walkers 5 --seed 3 --quiet \
    || { echo "SKIPPED: synth failed"; exit 77; }
common=(--dataset data --teacher background-agnostic --min-area 12 --agnostic-crop-size 16 --batch 8 --epochs 2
    --samples-per-epoch 48 --validation-samples 16 --seed 5 --threads 1)

"$teach" "${common[@]}" -o a >table.txt 2>log.txt || { cat log.txt; fail "plain run"; }
grep -q "background-agnostic" log.txt || fail "the log does not name the family"
for task in appearance backward forward; do grep -q "^| $task" table.txt || fail "no row of $task"; done
for f in store.json objects.csv teacher.safetensors metrics.csv Train001.16x16.npy Test001.1x1.npy; do
    [ -s "a/$f" ] || fail "a/$f is missing"
done
[ -e a/work ] && fail "intermediate files were left"
[ "$(wc -l <a/metrics.csv)" = 3 ] || fail "metrics.csv has not one row per epoch"
head -1 a/objects.csv | grep -q "score,appearance,backward,forward" || fail "objects.csv lacks the tasks"
grep -q '"agnostic-width": "narrow"' a/store.json || fail "store.json lacks the family's options"
grep -q '"backbone"' a/store.json && fail "store.json holds another family's options"

same() {
    for f in objects.csv Train001.16x16.npy Train002.16x16.npy Test001.16x16.npy Test001.1x1.npy; do
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
"$teach" "${common[@]}" -o b --resume >/dev/null 2>log.txt || { cat log.txt; fail "resume after SIGINT"; }
same b

"$teach" "${common[@]}" -o c --checkpoint-minutes 0 >/dev/null 2>&1 &
pid=$!
for round in 1 2 3 4; do
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

# Scored again with the trained file.
"$teach" --dataset data --min-area 12 --from a --threads 1 -o again >/dev/null 2>log.txt || { cat log.txt; fail "from"; }
cmp -s a/objects.csv again/objects.csv || fail "the trained file scores otherwise"

expect 2 "multiple of 8" "$teach" "${common[@]}" --agnostic-crop-size 20 -o bad --overwrite
expect 2 "agnostic-width" "$teach" "${common[@]}" --agnostic-width huge -o bad --overwrite
expect 2 "agnostic-lambda" "$teach" "${common[@]}" --agnostic-lambda -1 -o bad --overwrite
printf 'x' >x.safetensors
expect 1 "x.safetensors" "$teach" --dataset data --from x.safetensors -o bad --overwrite
[ -e bad/store.json ] && fail "a failed run left a store.json"
[ $failures = 0 ] && echo "all checks of the background-agnostic teacher passed"
exit $((failures > 0))
