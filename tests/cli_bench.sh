# student-bench: help of every command, usage errors, and that failures leave nothing behind.
set -u
bench="$SACCADE_BIN/student-bench"
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

expect 0 'usage: student-bench COMMAND' "$bench" --help
expect 0 'usage: student-bench COMMAND' "$bench" -h
expect 0 '^student-bench [0-9]' "$bench" --version
for command in eval run scenarios layers machine train peers compare report pareto suite; do
    expect 0 "usage: student-bench $command" "$bench" $command --help
    expect 0 "usage: student-bench $command" "$bench" $command -h
    expect 2 'no-such-option' "$bench" $command --no-such-option
done
expect 2 'no command' "$bench"
expect 2 "unknown command 'evaluate'" "$bench" evaluate
# Help goes to standard output, complaints to standard error.
[ -z "$("$bench" run --help 2>&1 >/dev/null)" ] || fail "help on standard error"
[ -z "$("$bench" evaluate 2>/dev/null)" ] || fail "a complaint on standard output"

expect 2 'MODEL is missing' "$bench" run
expect 2 "'0'" "$bench" run -m none.safetensors -t 0
expect 2 "'1,'" "$bench" run -m none.safetensors -t 1,
expect 2 "'two'" "$bench" run -m none.safetensors -t two
expect 2 "'1,2,3,4,5,6,7,8,9'" "$bench" run -m none.safetensors -t 1,2,3,4,5,6,7,8,9
expect 2 'repeats' "$bench" run -m none.safetensors --repeats 0
expect 2 'seconds' "$bench" run -m none.safetensors --seconds nan
expect 1 'none.safetensors' "$bench" run -m none.safetensors
: >empty.safetensors
expect 1 'empty.safetensors' "$bench" run -m empty.safetensors
head -c 5000 /dev/zero >zeros.safetensors
expect 1 'zeros.safetensors' "$bench" run -m zeros.safetensors --json speed.json
[ ! -e speed.json ] || fail "a failed run wrote speed.json"
expect 2 'DIR is missing' "$bench" eval
expect 2 'nothing to evaluate' "$bench" eval --dataset .
expect 2 'savings needs -m MODEL' "$bench" eval --dataset . --baseline --savings
expect 2 'gate needs -m MODEL' "$bench" eval --dataset . --baseline --gate
expect 2 'per-task needs --maps FOLDER' "$bench" eval --dataset . --baseline --per-task
expect 2 'sigma and --taps need' "$bench" eval --dataset . --baseline --sigma 2
expect 2 'sigma and --taps need' "$bench" eval --dataset . --baseline --smoothing none --taps 3
expect 2 'odd' "$bench" eval --dataset . --baseline --smoothing light --taps 4
expect 2 'odd' "$bench" eval --dataset . --baseline --smoothing causal --taps 65
expect 2 'smoothing' "$bench" eval --dataset . --baseline --smoothing gaussian
expect 1 'nowhere' "$bench" eval --dataset nowhere --baseline

