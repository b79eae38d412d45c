# student-bench train: one short round of tiny batches gives finite rates for both networks, as table and as JSON.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
bench="$SACCADE_BIN/student-bench"
small="--rounds 1 --seconds 0.001 --teacher-batch 2 --student-batch 1 -t 1 -q"

run 0 "$bench" train $small --json result.json
has out "teacher ssmtl shallow-narrow 64x64"
has out "student tiny-m 240x160"
for key in matmul_gflops samples_per_s gflops of_matmul; do
    grep -Eq "\"$key\": [0-9.]*[1-9]" result.json || fail "$key is not a positive number: $(cat result.json)"
done
[ "$(grep -c '"samples_per_s"' result.json)" = 2 ] || fail "two steps expected: $(cat result.json)"

run 0 "$bench" train $small --json -
grep -q '"steps"' out || fail "no JSON on standard output"

run 0 "$bench" train $small --csv result.csv --markdown result.md
cmp -s out result.md || fail "the table in the file is another one"
[ "$(grep -c '^training step; [^,]*,samples/s,higher,[0-9]' result.csv)" = 2 ] || fail "two figures expected: $(cat result.csv)"

run 2 "$bench" train --arch huge $small
has err "huge"
run 2 "$bench" train --rounds 0
has err "rounds"
run 1 "$bench" train $small --json /nonexistent/result.json
has err "/nonexistent"
