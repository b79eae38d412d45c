# student-bench layers: each step of an inference with its share, in int8 and f32, as table and as JSON.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
bench="$SACCADE_BIN/student-bench"
small="--seconds 0.001 --repeats 2 -q"

run 0 "$bench" layers $small --json result.json --csv result.csv
grep -Eq '^stem and body_[^,]*,frames/s,higher,[0-9.]*[1-9].*,int8 matmul,' result.csv || fail "result.csv: $(cat result.csv)"
has out "| stem0.conv | u8-convolution"
has out "| head1.logit | u8-convolution-head"
for key in matmul_gops run_us of_matmul; do
    grep -Eq "\"$key\": [0-9.e-]*[1-9]" result.json || fail "$key is not a positive number: $(cat result.json)"
done
grep -q '"split": true' result.json || fail "a preset does not run as stem and body"
! grep -q '"stem1.conv"' result.json || fail "a frame of a stream costs one stem"
# The network of three frames: a stem each, on the kernel of the one.
for colour in "" --colour; do
    "$SACCADE_BIN/make-model" model.safetensors --arch tiny-s --scales $colour || fail "make-model"
    run 0 "$bench" layers $small -m model.safetensors
    grep -o '| stem0.conv | [^|]*' out > split.txt || fail "no stem"
    run 0 "$bench" layers $small -m model.safetensors --whole
    has out "| stem2.conv | u8-convolution"
    grep -o '| stem0.conv | [^|]*' out | cmp -s - split.txt || fail "another kernel: $(cat out split.txt)"
done
run 0 "$bench" layers $small --precision f32 -t 2 --json -
grep -q '"precision": "f32"' out || fail "no JSON on standard output"

run 2 "$bench" layers $small -m model.safetensors --arch tiny-l
has err "--arch tiny-l: the architecture of --model is its own"
grep -q '"arch": "tiny-s"' result.json || fail "the architecture that was measured is not in the settings"
run 2 "$bench" layers $small --arch huge
has err "huge"
run 2 "$bench" layers --repeats 0
run 1 "$bench" layers $small -m no-such.safetensors
has err "no-such.safetensors"
run 1 "$bench" layers $small --json no-folder/result.json
has err "no-folder"
run 0 "$bench" machine -t 1 --seconds 0.001 -q
has out "| int8 matmul | 1 |"