expect 0 'f32 matmul' "$bench" machine -t 1 --seconds 0.01 --quiet --json machine.json
grep -q '"f32_gflops"' machine.json || fail "machine.json has no f32_gflops"
grep -q '"int8_gops"' machine.json || fail "machine.json has no int8_gops"
grep -q '"figures"' machine.json || fail "machine.json has no figures"
expect 0 '^f32 matmul; 1 thread,GFLOP/s,higher,[0-9]' "$bench" machine -t 1 --seconds 0.001 -q --csv - --markdown machine.md
grep -qx name,unit,better,value,low,high,rounds,limit,of_limit <<<"$text" || fail "no CSV on standard output: $text"
head -n 1 machine.md | grep -q ' cores\?, .* saccade [0-9].*, load' || fail "machine.md lacks the machine: $(head -n 1 machine.md)"
grep -q '^| memory copy, read and write | 1 |' machine.md || fail "machine.md: $(cat machine.md)"
grep -q 'optical flow 240x160' machine.json || fail "machine.json has no optical flow"
expect 1 'no-folder' "$bench" machine -t 1 --seconds 0.01 --json no-folder/machine.json
# Result files side by side.
sed 's/"load_before": .*/"load_before": 0.5,/' machine.json >later.json
expect 0 '| f32 matmul; 1 thread | GFLOP/s |' "$bench" compare machine.json later.json -q
expect 0 '| f32 matmul; 1 thread | GFLOP/s |.* 1.000 |' "$bench" compare machine.json machine.json --fail-below 1
expect 1 'ratios are below 1.5' "$bench" compare machine.json machine.json --fail-below 1.5
expect 0 '1 figures' "$bench" compare machine.json machine.json --only 'f32 matmul*' --json cmp.json
grep -q '"geometric_mean": 1.0' cmp.json || fail "cmp.json: $(cat cmp.json)"
expect 0 '^f32 matmul; 1 thread,GFLOP/s,[0-9.]*,[0-9.]*,1,' "$bench" compare machine.json machine.json -q --csv -
expect 0 '| ratio |' "$bench" compare machine.json machine.json -q --csv cmp.csv
[ "$(head -n 1 cmp.csv)" = figure,unit,a,b,ratio,difference ] || fail "cmp.csv: $(cat cmp.csv)"
sed 's/"cpu": ".*"/"cpu": "another"/' machine.json >other.json
expect 0 'the two differ in cpu' "$bench" compare machine.json other.json
sed 's/f32 matmul; 1/f32 matmul; 9/' machine.json >other.json
expect 1 'missing in the second' "$bench" compare machine.json other.json --fail-below 0.01
expect 2 'no measured figure in common' "$bench" compare machine.json machine.json --only nothing
expect 1 'nowhere.json' "$bench" compare machine.json nowhere.json
expect 1 'no "figures"' "$bench" compare machine.json cmp.json
expect 1 'zeros.safetensors' "$bench" compare zeros.safetensors machine.json
expect 2 'positional\|argument\|expected' "$bench" compare machine.json
expect 2 '.svg or .png' "$bench" run -m none.safetensors --plot speed.pdf

# A result that cannot be written is refused before anything is measured or even read.
for option in --json --csv --markdown; do
    expect 1 'no-folder' timeout 60 "$bench" machine -t 1 --seconds 600 $option no-folder/x
    expect 1 'no-folder' "$bench" run -m none.safetensors $option no-folder/x
    expect 1 'no-folder' "$bench" scenarios -m none.safetensors $option no-folder/x
    expect 1 'no-folder' "$bench" peers -m none.safetensors $option no-folder/x
    expect 1 'no-folder' "$bench" layers -m none.safetensors $option no-folder/x
    expect 1 'no-folder' "$bench" train --arch none $option no-folder/x
    expect 1 'no-folder' "$bench" compare none.json none.json $option no-folder/x
    expect 1 'no-folder' "$bench" pareto --dataset none -m none.safetensors $option no-folder/x
done
expect 1 'no-folder' "$bench" eval --dataset none --baseline -o no-folder/x
expect 1 'no-folder' "$bench" eval --dataset none --baseline --markdown no-folder/x
expect 1 'no-folder' "$bench" run -m none.safetensors --plot no-folder/x.svg
expect 1 'no-folder' "$bench" pareto --dataset none -m none.safetensors --plot no-folder/x.svg
expect 1 'no-folder' "$bench" report --dataset none --maps none -o no-folder/x
echo '{}' >read.json
for command in "compare read.json none.json" "compare none.json read.json" "run -m read.json" "run -m none read.json" \
    "scenarios -m read.json" "scenarios -m none read.json" "layers -m read.json" "peers -m read.json" "peers -m none read.json" \
    "pareto --dataset none -m read.json" "eval --dataset none -m read.json"; do
    expect 2 'read.json' "$bench" $command --csv read.json
    expect 2 'read.json' "$bench" $command --markdown ./read.json
done
[ "$(cat read.json)" = '{}' ] || fail "a file that is read was written over"
expect 1 'is a folder' "$bench" run -m none.safetensors --json .
expect 2 'one of JSON, Markdown and CSV' "$bench" run -m none.safetensors --json - --csv -
if [ -e /dev/full ]; then
    # What is lost only when it is written has been shown before, and the other files are there.
    expect 1 'f32 matmul' "$bench" machine -t 1 --seconds 0.001 -q --csv /dev/full --json late.json
    [[ $text == */dev/full* ]] || fail "no word about /dev/full: $text"
    grep -q '"figures"' late.json || fail "no late.json beside a file that could not be written"
    "$bench" machine -t 1 --seconds 0.01 --quiet >/dev/full 2>full.txt
    [ $? = 1 ] || fail "a full disk did not fail the run"
    grep -q 'standard output' full.txt || fail "no word about the full disk: $(cat full.txt)"
fi

[ "$failures" = 0 ] && echo "all passed" || exit 1
