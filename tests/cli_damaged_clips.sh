# Videos with bit errors that the decoder covers up: every tool that opens a data set warns of each such clip once.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
bin=$SACCADE_BIN
fresh
run 0 "$bin/synth" -o pictures --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 60 --walkers 6 -q
run 0 "$bin/make-model" m.safetensors --width 64 --height 48
mkdir -p set/train set/test
for clip in Train/Train001 Train/Train002 Test/Test001; do
    half=${clip%%/*}
    run 0 "$bin/student-run" -m m.safetensors pictures/$clip -t 1 --overlay "set/${half,,}/${clip#*/}.mp4" -q
done
printf 'video,start,end\nTest001,20,40\n' >set/test/labels.csv
# damage FILE: bits are changed where the decoder notices it and covers it up, which is not everywhere
damage() {
    cp "$1" kept.mp4
    for at in $(seq 20 3 80); do
        cp kept.mp4 "$1"
        printf 'XXXX' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") * at / 100)) conv=notrunc status=none
        "$bin/student-run" -m m.safetensors "$1" -t 1 --csv scores.csv -q 2>err && grep -q 'damaged frames' err && return
    done
    fail "no place for damage in $1"
}
# warns: of both damaged clips once, and of the whole one not at all
warns() {
    for clip in Train002 Test001; do
        [ "$(grep -c "warning: clip '$clip': damaged frames: [1-9][0-9]*, the first is frame [1-9]" err)" = 1 ] ||
            fail "expected one warning of $clip: $(cat err)"
    done
    lacks err "clip 'Train001'"
}

teach=("$bin/teach" --dataset set --teacher attributes --attributes place --bank 100 -t 1 -q)
run 0 "${teach[@]}" -o whole
empty err
damage set/train/Train002.mp4
damage set/test/Test001.mp4
run 0 "${teach[@]}" -o maps --report report.html
warns
run 0 "$bin/distill" -i set --teacher a=maps -t 1 --width 48 --height 32 --pseudo 1 --batch 8 --epochs 1 \
    --samples-per-epoch 32 -o run -q
warns
run 0 "$bin/student-bench" eval --dataset set -m m.safetensors -m run/student.safetensors --maps maps --baseline -t 1 -q
warns
# Too few frames to calibrate with, but they are scored before that is said.
run 2 "$bin/student-calibrate" -m m.safetensors --dataset set -t 1 -q
warns
exit 0
