#!/usr/bin/env bash
# student-bench peers: without peers, with a fake one, and with those of bench/peers where they are
# set up; results in files; refusals.
. "$(dirname "$0")/cli_lib.sh"
bench="$SACCADE_BIN/student-bench"
fresh
"$SACCADE_BIN/make-model" m.safetensors --width 48 --height 32 || fail "no model"
few="-m m.safetensors --repeats 2 --seconds 0.02 --width 64 --height 48 --frames 20 --progress never"

run 0 "$bench" peers $few --peer nowhere/peer --json none.json --csv none.csv --markdown none.md
has out 'SKIPPED: all peers: nowhere/peer'
has out '| saccade-f32 | f32 |'
has none.json '"peers_missing": "nowhere/peer'
has none.csv 'u8 frames to scores; saccade-f32'
cmp -s out none.md || fail "the table in the file is another one"

# Without the option they are looked for beside the program's folder, wherever it is called from.
mkdir -p elsewhere/bin elsewhere/peers
cp "$bench" elsewhere/bin/
run 0 elsewhere/bin/student-bench peers $few
has out "SKIPPED: all peers: $PWD/elsewhere/bin/../peers/peer"
run 1 elsewhere/bin/student-bench peers $few --only ort-int8
has err "--only ort-int8: $PWD/elsewhere/bin/../peers/peer"
cp "$SACCADE_SOURCE/tests/fake_peer.sh" elsewhere/peers/peer
run 0 elsewhere/bin/student-bench peers $few
has out 'SKIPPED: good: not the same network'

# Its maps are not this network's, so that it is left out, with the reason.
run 0 "$bench" peers $few --peer "$SACCADE_SOURCE/tests/fake_peer.sh"
has out 'SKIPPED: good: not the same network'
run 2 "$bench" peers $few --peer "$SACCADE_SOURCE/tests/fake_peer.sh" --only better
has err "no peer is called 'better'"
run 2 "$bench" peers $few --threads 0
run 2 "$bench" peers --repeats 1
has err 'MODEL'
run 1 "$bench" peers -m nothing.safetensors
leftovers=$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'saccade-peers-*' -newer m.safetensors 2>/dev/null | wc -l)
[ "$leftovers" = 0 ] || fail "$leftovers temporary folders are left behind"

# The real ones, where somebody has made them.
peer=${SACCADE_PEER:-$SACCADE_BUILD/peers/peer}
[ -x "$peer" ] || skip "peers themselves: $peer is not there (bench/peers/setup makes it); the rest passed"
run 0 "$bench" peers $few --peer "$peer"
lacks out 'not the same network'
cat out
echo ok
