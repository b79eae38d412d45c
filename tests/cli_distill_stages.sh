# What distill does besides a plain run: other kinds of alteration, eight bits, pre-training, students as teachers and as a
# beginning, the report page. Each stage goes on exactly after an interruption.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
distill=$SACCADE_BIN/distill
unset OMP_NUM_THREADS

run 0 "$SACCADE_BIN/synth" -o set --width 128 --height 96 --train-clips 4 --test-clips 1 --frames 40 \
    --walkers 8 -q
run 0 "$SACCADE_BIN/teach" --dataset set -o maps -t 1 --crop-size 16 --epochs 1 --samples-per-epoch 64 \
    --validation-samples 32 --batch 16 -q

# The weights of a model or checkpoint: everything behind the header, which also holds how long it took.
weights() {
    local header
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +$((9 + header)) "$1"
}
# same_run RUN REFERENCE
same_run() {
    cmp <(weights "$1/student.safetensors") <(weights "$2/student.safetensors") ||
        fail "the students of $1 and $2 differ"
    cmp <(cut -d, -f1-5 "$1/metrics.csv") <(cut -d, -f1-5 "$2/metrics.csv") ||
        fail "the metrics of $1 and $2 differ"
}
one=(-i set -t 1 --width 48 --height 32 --batch 8 --epochs 1 --samples-per-epoch 64)
run 0 "$distill" "${one[@]}" --pseudo 1 --teacher a=maps -o whole

# Other kinds of alteration, with a picture of each altered clip.
run 0 "$distill" "${one[@]}" --pseudo 1 --pseudo-kinds all --teacher a=maps -o kinds --show-pseudo sheets
has err "on the held-back altered frames ("
has out "AUC on held-back pseudo-anomalies"
head -c 4 sheets/Train001+1-a.png | grep -q PNG || fail "no contact sheet: $(ls sheets)"
run 2 "$distill" "${one[@]}" --pseudo 1 --teacher a=maps -o kinds --resume
has err "training data"
for bad in "" wrong faster:0 faster,faster; do
    run 2 "$distill" "${one[@]}" --teacher a=maps --pseudo-kinds "$bad" -o no
    has err "known: faster, frozen"
done
run 1 "$distill" "${one[@]}" --teacher a=maps --show-pseudo /proc/saccade -o no
has err "/proc/saccade"

# Eight bits: after training, resumed, and from a finished student alone.
int8=("${one[@]}" --pseudo 1 --teacher a=maps --quantise --quantise-epochs 2 --noise 3 --compression 0.3)
run 0 "$distill" "${int8[@]}" -o int8
has out "int8 after training"
has out "int8 fine-tuned"
[ -e int8/student.safetensors ] || fail "no f32 student"
run 0 "$SACCADE_BIN/student-info" int8/student-int8.safetensors
has out "post_training"
cp int8/student-int8.safetensors kept
run 0 "$distill" "${int8[@]}" -o int8 --resume --json
has out '"post_training"'
cmp <(weights int8/student-int8.safetensors) <(weights kept) || fail "another int8 student"
run 0 "$distill" "${one[@]}" --pseudo 0 --teacher a=maps --init whole/student.safetensors --epochs 0 \
    --quantise --quantise-epochs 0 -o only
cmp <(weights only/student.safetensors) <(weights whole/student.safetensors) || fail "it was trained"
[ -e only/student-int8.safetensors ] || fail "no int8 student"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --epochs 0
has err "--epochs 0 needs --init MODEL and --quantise"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --epochs 0 --init whole/student.safetensors --quantise --pretrain plain
has err "and no --pretrain"

# Pre-training: a stage of its own that is resumed, and whose weights begin the next.
for kind in plain masked; do
    pre=("${one[@]}" --pseudo 1 --teacher a=maps --pretrain $kind --pretrain-epochs 2)
    run 0 "$distill" "${pre[@]}" -o $kind
    [ "$(wc -l <$kind/pretrain/metrics.csv)" = 3 ] || fail "metrics of pre-training: $(cat $kind/pretrain/metrics.csv)"
    cp $kind/student.safetensors kept
    run 0 "$distill" "${pre[@]}" -o $kind --resume -q
    cmp <(weights $kind/student.safetensors) <(weights kept) || fail "a resumed run differs"
    run 0 "$SACCADE_BIN/student-info" $kind/student.safetensors
    has out "pretraining.kind"
    cmp -s <(weights $kind/student.safetensors) <(weights whole/student.safetensors) && fail "$kind: no effect"
done
# Killed while it is pre-trained, it goes on there.
"$distill" "${pre[@]}" -o killed --checkpoint-seconds 0 >out 2>err </dev/null &
process=$!
for _ in $(seq 3000); do [ -e killed/pretrain/checkpoint.safetensors ] && break; sleep 0.02; done
kill -KILL $process
wait $process 2>/dev/null
run 2 "$distill" "${pre[@]}" -o killed
has err "--resume"
run 0 "$distill" "${pre[@]}" -o killed --resume -q
cmp <(weights killed/student.safetensors) <(weights masked/student.safetensors) || fail "a killed run differs"
# Its time counts, too.
for time in 2 4 8 16 32 64; do
    rm -rf timed
    run 1 "$distill" "${pre[@]}" --pseudo 0 --pretrain-epochs 100000 -o timed --max-time ${time}s
    [ ! -e timed/pretrain/checkpoint.safetensors ] || break
    has err "out of time while gathering"
