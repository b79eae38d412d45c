# distill from end to end: a synthetic data set, a teacher, a student that student-run accepts; interruption and exact
# resume; what is refused, and what a full disk leaves behind.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
distill=$SACCADE_BIN/distill
unset OMP_NUM_THREADS

run 0 "$SACCADE_BIN/synth" -o set --width 128 --height 96 --train-clips 4 --test-clips 1 --frames 40 \
    --walkers 8 -q
run 0 "$SACCADE_BIN/teach" --dataset set -o maps -t 1 --crop-size 16 --epochs 1 --samples-per-epoch 64 \
    --validation-samples 32 --batch 16 -q

# One thread: two runs are compared bit by bit, and the machine may be busy.
small=(-i set --teacher ssmtl=maps -t 1 --width 48 --height 32 --pseudo 1 --batch 8)
train=("${small[@]}" --epochs 3 --samples-per-epoch 240)

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
# no_rest RUN: nothing half-written lies about
no_rest() { [ -z "$(find "$1" -name '*.tmp-*' 2>/dev/null)" ] || fail "$1: $(find "$1" -name '*.tmp-*')"; }

# ---- a whole run ------------------------------------------------------------------------------------------------

run 0 "$distill" "${train[@]}" -o whole
has out "whole/student.safetensors: epoch"
has out "of 3"
has out "AUC on held-back pseudo-anomalies"
has err "4 clips and 4 altered ones"
has err "1 teacher, tiny-m at 48x32, 3 epochs of 240 samples, 0.5 mirrored, seed 1"
has err "epoch 3  train"
[ "$(wc -l <whole/metrics.csv)" = 4 ] || fail "metrics.csv needs a header and three rows"
[ "$(head -n 1 whole/metrics.csv)" = epoch,train_loss,validation_loss,pseudo_auc,learning_rate,seconds,samples_per_s,adversarial_loss,discriminator_real,discriminator_own,train_loss16,train_loss4,train_loss1,validation_loss16,validation_loss4,validation_loss1,auc_faster,auc_frozen,auc_elsewhere,auc_control,auc_slower,auc_reversed,auc_rotated,auc_scaled,auc_texture,auc_shape,auc_appearing,auc_vanishing ] ||
    fail "$(head -n 1 whole/metrics.csv)"
no_rest whole
run 0 "$SACCADE_BIN/student-info" whole/student.safetensors --verify -t 1
has out "held_back_clips          1"
has out "pseudo_variants          1"
has out '"name": "ssmtl"'
lacks out "$PWD"
run 0 "$SACCADE_BIN/student-run" -m whole/student.safetensors set/Test/Test001 -t 1 -q
[ "$(wc -l <out)" = 41 ] || fail "student-run: $(wc -l <out) lines for 40 frames"

# The same command gives the same student.
run 0 "$distill" "${train[@]}" -o again -q
empty err
same_run again whole

# A finished run is not trained on: the same student again, and a JSON result.
cp whole/checkpoint.safetensors kept
run 0 "$distill" "${train[@]}" -o whole --resume --json
cmp whole/checkpoint.safetensors kept || fail "a finished run was trained on"
same_run whole again
has out '"model": "whole/student.safetensors"'
has out '"epochs": 3'
run 1 bash -c '"$@" >/dev/full' - "$distill" "${train[@]}" -o whole --resume -q
has err "standard output"

# ---- interruption -----------------------------------------------------------------------------------------------

# stop_when FILE SIGNAL RUN OPTIONS: starts the run, waits for its file, sends the signal
stop_when() {
    local tries=0 file=$1 signal=$2 run=$3
    shift 3
    "$distill" "$@" -o "$run" >out 2>err </dev/null &
    local process=$!
    until [ -e "$run/$file" ]; do
        sleep 0.01
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || fail "$run: no $file in a minute: $(cat err)"
    done
    kill "-$signal" $process
    code=0
    wait $process || code=$?
}
stop_in_epoch_two() { stop_when metrics.csv "$1" "$2" "${train[@]}" --checkpoint-seconds 0; } # SIGNAL RUN

stop_in_epoch_two INT interrupted
[ $code = 130 ] || fail "exit code $code after SIGINT: $(cat err)"
has err "interrupted/checkpoint.safetensors is complete, go on with --resume"
[ ! -e interrupted/student.safetensors ] || fail "an interrupted run wrote a student"
no_rest interrupted
run 2 "$distill" "${train[@]}" -o interrupted
has err "interrupted/checkpoint.safetensors exists"
has err "--resume"
run 0 "$distill" "${train[@]}" -o interrupted --resume
lacks err "epoch 1  train"
same_run interrupted whole

stop_in_epoch_two KILL killed
[ $code = 137 ] || fail "exit code $code after SIGKILL: $(cat err)"
run 0 "$distill" "${train[@]}" -o killed --resume
same_run killed whole

