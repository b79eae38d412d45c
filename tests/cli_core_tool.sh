# Common behaviour of all tools: help, version, usage errors, exit codes, interruption, progress, lost output.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
probe="$SACCADE_BUILD/tests/bin/tool-probe"

run 0 "$probe" --help
has out "usage: tool-probe [options]"
has out "--threads N"
has out "(0 to 1024, default 0)"
empty err
run 0 "$probe" --version
grep -Eq '^tool-probe [0-9]+\.[0-9]+\.[0-9]+( \(commit [0-9a-f]+(-dirty)?\))?$' out || fail "version line: $(cat out)"
run 0 "$probe" --act print -t 3 --seed=9
[ "$(cat out)" = "result 3 9" ] || fail "stdout must hold the results only: $(cat out)"
grep -Eq '^tool-probe [0-9.]+: [0-9.]+ s wall, [0-9.]+ s CPU, [0-9]+ MiB peak$' err || fail "closing line: $(cat err)"
run 0 "$probe" --act print --quiet
empty err

# The resolved options are a config that gives them again.
run 0 "$probe" --act print -t 3 --seed=9 --print-config
empty err
cp out config.json
has config.json '"threads": 3'
run 0 "$probe" --config config.json --print-config
cmp out config.json || fail "the config changed: $(cat out)"
run 0 "$probe" --config config.json
[ "$(cat out)" = "result 3 9" ] || fail "the config gave: $(cat out)"

run 2 "$probe" --threads many
has err "tool-probe: -t/--threads: 'many' is not an integer from 0 to 1024"
has err "Try 'tool-probe --help'."
empty out
run 2 "$probe" surplus
has err "unexpected argument 'surplus'"
run 1 "$probe" --config /no/such.json
has err "/no/such.json"
run 1 "$probe" --act fail
[ "$(cat err)" = "tool-probe: clip.csv: line 3 is wrong" ] || fail "message: $(cat err)"
run 1 "$probe" --act fail-silently
[ "$(cat err)" = "tool-probe: out of memory" ] || fail "message: $(cat err)"

run 0 "$probe" --act log --quiet
has err "tool-probe: error: an error"
has err "tool-probe: warning: a warning"
lacks err "a remark"
run 0 "$probe" --act log
has err "tool-probe: a remark"
lacks err "a detail"

for redirection in print help version print-config; do
    code=0
    case $redirection in
        print) "$probe" --act print >/dev/full 2>err || code=$? ;;
        *) "$probe" --$redirection >/dev/full 2>err || code=$? ;;
    esac
    [ "$code" = 1 ] || fail "$redirection to a full disk: exit code $code"
    has err "No space left"
done

# A reader that goes away is an error, not a death.
code=0
{ "$probe" --act flood 2>err || echo $? >code; } | head -1 >/dev/null
[ "$(cat code)" = 1 ] || fail "a closed pipe: exit code $(cat code)"
has err "Broken pipe"

# The first signal lets the tool save and leave with 130; one right behind it is the same wish, as
# `timeout` sends its signal twice; one that comes half a second later kills.
start_probe() {
    rm -f out # what it says there tells that it is ready
    # A non-interactive shell starts background jobs with SIGINT ignored.
    env --default-signal=INT "$probe" --act "$1" >out 2>err &
    pid=$!
    for _ in $(seq 100); do [ -s out ] && break; sleep 0.05; done 2>/dev/null
}
for signals in INT TERM "INT INT" "TERM TERM" "INT TERM"; do
    start_probe wait
    for signal in $signals; do kill -$signal $pid; done
    code=0
    wait $pid || code=$?
    [ "$code" = 130 ] || fail "SIG$signals: exit code $code"
    has err "interrupted"
done
start_probe ignore
kill -TERM $pid
kill -TERM $pid
sleep 0.2
kill -0 $pid 2>/dev/null || fail "two signals in quick succession killed the tool"
sleep 0.8
kill -TERM $pid
code=0
wait $pid || code=$?
[ "$code" = 143 ] || fail "second SIGTERM: exit code $code"

# OpenMP's threads sleep between regions unless the person wants otherwise.
run 0 env -u OMP_WAIT_POLICY "$probe" --act threads
has out passive
run 0 env OMP_WAIT_POLICY=active "$probe" --act threads
has out active

# Without a terminal progress is silent unless asked for; then it is whole lines, at most one per 10 s.
run 0 "$probe" --act progress
lacks err "teach"
run 0 "$probe" --act progress --progress always
lacks err $'\r'
if script -qec true /dev/null >/dev/null 2>&1; then
    run 0 script -qec "'$probe' --act progress" /dev/null
    has out "teach "
    grep -Eq 'teach [0-9]+/40 [0-9.]+ frames/s ETA 0:00:0[0-9]' out || fail "progress line: $(tr '\r' '\n' <out)"
    has out " nearly"
    updates=$(tr '\r' '\n' <out | grep -c 'teach ')
    [ "$updates" -ge 2 ] && [ "$updates" -le 8 ] || fail "$updates updates in one second, at most 6 Hz were expected"
    run 0 script -qec "'$probe' --act progress --progress never" /dev/null
    lacks out "teach "
    run 0 script -qec "'$probe' --act progress --quiet" /dev/null
    lacks out "teach "
else
    echo "SKIPPED: progress on a terminal: the command 'script' cannot make one here"
fi
echo "ok"