done
has err "out of time in pre-training after"
has err "of 100000 epochs, so there is no student yet: go on with --resume"
[ ! -e timed/student.safetensors ] || fail "a student of nothing"
run 2 "$distill" "${pre[@]}" -o plain --resume
has err "plain/pretrain/checkpoint.safetensors was written with other settings"

# The report page.
[ "$(head -c 9 int8/report.html)" = "<!DOCTYPE" ] || [ "$(head -c 9 int8/report.html)" = "<!doctype" ] || fail "no page"
has int8/report.html "Fine-tuning for int8"
has masked/report.html "Pre-training"
has masked/report.html "Worst held-back frames"
has masked/report.html "data:image/png;base64"
has masked/report.html "Loss of each scale"
lacks masked/report.html "<script"

# A student teaches another one, beside a teacher and alone; its maps are kept for a resumed run.
chain=("${one[@]}" --pseudo 1 --teacher a=maps --teacher big=student:whole/student.safetensors:0.5)
run 0 "$distill" "${chain[@]}" -o chain
has err "teacher big: AUC"
[ -e chain/pseudo-big/Train001.16x16.npy ] || fail "no kept maps of the student that teaches"
[ -e chain/pseudo-big/Train001+1.16x16.npy ] || fail "no kept maps of altered clips"
run 0 "$SACCADE_BIN/student-info" chain/student.safetensors
has out '"student": "tiny-m"'
run 0 "$distill" "${chain[@]}" -o chain2 -q
same_run chain chain2
rm chain2/student.safetensors
run 0 "$distill" "${chain[@]}" -o chain2 -q --resume
same_run chain chain2
run 0 "$distill" "${one[@]}" --pseudo 0 --teacher big=student:whole/student.safetensors -o alone -q
run 2 "$distill" "${one[@]}" --pseudo 1 --teacher big=student:whole/student.safetensors -o alone2
has err "altered clips need the objects of a map folder"
run 1 "$distill" "${one[@]}" --pseudo 0 --teacher big=student:nowhere -o alone3
has err "nowhere"
run 2 "$distill" "${one[@]}" --teacher big=student: -o alone3
has err "expected NAME=student:MODEL"

# A student that paints two of the three maps, through all stages and tools.
heads=("${one[@]}" --pseudo 1 --teacher a=maps --arch tiny-s --heads 1,4 --pretrain plain --pretrain-epochs 1 --adversarial 0.1
    --quantise --quantise-epochs 1)
run 0 "$distill" "${heads[@]}" -o heads
has err "tiny-s:4,1 at 48x32"
has heads/report.html "Worst held-back frames"
run 0 "$SACCADE_BIN/student-info" heads/student-int8.safetensors --verify -t 1
has out "largest error map4"
lacks out "map16"
run 0 "$SACCADE_BIN/student-run" -m heads/student-int8.safetensors set/Test/Test001 -t 1 -q --csv heads.csv --maps heads.npy \
    --overlay heads.mp4 --report heads.html
[ "$(wc -l <heads.csv)" = 41 ] || fail "rows: $(wc -l <heads.csv)"
[ "$(stat -c %s heads.npy)" = $((128 + 40 * 16 * 4)) ] || fail "size of the maps"
head -c 128 heads.npy | grep -qa "'shape': (40, 4, 4)" || fail "header of the maps"
run 0 "$SACCADE_BIN/student-bench" eval --dataset set -m heads/student-int8.safetensors -q
has out "4x4 map"
run 1 "$SACCADE_BIN/student-bench" peers -m heads/student-int8.safetensors set/Test/Test001 -q
has err "students with fewer are not compared"
run 2 "$distill" "${one[@]}" --pseudo 0 --teacher big=student:heads/student.safetensors -o no
has err "has no 16x16 map"
run 2 "$distill" "${one[@]}" --teacher a=maps --init whole/student.safetensors --heads 16 -o no
has err "which tiny-m:16 does not have"
run 2 "$distill" "${one[@]}" --teacher a=maps --heads 16,1 --scale-weights 0,1,0 -o no
has err "0 for every map that the student has"
for bad in "" 8 16,16 4, 16:4; do
    run 2 "$distill" "${one[@]}" --teacher a=maps --heads "$bad" -o no
    has err "--heads '$bad'"
done
run 2 "$distill" "${one[@]}" --teacher a=maps --arch tiny-s:4 --heads 16 -o no
has err "maps '4:16'"

# A student that begins with the weights of another one.
init=("${one[@]}" --pseudo 0 --teacher a=maps --learning-rate 1e-7 --scale-weights 1,0.5,2)
run 0 "$distill" "${init[@]}" --init whole/student.safetensors -o begun -q
run 0 "$SACCADE_BIN/student-info" begun/student.safetensors
has out "training.initial_weights"
has out "training.scale_weights"
run 2 "$distill" "${init[@]}" -o begun --resume
has err "initial_weights"
run 2 "$distill" "${init[@]}" --init chain/student.safetensors -o begun --resume
has err "initial_weights"
run 0 "$distill" "${init[@]}" --init whole/student.safetensors -o begun --resume -q
run 1 "$distill" "${init[@]}" --init nowhere -o begun2
has err "nowhere"
for bad in "" 1 1,1 1,1,1,1 1,1,x -1,1,1 0,0,0 1,1,1001; do
    run 2 "$distill" "${one[@]}" --teacher a=maps --scale-weights "$bad" -o no
    has err scale
done
exit 0
