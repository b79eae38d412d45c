# tools/teacher-table on a small synthetic data set: the list of rows, two rows and their table, nothing done twice, errors.
export OMP_WAIT_POLICY=passive
. "$SACCADE_SOURCE/tests/cli_lib.sh"
table="$SACCADE_SOURCE/tools/teacher-table"
fresh
"$SACCADE_BIN/synth" -o data --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 40 --walkers 5 --seed 3 --quiet ||
    skip "synth failed"

run 0 "$table" --dataset data -o rows --list
has out "attributes-motion: teach --dataset data --detector motion"
has out "ssmtl-boxes: needs --boxes"
has out "ensemble-boxes: needs --boxes"
[ ! -e rows ] || fail "--list made a folder"
run 0 "$table" --dataset data -o rows --boxes a.csv,b.csv --rows ssmtl-boxes --budget full --list
has out "boxes:a.csv\\,boxes:b.csv"
has out "--epochs 8 --samples-per-epoch 12288"
[ "$(wc -l <out)" = 1 ] || fail "other rows are listed: $(cat out)"

run 0 "$table" --dataset data -o rows --rows attributes-motion,attributes-flow --threads 1
has out "attributes-motion"
has out "attributes-flow: velocity"
has out "frame difference"
has rows/table.md "attributes-flow"
[ -s rows/attributes-flow.log ] || fail "no log"
[ ! -e rows/attributes-flow/Train001.16x16.npy ] || fail "training clips have maps"
run 0 "$table" --dataset data -o rows --rows attributes-motion,attributes-flow
has err "attributes-motion: finished before"
run 0 "$table" --dataset data -o rows --eval-only
has out "attributes-motion"

run 2 "$table" --rows attributes-motion
has err "--dataset is missing"
run 2 "$table" --dataset data --rows nothing
has err "'nothing' is unknown"
run 2 "$table" --dataset data --budget huge
run 2 "$table" --dataset data --frobnicate
run 2 "$table" --dataset
run 1 "$table" --dataset data -o rows --rows ssmtl-boxes
has err "ssmtl-boxes: left out, needs --boxes"
run 1 "$table" --dataset data -o rows --boxes nowhere.csv --rows ssmtl-boxes
has err "ssmtl-boxes: FAILED: teach: nowhere.csv"
run 1 "$table" --dataset data -o none --eval-only
has err "no row is finished"
echo "all checks of the table of teachers passed"
