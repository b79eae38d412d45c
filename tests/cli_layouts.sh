#!/usr/bin/env bash
# The same data as UCSD, Avenue, ShanghaiTech, UBnormal and a mirror: the tools must find the same in each.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
bin=$SACCADE_BIN
fresh
run 0 "$bin/synth" -o ucsd --width 96 --height 64 --train-clips 3 --test-clips 2 --frames 40 --walkers 6 -q
run 0 "$bin/make-model" m.safetensors --width 64 --height 48

# Accuracy of frames: one table, whatever the layout. Rows of RBDC and TBDC too where masks are the same kind.
run 0 "$bin/student-bench" eval --dataset ucsd --baseline -m m.safetensors -t 1
rows() { grep -E '^\| (model|frame difference)' out; } # not those of single clips, whose names differ
rows >expected
[ "$(wc -l <expected)" -ge 8 ] || fail "no table: $(cat out)"
for layout in avenue shanghaitech ubnormal mirror; do
    run 0 "$SACCADE_BUILD/tests/bin/make-layouts" ucsd $layout $layout
    touch $layout/.DS_Store
    run 0 "$bin/student-bench" eval --dataset $layout --baseline -m m.safetensors -t 1
    rows >got
    case $layout in
        mirror) ;; # holds no masks: no regions
        *) grep -q 'pixel masks' out || fail "$layout: no regions: $(cat out)" ;;
    esac
    case $layout in
        avenue | shanghaitech) diff expected got >difference ;; # the same masks: the same RBDC and TBDC
        *) diff <(awk -F'|' 'NF == 6' expected) <(awk -F'|' 'NF == 6' got) >difference ;;
    esac || fail "$layout: frames are scored or labelled differently: $(cat difference)"
done

# teach and distill on one that has everything in other files: videos, .mat masks, one folder further down.
run 0 "$bin/teach" --dataset avenue -o maps --teacher attributes --attributes place --bank 100 -t 1 -q
[ -e maps/store.json ] || fail "no maps"
run 0 "$bin/distill" -i avenue --teacher a=maps -t 1 --width 48 --height 32 --pseudo 1 --batch 8 --epochs 1 \
    --samples-per-epoch 32 -o run -q
run 0 "$bin/student-bench" eval --dataset 'avenue/Avenue Dataset' -m run/student.safetensors --maps maps -t 1
run 2 "$bin/student-calibrate" -m m.safetensors --dataset avenue -t 1
has err "120 frames"

# Refusals name what is wrong.
run 1 "$bin/student-bench" eval --dataset shanghaitech:avenue --baseline
has err 'shanghaitech'
rm 'avenue/ground_truth_demo/testing_label_mask/2_label.mat'
run 1 "$bin/student-bench" eval --dataset avenue --baseline
has err '2_label.mat'
printf '\x80\x04\x95pickled' >shanghaitech/testing/test_frame_mask/01_0001.npy
run 1 "$bin/teach" --dataset shanghaitech -o none -q
has err 'allow_pickle=True'
echo ok