# Gathering counts: out of time there, the run has trained nothing, and with more of it begins to.
run 1 "$distill" "${train[@]}" -o short --max-time 0.0000001s
has err "out of time while gathering the training data, before any training: go on with --resume"
[ ! -e short/student.safetensors ] || fail "a student of nothing"
run 0 "$distill" "${train[@]}" -o short --resume --max-minutes 100 # the older name
has err "short/checkpoint.safetensors: no such file, so nothing was trained yet: training begins"
same_run short whole
# Out of time in training there is a student, but none in 8 bits, and so the run is not complete.
for time in 2 4 8 16 32 64; do
    rm -rf brief
    run 1 "$distill" "${train[@]}" --pseudo 0 --epochs 100000 --quantise -o brief --max-time ${time}s
    [ ! -e brief/student.safetensors ] || break
    has err "out of time while gathering"
done
has out "(out of time)"
has err "no time is left for int8, so there is no student-int8.safetensors yet: go on with --resume"
[ ! -e brief/student-int8.safetensors ] || fail "an int8 student out of time"

# The same while altered clips are scored, as soon as the first one's maps are kept.
many=("${small[@]}" --pseudo 3 --epochs 1 --samples-per-epoch 64)
run 0 "$distill" "${many[@]}" -o gathered
for signal in KILL INT; do
    stop_when pseudo-ssmtl/store.json $signal cut$signal "${many[@]}"
    first=$(stat -c %i "cut$signal/pseudo-ssmtl/Train001+1.16x16.npy")
    [ $code = $([ $signal = KILL ] && echo 137 || echo 130) ] || fail "exit code $code after SIG$signal: $(cat err)"
    if [ $signal = INT ] && [ ! -e cutINT/checkpoint.safetensors ]; then
        has err "interrupted while gathering the training data"
        has err "go on with --resume"
    fi
    run 0 "$distill" "${many[@]}" -o cut$signal --resume
    same_run cut$signal gathered
    [ "$(stat -c %i "cut$signal/pseudo-ssmtl/Train001+1.16x16.npy")" = "$first" ] || fail "kept maps were made again"
done

# ---- resume of something else -----------------------------------------------------------------------------------

run 2 "$distill" "${train[@]}" -o short --resume --learning-rate 1e-3
has err "learning_rate = 0.002, now it is 0.001"
run 2 "$distill" "${train[@]}" -o short --resume --seed 2
has err "seed = 1, now it is 2"
run 2 "$distill" "${train[@]}" -o short --resume --width 64
has err "preprocess"
run 2 "$distill" "${train[@]}" -o short --resume --validation 0.5
has err "training data"
head -c 100000 short/checkpoint.safetensors >cut && cp cut short/checkpoint.safetensors
run 1 "$distill" "${train[@]}" -o short --resume
has err "short/checkpoint.safetensors"

# ---- teachers ---------------------------------------------------------------------------------------------------

one=("${small[@]:0:2}" -t 1 --width 48 --height 32 --batch 8 --epochs 1 --samples-per-epoch 64)
run 0 "$distill" "${one[@]}" --pseudo 2 --teacher a=maps:0.5 --teacher b=maps:2 -o two -q
run 0 "$SACCADE_BIN/student-info" two/student.safetensors
has out '"weight": 0.5'
has out '"name": "b"'

# Paths and names need not be UTF-8.
cp -r set $'sc\xe9ne'
run 0 "$distill" "${one[@]}" -i $'sc\xe9ne' --pseudo 1 --teacher $'\xe4=maps' -o $'r\xfcn' --altered-cache $'k\xe4pt' --json
has out $'"model": "r\xef\xbf\xbdn/student.safetensors"'
run 0 "$SACCADE_BIN/student-info" $'r\xfcn/student.safetensors'
has out $' sc\xef\xbf\xbdne'
has out $'"name": "\xef\xbf\xbd"'

# Without altered clips no network and no objects are needed.
cp -r maps bare
rm bare/teacher.safetensors bare/objects.csv
run 0 "$distill" "${one[@]}" --pseudo 0 --teacher a=bare -o plain -q
lacks out "AUC"
run 1 "$distill" "${one[@]}" --pseudo 1 --teacher a=bare -o plain2
has err "bare/teacher.safetensors"

run 0 "$SACCADE_BIN/synth" -o other --width 128 --height 96 --train-clips 2 --test-clips 0 --frames 12 -q
run 1 "$distill" -i other --teacher a=maps -o no
has err "maps: these maps were made from another data set than other"
run 1 "$distill" "${one[@]}" --teacher a=nowhere -o no
has err "nowhere: no such folder"
run 1 "$distill" "${one[@]}" --teacher a=set -o no
has err "set: holds no store.json"
run 1 "$distill" -i nowhere --teacher a=maps -o no
has err "nowhere"

# ---- bad options ------------------------------------------------------------------------------------------------

