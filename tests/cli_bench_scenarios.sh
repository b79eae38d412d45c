# student-bench scenarios: one short round of each gives finite figures in every kind of output; what is refused.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
fresh
bench="$SACCADE_BIN/student-bench"
model="$SACCADE_SOURCE/models/ped2.safetensors"
small=(-t 1 --repeats 1 --seconds 0.02 --frames 12 --width 96 --height 64 --search-seconds 0.1 --verify-seconds 0.2
    --most-cameras 2 --streams 3 --late 90)

run 0 "$bench" scenarios -m "$model" "${small[@]}" --json all.json --csv all.csv --markdown all.md --plot all.svg
has err "cameras with decoding"
for name in "3 streams at 25 FPS with decoding; late frames" "3 streams at 25 FPS with decoding; peak memory" \
    "start of student-run; until the first row" "latency; frame in memory to score; p50" "latency; frame in file to score; p99" \
    "student alone; one plan; 1 thread" "decode only; 1 thread" "f32 matmul; 1 thread" "memory copy" \
    "cameras at 25 FPS; with decoding" "cameras at 25 FPS; decoded frames from memory"; do
    for file in out all.json all.csv all.md; do has $file "$name"; done
done
for key in streams startup latency offline cameras machine settings version; do has all.json "\"$key\""; done
cmp out all.md || fail "the table on standard output is another than in the file"
has all.svg "</svg>"
# A file with itself: nothing differs.
run 0 "$bench" compare all.json all.json --fail-below 1 -q
has out "Geometric mean 1.000"

run 0 "$bench" scenarios -m "$model" "${small[@]}" --only latency --json - -q
has out '"p999_ms": null'
lacks out '"cameras"'

# Six minutes of frames: memory is the same at the end.
run 0 "$bench" scenarios -m "$model" "${small[@]}" --only endurance --hours 0.1 --json endurance.json
has out "9000 frames in one run; resident memory at the end"
has out "9000 frames in one run; growth of resident memory"
has endurance.json '"flat": true'
[ "$(grep -c '"resident_bytes"' endurance.json)" = 25 ] || fail "not 25 samples of memory"
run 2 "$bench" scenarios -m "$model" --only endurance --hours 0
run 2 "$bench" scenarios -m "$model" --only endurance --hours 0.01 --camera-fps 1
has err "less than the 100 frames"

run 2 "$bench" scenarios
has err "MODEL is missing"
run 2 "$bench" scenarios -m "$model" --only latency,nothing
has err "--only 'latency,nothing'"
has err "list of streams, startup, latency"
run 2 "$bench" scenarios -m "$model" --streams 0
has err "streams"
run 2 "$bench" scenarios -m "$model" --camera-fps 0
has err "camera-fps"
run 2 "$bench" scenarios -m "$model" --plot picture.gif
has err ".svg or .png"
run 1 "$bench" scenarios -m "$model" nowhere.mp4 --only streams
has err "nowhere.mp4"
run 1 "$bench" scenarios -m nowhere.safetensors
has err "nowhere.safetensors"
run 1 "$bench" scenarios -m "$model" nowhere.mp4 --only cameras
has err "nowhere.mp4"
