#!/usr/bin/env bash
# student-run and what can be wrong: models, sources, outputs, options. Each case wants an exit code, a word in the message
# and no output file.
set -euo pipefail
bin=${SACCADE_BIN:?}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=${SACCADE_SOURCE:?}/tests/lsan.supp:print_suppressions=0}
fail() { echo "FAILED: $*" >&2; exit 1; }
command -v ffmpeg > /dev/null || { echo "SKIPPED: ffmpeg is not installed"; exit 77; }
chmod -R u+w . 2> /dev/null || true
rm -rf ./*
"$bin/make-model" m.safetensors --width 32 --height 32
ffmpeg -v error -f lavfi -i testsrc2=size=48x32:rate=10:duration=1 -pix_fmt gray -c:v ffv1 clip.mkv

expect() { # expect CODE WORD arguments...
    local want=$1 word=$2 code=0
    shift 2
    rm -f o.csv
    timeout 60 "$bin/student-run" -t 1 "$@" > out 2> err || code=$?
    [ "$code" = "$want" ] || fail "exit code $code instead of $want: student-run $*: $(cat err)"
    grep -qi -- "$word" err || fail "'$word' is not in the message of student-run $*: $(cat err)"
    [ ! -e o.csv ] || fail "an output was left by student-run $*"
    [ -z "$(find . -name '*.tmp*')" ] || fail "a temporary was left by student-run $*"
}

# Models.
expect 2 '-m MODEL' clip.mkv --csv o.csv
expect 2 'name is empty' -m '' clip.mkv --csv o.csv
expect 1 'absent.safetensors' -m absent.safetensors clip.mkv --csv o.csv
expect 1 'folder' -m . clip.mkv --csv o.csv
: > empty.safetensors
expect 1 'empty.safetensors' -m empty.safetensors clip.mkv --csv o.csv
yes 'this is text' | head -c 4000 > text.safetensors || true
expect 1 'text.safetensors' -m text.safetensors clip.mkv --csv o.csv
expect 1 'clip.mkv' -m clip.mkv clip.mkv --csv o.csv
size=$(stat -c %s m.safetensors)
for cut in 1 7 8 9 200 $((size / 2)) $((size - 1)); do
    head -c "$cut" m.safetensors > cut.safetensors
    expect 1 'cut.safetensors' -m cut.safetensors clip.mkv --csv o.csv
done
(cat m.safetensors; echo tail) > longer.safetensors
expect 1 'longer.safetensors' -m longer.safetensors clip.mkv --csv o.csv
cp m.safetensors nan.safetensors
printf '\000\000\300\177' | dd of=nan.safetensors bs=1 seek=$((size - 4)) conv=notrunc status=none
expect 1 'nan.safetensors.*not finite\|not finite.*nan.safetensors' -m nan.safetensors clip.mkv --csv o.csv
expect 1 '\.weight\|\.bias\|running' -m nan.safetensors clip.mkv --csv o.csv

# Sources.
expect 2 'source\|argument\|positional' -m m.safetensors --csv o.csv
expect 1 'absent.mp4' -m m.safetensors absent.mp4 --csv o.csv
mkdir nothing
expect 1 'nothing' -m m.safetensors nothing --csv o.csv
mkdir letters && echo hello > letters/a.txt
expect 1 'letters' -m m.safetensors letters --csv o.csv
: > void.mp4
expect 1 'void.mp4' -m m.safetensors void.mp4 --csv o.csv
echo 'not a video' > words.mp4
expect 1 'words.mp4' -m m.safetensors words.mp4 --csv o.csv
ffmpeg -v error -f lavfi -i sine=duration=1 sound.wav
expect 1 'sound.wav' -m m.safetensors sound.wav --csv o.csv
ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=10:duration=3 -c:v mpeg4 -movflags +faststart whole.mp4
head -c 3000 whole.mp4 > start.mp4 # breaks off before a row is complete: nothing is written
expect 1 'start.mp4' -m m.safetensors start.mp4 --csv o.csv

# Outputs: refused before a frame is read.
expect 1 '/nonexistent-folder' -m m.safetensors clip.mkv --csv /nonexistent-folder/o.csv
expect 1 '/nonexistent-folder' -m m.safetensors clip.mkv --csv o.csv --overlay /nonexistent-folder/o.mp4
expect 1 '/nonexistent-folder' -m m.safetensors clip.mkv --csv o.csv --report /nonexistent-folder/o.html
expect 1 'm.safetensors' -m m.safetensors clip.mkv --csv m.safetensors/o.csv
mkdir locked && chmod a-w locked
if [ ! -w locked ]; then expect 1 'locked' -m m.safetensors clip.mkv --csv locked/o.csv; fi
chmod u+w locked
expect 1 '/dev/full' -m m.safetensors clip.mkv --csv /dev/full
expect 1 '/dev/full' -m m.safetensors clip.mkv --csv o.csv --maps /dev/full
expect 1 '/dev/full' -m m.safetensors clip.mkv --csv o.csv --report /dev/full
expect 2 'replace the input' -m m.safetensors clip.mkv --csv clip.mkv
expect 2 'replace the input' -m m.safetensors clip.mkv --maps m.safetensors
[ "$(stat -c %s m.safetensors)" = "$size" ] || fail "the model was touched"
expect 2 'same name' -m m.safetensors clip.mkv --csv o.csv --jsonl ./o.csv
expect 2 '{}' -m m.safetensors clip.mkv whole.mp4 --csv o.csv
expect 2 '--maps' -m m.safetensors clip.mkv --maps -
expect 2 'standard output' -m m.safetensors clip.mkv --csv - --json
code=0
"$bin/student-run" -m m.safetensors -t 1 clip.mkv --quiet > /dev/full 2> err || code=$?
[ $code = 1 ] && [ "$(cat err)" = 'student-run: standard output: cannot be written: No space left on device' ] ||
    fail "a full disk behind standard output gives exit code $code: $(cat err)"
code=0
"$bin/student-run" -m m.safetensors -t 1 clip.mkv --json --quiet > /dev/full 2> err || code=$?
[ $code = 1 ] && [ "$(cat err)" = 'student-run: standard output: cannot be written: No space left on device' ] ||
    fail "a full disk behind --json gives exit code $code: $(cat err)"
# A reader that goes away leaves no temporaries.
ffmpeg -v error -stream_loop 400 -i clip.mkv -c copy long.mkv
mkdir piped
{ "$bin/student-run" -m m.safetensors -t 1 long.mkv --csv - --report piped/ 2> err || echo $? > code; } | head -2 > out
[ "$(cat code)" = 1 ] && grep -q 'standard output: cannot be written: Broken pipe' err || fail "a closed pipe: $(cat code err)"
[ -z "$(ls piped)" ] || fail "a closed pipe leaves $(ls piped)"

# Options.
expect 2 'size' -m m.safetensors clip.mkv --csv o.csv --size 10
expect 2 'size' -m m.safetensors clip.mkv --csv o.csv --size 0x10
expect 2 'size' -m m.safetensors clip.mkv --csv o.csv --size 10x20000
expect 2 'threshold' -m m.safetensors clip.mkv --csv o.csv --threshold nan
expect 2 'threshold' -m m.safetensors clip.mkv --csv o.csv --threshold 1.5
expect 2 'backend' -m m.safetensors clip.mkv --csv o.csv --backend cuda
expect 2 'moments' -m m.safetensors clip.mkv --csv o.csv --moments 0
expect 2 'taps' -m m.safetensors clip.mkv --csv o.csv --smoothing-taps 65
expect 2 'bogus' -m m.safetensors clip.mkv --csv o.csv --bogus
expect 2 'seed' -m m.safetensors clip.mkv --csv o.csv --seed 3
echo '{"threshold": 0.5}' > config.json
"$bin/student-run" -m m.safetensors clip.mkv --csv config.csv --config config.json > out 2> err || fail "a number in a config: $(cat err)"
grep -q 'at threshold 0.5' out || fail "a number in a config: $(cat out)"
"$bin/student-run" --help > out && grep -q -- '--threshold' out && grep -q -- '--far' out || fail "--help"
"$bin/student-run" --version > version
grep -q 'student-run [0-9]' version || fail "--version"
echo ok
