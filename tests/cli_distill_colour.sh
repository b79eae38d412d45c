# Students that see colour, from a coloured data set to scores: every stage of distill and every tool that reads a model.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
command -v ffmpeg >/dev/null || { echo "SKIPPED: ffmpeg is not installed, it paints the data set"; exit 77; }
fresh
distill=$SACCADE_BIN/distill
unset OMP_NUM_THREADS

run 0 "$SACCADE_BIN/synth" -o gray --width 128 --height 96 --train-clips 4 --test-clips 1 --frames 40 --walkers 8 -q
cp -r gray set
for clip in set/Train/* set/Test/Test001; do
    ffmpeg -v error -nostdin -i "gray/${clip#set/}/%03d.png" -vf "format=rgb24,lutrgb=r=val:g=val*0.9:b=255-val" -y "$clip/%03d.png" ||
        fail "ffmpeg"
done
run 0 "$SACCADE_BIN/teach" --dataset set -o maps -t 1 --crop-size 16 --epochs 1 --samples-per-epoch 64 \
    --validation-samples 32 --batch 16 -q

weights() {
    local header
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((9 + header)) "$1"
}
one=(-i set -t 1 --width 48 --height 32 --batch 8 --epochs 1 --samples-per-epoch 64 --pseudo 1 --teacher a=maps)

# All stages, and a resumed run of each.
all=("${one[@]}" --arch tiny-s --colour --pseudo-kinds all --show-pseudo sheets --pretrain masked --pretrain-epochs 1
    --quantise --quantise-epochs 1 --noise 3 --compression 0.3 --adversarial 0.1)
run 0 "$distill" "${all[@]}" -o run
has err "tiny-s at 48x32 in colour"
has run/report.html "data:image/png;base64"
ls sheets/Train00*-a.png >out || fail "no contact sheet"
cp run/student-int8.safetensors kept8
cp run/student.safetensors kept
run 0 "$distill" "${all[@]}" -o run --resume -q
cmp <(weights run/student.safetensors) <(weights kept) || fail "a resumed run differs"
cmp <(weights run/student-int8.safetensors) <(weights kept8) || fail "a resumed int8 stage differs"
run 2 "$distill" "${one[@]}" --arch tiny-s -o run --resume
has err "run/checkpoint.safetensors was written with"

# What the files say, and that both precisions do what the reference does.
for model in run/student.safetensors run/student-int8.safetensors; do
    run 0 "$SACCADE_BIN/student-info" $model --verify -t 1
    has out "passed"
    has out "[9][32][48]"
    run 0 "$SACCADE_BIN/student-info" $model --json
    has out '"channels": 3'
    has out '"colour": "rgb"'
    has out '"format_version": 2'
done
run 0 "$SACCADE_BIN/student-info" run/student-int8.safetensors --export-onnx colour.onnx --onnx-precision int8
[ -s colour.onnx ] || fail "no ONNX file"

# Scores depend on colour; a gray source gives what R = G = B gives; one thread, two and the reference agree.
score() { run 0 "$SACCADE_BIN/student-run" -m run/student-int8.safetensors "$1" --csv "$2" -q "${@:3}"; }
score set/Test/Test001 a.csv -t 1
[ "$(wc -l <a.csv)" = 41 ] || fail "rows: $(wc -l <a.csv)"
score gray/Test/Test001 b.csv -t 1
cmp -s a.csv b.csv && fail "colour changes nothing"
mkdir rgb
ffmpeg -v error -nostdin -i gray/Test/Test001/%03d.png -pix_fmt rgb24 rgb/%03d.png || fail "ffmpeg"
score rgb c.csv -t 1
cmp b.csv c.csv || fail "gray and R = G = B differ"
score set/Test/Test001 d.csv -t 2
cmp a.csv d.csv || fail "two threads differ"
score set/Test/Test001 e.csv -t 1 --overlay e.mp4 --report e.html --maps e.npy
cmp a.csv e.csv || fail "an overlay changes the scores"
run 0 "$SACCADE_BIN/student-run" -m run/student.safetensors set/Test/Test001 --csv f.csv -q -t 1
run 0 "$SACCADE_BIN/student-run" -m run/student.safetensors set/Test/Test001 --csv g.csv -q -t 1 --backend ref
paste -d, f.csv g.csv | awk -F, 'NR > 1 && ($3 - $9) ^ 2 > 1e-10 { exit 1 } END { exit NR != 41 }' || fail "the reference differs"
score set/Test/Test001 h.csv -t 2 --gate

# Calibration, accuracy and speed read files as student-run does.
run 0 "$SACCADE_BIN/student-calibrate" -m run/student-int8.safetensors set/Train/Train00? set/Test/Test001 -o calibrated.safetensors -q
run 0 "$SACCADE_BIN/student-run" -m calibrated.safetensors set/Test/Test001 --csv i.csv -q -t 1
has i.csv "score_calibrated"
mkdir scores
cp a.csv scores/Test001.csv
run 0 "$SACCADE_BIN/student-bench" eval --dataset set -m run/student-int8.safetensors --scores scores --json
grep -q '"micro": [0-9]' out || fail "no AUC: $(cat out)"
[ "$(grep -o '"micro": [0-9.]*' out | sort | uniq -c | awk '$1 % 2 == 1' | wc -l)" = 0 ] ||
    fail "eval and student-run differ: $(cat out)"
run 0 "$SACCADE_BIN/student-bench" run -m run/student-int8.safetensors set/Test/Test001 --repeats 1 --seconds 0.01 -t 1 \
    --no-limits -q
run 1 "$SACCADE_BIN/student-bench" peers -m run/student-int8.safetensors set/Test/Test001 -q
has err "students that see colour are not compared"

# A student in colour teaches a gray one and the other way round; weights do not go from one kind to the other.
run 0 "$distill" "${one[@]}" --teacher big=student:run/student.safetensors -o small -q
run 0 "$distill" -i set -t 1 --width 48 --height 32 --batch 8 --epochs 1 --samples-per-epoch 64 --pseudo 0 --colour \
    --teacher big=student:small/student.safetensors -o back -q
run 2 "$distill" "${one[@]}" --arch tiny-s --init run/student.safetensors -o no
has err "was trained on coloured frames"
exit 0
