# teach with a detection network: boxes come from the network, the cache spares the next run the network, errors name the file.
export OMP_WAIT_POLICY=passive
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
"$SACCADE_BIN/synth" -o data --width 96 --height 64 --train-clips 2 --test-clips 1 --frames 24 --walkers 5 --seed 3 --quiet ||
    skip "synth failed"

# One convolution and one head. Zero weights: every cell says 0.5 * 0.5 for both classes, boxes are the anchor.
cat >grid.cfg <<'CFG'
[net]
width=32
height=32
channels=3
[convolutional]
filters=7
size=16
stride=16
activation=linear
[yolo]
mask=0
anchors=14,22
num=1
classes=2
CFG
numbers=$((7 + 7 * 3 * 16 * 16))
head -c $((16 + 4 * numbers)) /dev/zero >grid.weights
printf 'walker\nrider\n' >grid.names
common=(--dataset data --detector "darknet:grid.cfg:grid.weights:grid.names" --min-confidence 0.2 --network-scale 1
    --classes walker --detections-cache cache --crop-size 16 --batch 8 --epochs 1 --samples-per-epoch 16
    --validation-samples 16 --seed 5 --threads 1)

run 0 "$SACCADE_BIN/teach" "${common[@]}" -o a
grep -q "detection networks: 72 frames at .* frames/s, 0 clips from the cache" err || fail "no speed: $(cat err)"
[ "$(ls cache | grep -c boxes.safetensors)" = 3 ] || fail "the cache holds $(ls cache)"
# 6 x 4 cells of 16 px in 96 x 64, one box each in 24 frames of 3 clips.
grep -q "1152 objects in 2 training clips, 576 in 1 test clips (darknet:grid.cfg:grid.weights)" err ||
    fail "objects: $(grep objects err)"

run 0 "$SACCADE_BIN/teach" "${common[@]}" -o b
grep -q "detection networks: 0 frames at .*, 3 clips from the cache" err || fail "the cache was not used: $(cat err)"
cmp -s a/objects.csv b/objects.csv || fail "boxes of the cache give other objects"
grep -q "detections-cache" a/store.json && fail "the cache's folder is in the provenance"

head -c 100 grid.weights >short.weights
run 1 "$SACCADE_BIN/teach" --dataset data --detector darknet:grid.cfg:short.weights -o c
grep -q "short.weights: 21 numbers, the cfg needs 5383; they run out in layer 0 (line 5 of the cfg)" err ||
    fail "message: $(cat err)"
sed 's/activation=linear/activation=maxout/' grid.cfg >bad.cfg
run 1 "$SACCADE_BIN/teach" --dataset data --detector darknet:bad.cfg:grid.weights -o c
grep -q "bad.cfg: line 9: .*maxout" err || fail "message: $(cat err)"
run 2 "$SACCADE_BIN/teach" "${common[@]}" --classes dog -o c
grep -q "'dog' is not known to darknet:grid.cfg:grid.weights, which has walker, rider" err || fail "message: $(cat err)"
