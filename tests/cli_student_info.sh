#!/usr/bin/env bash
# student-info: text and JSON for a random model, verification, refusals.
set -euo pipefail
bin=${SACCADE_BIN:?}
fail() { echo "FAILED: $*" >&2; exit 1; }
rm -rf ./* && "$bin/make-model" m.safetensors --width 48 --height 32

"$bin/student-info" m.safetensors > text
grep -q 'architecture  *tiny-m' text || fail "architecture"
grep -q '48x32 gray, frames t-3 t+0 t+3' text || fail "input"
"$bin/make-model" c.safetensors --width 48 --height 32 --colour
"$bin/student-info" c.safetensors > coloured
grep -q '48x32 in colour, frames t-3 t+0 t+3' coloured || fail "input in colour"
grep -q '^stem0.conv .*conv .*\[16\]\[16\]\[24\] ' text || fail "first layer's shape"
grep -q '^map16 .*sigmoid .*\[1\]\[16\]\[16\].*output' text || fail "output"
grep -q 'random weights, for tests' text || fail "provenance"

"$bin/student-info" m.safetensors --verify --json > json
jq_like() { grep -q "$1" json || fail "JSON lacks $1"; }
jq_like '"passed": true'
jq_like '"arch": "tiny-m"'
# The layers must add up to the totals.
awk '/"layers"/ {inside = 1} /"macs":/ {gsub(/[^0-9]/, "", $2); if (inside) sum += $2; else total = $2}
     END {exit !(sum > 0 && (total == 0 || sum == total))}' json || fail "MACs do not add up"
awk '/^total/ {total = $(NF-1); next} /^(stem|fuse|down|body|head|map)/ {if (/parameters of/) next; n = NF; if ($n == "output") n--; sum += $(n-1)}
     END {exit !(sum > 100000 && sum == total)}' text || fail "parameters do not add up"
# A stream computes one stem a frame: fewer than the whole network, and what student-run says.
"$bin/student-info" "$SACCADE_SOURCE/models/ped2.safetensors" > shipped
grep -q '20.32 MMAC streaming, 21.20 MMAC the whole network' shipped || fail "work: $(grep work shipped)"
"$bin/student-info" "$SACCADE_SOURCE/models/ped2.safetensors" --json > json
grep -q '"macs_per_frame": 203' json || fail "no macs_per_frame"
"$bin/student-info" m.safetensors --kernels > kernels
grep -q '^forward body2a.conv convolution' kernels || fail "kernels"
if grep -q ' ref' kernels; then fail "a step fell back to the plain reference: $(grep ' ref' kernels)"; fi

# Scales for int8: verified too, stem apart.
"$bin/make-model" q.safetensors --width 48 --height 32 --scales
"$bin/student-info" q.safetensors --verify > text3
grep -q 'int8  *scales of [1-9]' text3 || fail "scales"
grep -q '^verify f32 .*passed' text3 && grep -q '^verify int8 .*passed.*stem apart' text3 || fail "int8: $(grep verify text3)"
"$bin/student-info" q.safetensors --verify --json > json
jq_like '"verify_int8": {'
jq_like '"max_int8_from_f32": '
jq_like '"quantised_activations": [1-9]'
jq_like '"automatic_precision": "\(int8\|f32\)"'
jq_like '"int8_kernels": "\(amx\|vnni\|avx2\|plain\)"'
ONEDNN_MAX_CPU_ISA=avx2 "$bin/student-info" q.safetensors --json > json
jq_like '"int8_kernels": "\(avx2\|plain\)"'
ONEDNN_MAX_CPU_ISA=sse41 "$bin/student-info" q.safetensors --json > json
jq_like '"int8_kernels": "plain"'
jq_like '"automatic_precision": "f32"'

# Export: equal bytes for equal settings, and the file tells a stranger how to feed it.
"$bin/student-info" m.safetensors --export-onnx m.onnx > text2
cmp -s text text2 || fail "exporting changes what is printed"
"$bin/student-info" m.safetensors --export-onnx again.onnx --quiet > /dev/null
cmp -s m.onnx again.onnx || fail "two exports differ"
"$bin/student-info" m.safetensors --export-onnx pixels.onnx --onnx-input u8 --onnx-batch 0 > /dev/null
cmp -s m.onnx pixels.onnx && fail "pixels as input change nothing"
for word in saccade.preprocess saccade.provenance 'random weights, for tests' map16 frames BT.601; do
    grep -qaF "$word" m.onnx || fail "'$word' is not in the ONNX file"
done
grep -qa Cast pixels.onnx || fail "the graph does not take pixels"

expect() { # expect CODE WORD command...
    local want=$1 word=$2 code=0
    shift 2
    "$@" > out 2> err || code=$?
    [ "$code" = "$want" ] || fail "exit $code instead of $want: $*: $(cat err)"
    grep -q -- "$word" err || fail "'$word' is not in: $(cat err)"
}
expect 1 absent "$bin/student-info" absent.safetensors
head -c 1000 m.safetensors > cut.safetensors
expect 1 cut.safetensors "$bin/student-info" cut.safetensors
expect 2 student-info "$bin/student-info"
expect 2 -- "$bin/student-info" m.safetensors --nonsense
expect 1 nowhere "$bin/student-info" m.safetensors --export-onnx nowhere/m.onnx
cp m.safetensors mine.safetensors
expect 2 'would replace' "$bin/student-info" mine.safetensors --export-onnx ./mine.safetensors
cmp m.safetensors mine.safetensors || fail "an export replaced the model"
expect 2 onnx-input "$bin/student-info" m.safetensors --export-onnx x.onnx --onnx-input u9
expect 1 'no scales for 8 bits' "$bin/student-info" m.safetensors --export-onnx x.onnx --onnx-precision int8
expect 2 export-onnx "$bin/student-info" m.safetensors --onnx-precision int8
expect 2 export-onnx "$bin/student-info" m.safetensors --onnx-input u8
expect 2 export-onnx "$bin/student-info" m.safetensors --onnx-batch 0
expect 2 onnx-batch "$bin/student-info" m.safetensors --export-onnx x.onnx --onnx-batch -1
[ ! -e x.onnx ] || fail "a refused export left a file"
expect 1 'standard output' bash -c "'$bin/student-info' m.safetensors > /dev/full"
echo ok
