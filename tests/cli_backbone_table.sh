# tools/backbone-table on a small synthetic data set: one design with its two runs, the table, nothing done twice, errors.
export OMP_WAIT_POLICY=passive
. "$SACCADE_SOURCE/tests/cli_lib.sh"
table="$SACCADE_SOURCE/tools/backbone-table"
fresh
"$SACCADE_BIN/synth" -o data --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 40 --walkers 5 --seed 3 --quiet ||
    skip "synth failed"
one=(--dataset data --seconds 1 --threads 1 --designs shallow-narrow:depthwise:16 -o out.d)
run 0 "$table" "${one[@]}"
grep -qE '^\| shallow-narrow \| depthwise \| 16 \| [0-9]+ \| [0-9.]+ \| [0-9.]+ \| [0-9]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \|$' \
    out || fail "table: $(cat out)"
has out.d/table.md "held-back loss"
cp out first
run 0 "$table" "${one[@]}"
cmp -s first out || fail "the second table differs: $(cat out)"

run 2 "$table" --seconds 5
has err "--dataset is missing"
run 2 "$table" --dataset data --seconds 0
run 2 "$table" --dataset data --seconds 1.5
run 2 "$table" --dataset data --designs shallow-narrow
run 2 "$table" --dataset data --designs shallow-narrow:full:32:1
run 2 "$table" --dataset data --frobnicate
run 2 "$table" --dataset data --designs tiny:full:32 -o bad
has err "tiny-full-32-probe: teach: --backbone"
run 1 "$table" --dataset nowhere -o bad
has err "nowhere"
echo "all checks of the table of networks passed"