run 2 "$distill"
has err "--dataset, --teacher and -o are needed"
run 2 "$distill" -i set -o no
run 2 "$distill" -i set --teacher a=maps
for bad in maps =maps a= a/b=maps "a b=maps"; do
    run 2 "$distill" -i set --teacher "$bad" -o no
    has err "--teacher '$bad'"
done
for bad in 0 -1 1001; do
    run 2 "$distill" -i set --teacher "a=maps:$bad" -o no
    has err "the weight must be in (0, 1000]"
done
run 1 "$distill" -i set --teacher a=maps:nan -o no # no number, so part of the path
has err "maps:nan: no such folder"
run 2 "$distill" -i set --teacher a=maps --teacher a=bare -o no
has err "two teachers are named 'a'"
many=()
for i in 1 2 3 4 5 6 7 8 9; do many+=(--teacher "t$i=maps"); done
run 2 "$distill" -i set "${many[@]}" -o no
has err "at most 8 teachers"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --arch huge
has err "'huge' is not a known architecture; known: tiny-s, tiny-m, tiny-l, paper"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --samples-per-epoch 7
has err "samples per epoch must be at least one batch"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --width 15
has err "the student's input: input size 15x32, 16..4096"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --offsets -3,0,
has err "--offsets '-3,0,'"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --offsets 0,0,3
has err "frame offsets 0 0 3"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --offsets 4294967293,0,3
has err "--offsets '4294967293,0,3'"
for bad in 1.5 -0.1 nan some ""; do
    run 2 "$distill" "${one[@]}" --teacher a=maps -o no --flip "$bad"
    has err "--flip '$bad': expected a number from 0 to 1, or auto"
done
run 2 "$distill" "${one[@]}" --teacher a=maps -o no --learning-rate nan
has err "--learning-rate"
run 2 "$distill" "${one[@]}" --teacher a=maps -o no extra
run 0 "$distill" --help
has out "--teacher NAME=MAPS[:WEIGHT]"
has out "pasted elsewhere"
lacks out "--max-minutes"
run 0 "$distill" "${one[@]}" --teacher a=maps -o unmade --max-time 2h --print-config
has out '"max-time": 120'
has out '"teacher": ['
[ ! -e unmade ] || fail "--print-config did something"

# --check finds the same mistakes; neither it nor options that are refused leave a folder.
run 0 "$distill" "${one[@]}" --teacher a=maps -o unmade --altered-cache unmade2 --check -q
empty out
empty err
for more in --check --no-check; do
    run 2 "$distill" "${one[@]}" --teacher a=maps -o unmade --altered-cache unmade2 $more --samples-per-epoch 7
    has err "samples per epoch must be at least one batch"
done
run 2 "$distill" "${train[@]}" -o whole --check
has err "whole/checkpoint.safetensors exists"
run 0 "$distill" "${train[@]}" -o whole --check --resume -q
[ ! -e unmade ] && [ ! -e unmade2 ] || fail "--check or a refused command left a folder"

# ---- folders and disks ------------------------------------------------------------------------------------------

echo text >file
run 1 "$distill" "${one[@]}" --teacher a=maps -o file
has err "file"
run 1 "$distill" "${one[@]}" --teacher a=maps -o /proc/saccade
has err "/proc/saccade"
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod a-w locked
    run 1 "$distill" "${one[@]}" --teacher a=maps -o locked
    has err "locked/student.safetensors"
else
    echo "SKIPPED: a folder that may not be written: root may write everywhere"
fi

# A disk that is full, as a limit on the size of files: large ones fail half-way, with an error like ENOSPC's.
full=(bash -c 'trap "" XFSZ; ulimit -f "$1"; shift; exec "$@"' -)
run 1 "${full[@]}" 200 "$distill" "${one[@]}" --pseudo 0 --teacher a=maps -o full
has err "full/checkpoint.safetensors: cannot be written"
[ ! -e full/checkpoint.safetensors ] || fail "a half checkpoint"
no_rest full
# An older checkpoint survives, and with room again the run goes on from it. (stop_in_epoch_two left one.)
stop_in_epoch_two INT later
cp later/checkpoint.safetensors kept
run 1 "${full[@]}" 200 "$distill" "${train[@]}" -o later --resume
has err "later/checkpoint.safetensors"
cmp later/checkpoint.safetensors kept || fail "the checkpoint was lost on a full disk"
no_rest later
run 0 "$distill" "${train[@]}" -o later --resume
same_run later whole
# And a disk that is full indeed.
if mkdir tmpfs && mount -t tmpfs -o size=3M none tmpfs 2>/dev/null; then
    trap 'umount tmpfs' EXIT
    run 1 "$distill" "${one[@]}" --pseudo 0 --teacher a=maps -o tmpfs --checkpoint-seconds 0
    has err "tmpfs/"
    has err "No space left"
    no_rest tmpfs
else
    echo "SKIPPED: a really full disk: this user may not mount one"
fi
exit 0
