# Every student in models/ against the plain reference: verified in all its precisions, and the scores of a generated clip
# within the limits (1e-4 in f32, 0.02 in int8). Scores and maps do not depend on the number of threads.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
scorer="$SACCADE_BIN/student-run" students=0

run 0 "$SACCADE_BIN/synth" -o scene --train-clips 0 --test-clips 1 --frames 5 -q

# score PRECISION NAME option...: scores in NAME.csv, maps in NAME.npy
score() {
    local precision=$1 name=$2
    shift 2
    run 0 "$scorer" -m "$model" scene/Test/Test001 --precision "$precision" --csv "$name.csv" --maps "$name.npy" -q "$@"
    [ "$(wc -l <"$name.csv")" = 6 ] || fail "five rows and a header expected in $precision: $(cat "$name.csv")"
}

for model in "$SACCADE_SOURCE"/models/*.safetensors; do
    [ -e "$model" ] || fail "no model in models/"
    # What a file is stands in its header.
    format=$(head -c 4096 "$model" | grep -ao '"format":"[^"]*"' | head -n 1)
    [ "$format" = '"format":"saccade-teacher"' ] && continue
    [ "$format" = '"format":"saccade-student"' ] || fail "$model is neither student nor teacher: $format"
    students=$((students + 1))
    run 0 "$SACCADE_BIN/student-info" "$model" --verify --json -q
    precisions=f32
    if grep -q '"quantised_activations": [1-9]' out; then
        precisions="f32 int8"
        has out '"verify_int8"'
    fi
    for precision in $precisions; do
        limit=1e-4
        [ $precision = f32 ] || limit=0.02
        score $precision reference --backend ref
        score $precision one -t 1
        score $precision two -t 2
        cmp one.csv two.csv && cmp one.npy two.npy || fail "$model: in $precision two threads score otherwise than one"
        paste -d, one.csv reference.csv | awk -F, -v limit=$limit '
            NR == 1 { if ($3 != "score") exit 1; half = NF / 2; next }
            { d = $3 - $(3 + half); if (d < 0) d = -d; if (!(d <= most)) most = d }
            END { printf "%.2e\n", most; exit !(NR == 6 && most <= limit) }' >worst ||
            fail "$model: in $precision scores differ from the reference by $(cat worst), limit $limit"
        echo "$(basename "$model") $precision: scores within $(cat worst) of the reference"
    done
done
[ "$students" -gt 0 ] || fail "no student in models/"
