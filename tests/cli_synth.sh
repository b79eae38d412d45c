# synth: help, usage errors, results as text and JSON, the baseline, refused folders, interruption.
set -u
synth="$SACCADE_BIN/synth"
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# expect CODE PATTERN COMMAND...: exit code, and PATTERN in what it printed (both streams)
expect() {
    code=$1 pattern=$2
    shift 2
    text=$("$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* -> $text"
    grep -q -- "$pattern" <<<"$text" || fail "no '$pattern' in the output of $*: $text"
}

rm -rf work && mkdir work && cd work || exit 1

expect 0 'usage: synth -o DIR' "$synth" --help
for word in --width --height --train-clips --test-clips --frames --walkers --frame-rate --baseline --seed loiterer; do
    expect 0 "$word" "$synth" --help
done
expect 0 '^synth [0-9]' "$synth" --version
expect 2 'output' "$synth"
expect 2 'no-such-option' "$synth" -o x --no-such-option
expect 2 'width' "$synth" -o x --width 17 --height 13
expect 2 '4097' "$synth" -o x --height 4097
expect 2 'twelve' "$synth" -o x --frames twelve
expect 2 'frames' "$synth" -o x --frames 0
expect 2 'nan' "$synth" -o x --frame-rate nan
expect 2 'walkers' "$synth" -o x --walkers -1
expect 2 'seed' "$synth" -o x --seed 1.5
expect 2 'clips' "$synth" -o x --train-clips 0 --test-clips 0
expect 2 'test-clips' "$synth" -o x --baseline --test-clips 0
expect 2 'stray' "$synth" -o x stray
[ ! -e x ] || fail "a usage error left a folder behind"

set -- --width 48 --height 32 --train-clips 1 --test-clips 3 --frames 30
"$synth" -o set "$@" --baseline --quiet >out.txt 2>err.txt || fail "writing a set: $(cat err.txt)"
[ ! -s err.txt ] || fail "--quiet wrote to standard error: $(cat err.txt)"
grep -q 'Test001 *cyclist *[0-9]' out.txt || fail "no cyclist in the table"
grep -q 'mean absolute frame difference *\(0\.[0-9]*\|1.000\)' out.txt || fail "no AUC of the frame difference: $(cat out.txt)"
[ "$(ls set/Train/Train001 | wc -l)" = 30 ] || fail "not 30 training frames"
[ "$(ls set/Test/Test003_gt | wc -l)" = 30 ] || fail "not 30 masks"
[ "$(grep -c gt_frame set/Test/synth.m)" = 3 ] || fail "not 3 entries in synth.m"
"$synth" -o set "$@" --baseline --quiet --json >again.json 2>/dev/null || fail "writing the set again"
grep -q '"micro_auc_mean": [01]' again.json || fail "no AUC in the JSON: $(cat again.json)"
expect 2 'other settings' "$synth" -o set "$@" --seed 2
mkdir other && echo text >other/file
expect 2 'not empty' "$synth" -o other "$@"
expect 1 'file' "$synth" -o other/file "$@"
if [ -e /dev/full ]; then
    "$synth" -o set "$@" --quiet >/dev/full 2>err.txt && fail "a full standard output went unnoticed"
    grep -q 'standard output' err.txt || fail "no word about standard output: $(cat err.txt)"
fi

# Interrupted, it says so, leaves an unfinished set, and the next run completes it.
"$synth" -o long --width 48 --height 32 --train-clips 1000 --test-clips 0 --frames 200 --quiet >out.txt 2>err.txt &
pid=$!
for _ in $(seq 100); do
    [ -e long/Train/Train001/003.png ] && break
    sleep 0.1
done
kill -INT $pid
wait $pid
got=$?
[ "$got" = 130 ] || fail "interrupted, exit $got: $(cat err.txt)"
grep -q 'stopped after' err.txt || fail "interrupted, but said: $(cat err.txt)"
grep -q '"complete": false' long/synth.json || fail "an interrupted set claims to be complete"
find long -name '*tmp*' | grep -q . && fail "temporary files were left behind"

[ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
