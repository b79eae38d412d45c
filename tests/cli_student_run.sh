#!/usr/bin/env bash
# student-run on generated clips: tables, maps, overlay, report, several sources, standard output, interruption.
set -euo pipefail
bin=${SACCADE_BIN:?}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=${SACCADE_SOURCE:?}/tests/lsan.supp:print_suppressions=0}
fail() { echo "FAILED: $*" >&2; exit 1; }
command -v ffmpeg > /dev/null || { echo "SKIPPED: ffmpeg is not installed"; exit 77; }
rm -rf ./*
run() { "$bin/student-run" -m m.safetensors -t 1 "$@"; }
rows() { tail -n +2 "$1" | wc -l; }
near() { # near A.csv B.csv LIMIT: scores agree row by row
    paste -d, <(cut -d, -f1,3,4 "$1") <(cut -d, -f1,3,4 "$2") | tail -n +2 |
        awk -F, -v limit="$3" 'function abs(x) { return x < 0 ? -x : x }
            $1 != $4 || abs($2 - $5) > limit || abs($3 - $6) > limit { bad = 1; print "row", $0 }
            END { exit bad || NR == 0 }' >&2 || fail "$1 and $2 differ by more than $3"
}

"$bin/make-model" m.safetensors --width 64 --height 48
ffmpeg -v error -f lavfi -i testsrc2=size=96x64:rate=10:duration=2.3 -pix_fmt gray -c:v ffv1 clip.mkv
mkdir clip
ffmpeg -v error -i clip.mkv clip/%d.png   # 1..23: only natural order is right
n=23

# The fixed interface: header with these columns, one row per frame, nothing on the terminal.
run clip.mkv --csv a.csv --quiet > out 2> err
[ ! -s out ] && [ ! -s err ] || fail "--quiet prints: $(cat out err)"
head -1 a.csv | grep -q '^frame,time_s,score,score_smoothed,peak_x,peak_y$' || fail "header: $(head -1 a.csv)"
[ "$(rows a.csv)" = $n ] || fail "$(rows a.csv) rows"
tail -n +2 a.csv | awk -F, 'NF != 6 || $1 != NR - 1 || $3 < 0 || $3 > 1 || $4 < 0 || $4 > 1 || $5 < 0 || $5 > 96 ||
    $6 < 0 || $6 > 64 || ($2 - 0.1 * (NR - 1)) ^ 2 > 1e-6 { exit 1 }' || fail "a row is out of range"
[ "$(cut -d, -f3 a.csv | sort -u | wc -l)" -gt 10 ] || fail "scores do not depend on the frames"

# Pictures, lossless video, one or two threads, any queue, with and without pictures in the output: the same scores.
run clip --frame-rate 10 --csv b.csv --quiet
cmp a.csv b.csv || fail "picture folder and lossless video differ"
run 'clip/%d.png' --frame-rate 10 --csv c.csv --quiet --queue 0
cmp a.csv c.csv || fail "a pattern of pictures differs"
run clip.mkv -t 2 --csv d.csv --quiet
near a.csv d.csv 1e-5
run clip.mkv --backend ref --csv e.csv --quiet
near a.csv e.csv 1e-5
ffmpeg -v error -i clip.mkv -c:v mpeg4 -q:v 2 lossy.mp4
run lossy.mp4 --csv f.csv --quiet
near a.csv f.csv 0.02

# All outputs at once.
run clip.mkv --csv g.csv --jsonl g.jsonl --maps g.npy --overlay g.mp4 --report g.html --threshold 0.001 > out 2> err
cmp a.csv g.csv || fail "an overlay changes the scores"
[ "$(wc -l < g.jsonl)" = $n ] || fail "JSON lines"
grep -q '^{"frame":22,"time_s":2.2,"score":0.' g.jsonl || fail "last line: $(tail -1 g.jsonl)"
[ "$(stat -c %s g.npy)" = $((128 + n * 256 * 4)) ] || fail "size of the maps"
head -c 128 g.npy | grep -qa "'shape': (23, 16, 16)" || fail "header of the maps"
[ "$(ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 g.mp4)" = $n ] ||
    fail "frames of the overlay"
grep -q '</html>' g.html && ! grep -Eq 'https?://|<script' g.html || fail "report"
grep -Eq '23 frames of 96x64 in .* frames/s\), in f32 \([a-z0-9_]+\)$' out || fail "summary: $(cat out)"
grep -q '1 event at threshold 0.001' out && grep -q '(frames 0-22)' out || fail "events: $(cat out)"
ls | grep -q tmp && fail "temporaries are left: $(ls)"

# Short clips, each length from one frame up.
for k in 1 2 6 7; do
    run clip.mkv --max-frames $k --csv k.csv --quiet
    [ "$(rows k.csv)" = $k ] || fail "$(rows k.csv) rows for $k frames"
done
# Odd and tiny sizes.
for size in 17x13 1x1 2x300; do
    ffmpeg -v error -y -f lavfi -i testsrc=size=$size:rate=5:duration=1 -pix_fmt rgb24 -c:v ffv1 odd.mkv
    run odd.mkv --csv k.csv --report k.html --overlay k.mkv --quiet
    [ "$(rows k.csv)" = 5 ] || fail "$size"
done
# Pictures whose size changes in the middle.
mkdir mixed && for i in 1 2 3; do cp clip/$i.png mixed/; done
ffmpeg -v error -f lavfi -i testsrc=size=50x70:rate=1:duration=3 -pix_fmt gray -start_number 4 mixed/%d.png
run mixed --csv k.csv --quiet
[ "$(rows k.csv)" = 6 ] || fail "changing sizes"

# Several sources: one file each, or one stream with a column that tells them apart.
run clip.mkv lossy.mp4 --csv 'many/{}.csv' --quiet 2> err && fail "a missing folder was accepted"
grep -q 'many' err || fail "message: $(cat err)"
run clip.mkv lossy.mp4 --csv many/ --maps many/ --quiet
cmp a.csv many/clip.csv && cmp f.csv many/lossy.csv || fail "several sources"
run clip.mkv lossy.mp4 2> err > out
[ "$(grep -c '^frame,.*,source$' out)" = 2 ] && [ "$(grep -c ',lossy.mp4$' out)" = $n ] || fail "standard output"
run clip.mkv 2> /dev/null > out && cmp a.csv out || fail "CSV on standard output"
run clip.mkv --jsonl - --quiet > out && cmp g.jsonl out || fail "JSON lines on standard output"
run clip.mkv lossy.mp4 --json --threshold 0.9999 > out 2> err
grep -q '"events": \[\]' out && [ "$(grep -c '"frames": 23' out)" = 2 ] || fail "JSON summary: $(cat out)"
# Sources at the same time: the same files; on standard output they would mix.
run clip.mkv lossy.mp4 odd.mkv --csv 'jobs-{}.csv' --jobs 3 -t 2 --json --progress always > out 2> err
cmp a.csv jobs-clip.csv && cmp f.csv jobs-lossy.csv || fail "sources at the same time"
[ "$(grep '"source"' out | tr -d ' ,\n')" = '"source":"clip.mkv""source":"lossy.mp4""source":"odd.mkv"' ] ||
    fail "order of the results: $(grep '"source"' out)"
code=0
run clip.mkv lossy.mp4 --jobs 2 > out 2> err || code=$?
[ $code = 2 ] && grep -q 'standard output' err || fail "jobs on standard output: $code $(cat err)"
# What ran is reported; other precisions and decoding less are asked for.
run clip.mkv --csv j.csv --json --precision f32 --gate --pin > out
for word in '"precision": "f32"' '"backend": "oneDNN' '"isa": "' '"load_ms": ' '"plan_ms": ' '"start_to_first_score_ms": ' \
    '"frames_reused_by_gate": '; do
    grep -qF "$word" out || fail "no $word in the summary: $(cat out)"
done
code=0
run clip.mkv --csv j.csv --precision int8 2> err || code=$?
[ $code = 2 ] && grep -q 'no scales for int8' err || fail "int8 without scales: $code $(cat err)"
"$bin/make-model" q.safetensors --width 64 --height 48 --scales
for precision in int8 f32; do
    "$bin/student-run" -m q.safetensors clip.mkv --csv q-$precision.csv --json --precision $precision > out
    grep -q "\"precision\": \"$precision\"" out || fail "precision $precision: $(cat out)"
done
near q-int8.csv q-f32.csv 0.05
"$bin/student-run" -m q.safetensors clip.mkv --csv q-text.csv --precision int8 > out
grep -Eq ', in int8 \([a-z0-9]+\)$' out || fail "precision in the summary: $(cat out)"
ONEDNN_MAX_CPU_ISA=avx2 "$bin/student-run" -m q.safetensors clip.mkv --csv q-text.csv --precision bf16 > out
grep -q ', in f32 (avx2; bf16 needs AMX)$' out || fail "no AMX in the summary: $(cat out)"
cmp -s q-int8.csv q-f32.csv && fail "int8 changes nothing"
"$bin/student-run" -m q.safetensors clip.mkv --csv q-one.csv -t 1 --quiet --precision int8
cmp q-int8.csv q-one.csv || fail "int8 scores depend on the threads"
for limit in avx512_core_vnni avx2 sse41; do # every set below the best; the last is the definition in plain C
    ONEDNN_MAX_CPU_ISA=$limit "$bin/student-run" -m q.safetensors clip.mkv --csv q-limit.csv --quiet --precision int8
    cmp q-int8.csv q-limit.csv || fail "int8 scores depend on the instruction set: $limit"
done
ffmpeg -v error -loop 1 -i clip/1.png -t 2 -r 10 -pix_fmt gray -c:v ffv1 still.mkv
run still.mkv --csv j.csv --gate --json > out
grep -q '"frames_reused_by_gate": 19,' out || fail "the gate: $(grep gate out)"
run still.mkv --csv j.csv --gate > out
grep -q '^  19 frames scored like the one before' out || fail "the gate: $(cat out)"
if ffmpeg -v error -y -i clip.mkv -c:v libx264 -g 12 -bf 2 -pix_fmt yuv420p h264.mp4 2> /dev/null; then
    run h264.mp4 --csv j.csv --quiet --json > out
    for saving in '--skip-loop-filter nonref' '--skip-loop-filter all' '--skip-frames nonref'; do
        run h264.mp4 --csv k.csv --quiet $saving
        [ "$(rows k.csv)" = $n ] || fail "$saving: $(rows k.csv) rows"
        cmp -s j.csv k.csv && fail "$saving changes nothing"
    done
fi
code=0
run clip.mkv --csv k.csv --lowres 1 2> err || code=$?
[ $code = 1 ] && grep -q 'ffv1' err || fail "a codec without lower resolutions: $code $(cat err)"
# One bad source does not spoil the others, but the exit code tells.
code=0
run absent.mp4 clip.mkv --csv many/ --json > out 2> err || code=$?
[ $code = 1 ] && grep -q 'absent.mp4' err && [ ! -e many/absent.csv ] && cmp a.csv many/clip.csv || fail "a missing source"
grep -q '"failures"' out && grep -q '"frames": 23' out || fail "JSON with a failure"

# A pipe that FFmpeg opens.
if grep -q '^ *pipe' <<<"$(ffmpeg -v error -protocols 2> /dev/null)"; then
    run pipe:0 --csv p.csv --quiet < clip.mkv && cmp a.csv p.csv || fail "standard input"
fi

# Late frames of something that does not wait are dropped and counted; without the option none is.
run --format lavfi "testsrc=size=32x16:rate=25:duration=12" --late drop --queue 2 --csv late.csv --json > out
scored=$(rows late.csv)
dropped=$(sed -n 's/.*"frames_dropped": \([0-9]*\).*/\1/p' out)
[ "$dropped" -gt 0 ] && [ $((scored + dropped)) = 300 ] || fail "$scored frames scored, '$dropped' dropped, 300 in all"
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --late drop --csv late.csv > out
grep -q 'late frames dropped\|25 frames' out || fail "dropped frames are not reported"
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --csv late.csv --json > out
[ "$(rows late.csv)" = 25 ] && grep -q '"frames_dropped": 0' out || fail "frames were dropped unasked"
code=0
run clip.mkv --late drop --queue 0 > out 2> err || code=$?
[ $code = 2 ] && grep -q 'queue' err || fail "dropping without a queue: exit code $code"

# A source that breaks off: the rows before that are kept, as those of a full run, and the exit code is 1.
ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=10:duration=6 -c:v mpeg4 -movflags +faststart whole.mp4
head -c $(($(stat -c %s whole.mp4) * 2 / 3)) whole.mp4 > half.mp4
run whole.mp4 --csv whole.csv --quiet
code=0
run half.mp4 --csv half.csv --jsonl half.jsonl --maps half.npy --report half.html --overlay half.avi --json > out 2> err || code=$?
[ $code = 1 ] || fail "exit code $code for a file cut short: $(cat err)"
k=$(rows half.csv)
[ "$k" -gt 10 ] && [ "$k" -lt 60 ] || fail "$k rows of a file cut short"
head -$((k + 1)) whole.csv | cmp - half.csv || fail "rows of a file cut short"
[ "$(wc -l < half.jsonl)" = "$k" ] && [ "$(stat -c %s half.npy)" = $((128 + k * 1024)) ] && [ -s half.avi ] ||
    fail "outputs of a file cut short"
grep -q 'broke off .*half.mp4.*truncated at frame' half.html || fail "the report does not say why it is partial"
grep -q 'half.mp4.*truncated at frame' err && grep -q "$k frames were scored and written" err || fail "message: $(cat err)"
grep -q '"interrupted": true' out && grep -q '"error": ".*truncated' out && grep -q "\"frames\": $k," out || fail "JSON: $(cat out)"
code=0
run half.mp4 clip.mkv --csv 'cut-{}.csv' > out 2> err || code=$?
[ $code = 1 ] && cmp cut-half.csv half.csv && cmp cut-clip.csv a.csv || fail "a source behind one that breaks off: $code"
grep -q "half.mp4: $k frames of" out || fail "summary: $(cat out)"
# A live source that falls silent.
(cat clip.mkv; sleep 20) | run pipe:0 --timeout 1 --csv silent.csv > out 2> err && fail "silence was taken for an end"
grep -q 'no data for 1 s' err || fail "message: $(cat err)"
k=$(rows silent.csv)
[ "$k" -ge 1 ] && head -$((k + 1)) a.csv | cmp - silent.csv || fail "$k rows of a source that fell silent"

# A live source that comes back: rows, time and maps go on, each stretch is scored by itself.
code=0
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --reopen 10 --max-frames 60 --csv back.csv --maps back.npy --json > out 2> err ||
    code=$?
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --csv once.csv --quiet
[ $code = 0 ] && [ "$(rows back.csv)" = 60 ] && [ "$(stat -c %s back.npy)" = $((128 + 60 * 1024)) ] ||
    fail "a source that comes back: $code, $(rows back.csv) rows: $(cat err)"
[ "$(grep -c 'warning: .*ended behind frame .*; opening it again' err)" = 2 ] &&
    grep -q 'back after [0-9.]* s, with frame 25' err && grep -q 'with frame 50' err || fail "messages: $(cat err)"
grep -q '"reopened": 2' out && grep -q '"away_s": [0-9]*\.' out || fail "JSON: $(cat out)"
head -26 back.csv | cmp - once.csv || fail "rows before the source was away"
sed -n 27,51p back.csv | cut -d, -f3,5- > x.csv && tail -25 once.csv | cut -d, -f3,5- | cmp - x.csv ||
    fail "rows after the source came back"
awk -F, 'NR > 1 {exit $1 != NR - 2 || $2 < last; last = $2}' back.csv || fail "frames or times do not go on: $(cut -d, -f1,2 back.csv)"
awk -F, '$1 == 24 {a = $2} $1 == 25 {exit !($2 - a > 0.2 && $2 - a < 5)}' back.csv || fail "the time away"
run --format lavfi "color=size=32x16:rate=25:duration=1" --reopen 10 --max-frames 50 --gate --csv still.csv --json > out 2> err
grep -q '"frames_reused_by_gate": 48,' out || fail "frames taken over by the gate in two stretches: $(grep gate out)"
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --reopen 10 --max-frames 60 --threshold 0 --quiet --json --csv back.csv > out 2> err
[ "$(grep -c '"first_frame"' out)" = 3 ] || fail "events across the time away: $(grep first_frame out)"
code=0
run --format lavfi "testsrc=size=32x16:rate=25:duration=1" --max-frames 26 --reopen 0 --csv never.csv > out 2> err || code=$?
[ $code = 0 ] && cmp never.csv once.csv || fail "opened again unasked"
code=0
run clip.mkv --reopen 10 --csv file.csv > out 2> err || code=$?
[ $code = 0 ] && cmp file.csv a.csv || fail "a file was opened again"
if command -v python3 > /dev/null; then
    # A camera that is switched off and never comes back.
    cat > camera.py << 'PYTHON'
import http.server, sys
class Camera(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open('live.ts', 'rb').read())
    def log_message(self, *arguments): pass
server = http.server.HTTPServer(('127.0.0.1', 0), Camera)
print('port %d' % server.server_port, flush=True)
for _ in range(int(sys.argv[1])): server.handle_request()
PYTHON
    ffmpeg -v error -i clip.mkv -c:v mpeg2video -q:v 2 -f mpegts live.ts
    python3 -u camera.py 2 > camera.log &
    for _ in $(seq 100); do grep -q port camera.log && break; sleep 0.1; done
    port=$(sed -n 's/port //p' camera.log)
    code=0
    run "http://127.0.0.1:$port/live.ts" --reopen 2 --csv away.csv > out 2> err || code=$?
    [ $code = 1 ] && grep -q 'not back within 2 s' err && grep -q 'opened again 1 times' out || fail "a camera that goes away: $code, $(cat err out)"
    run live.ts --csv ts.csv --quiet
    [ "$(rows away.csv)" = $((2 * $(rows ts.csv))) ] || fail "$(rows away.csv) rows, not twice $(rows ts.csv)"
fi

# Passwords of cameras are neither shown nor stored.
if command -v python3 > /dev/null; then
    python3 -u -m http.server 0 --bind 127.0.0.1 > server.log 2>&1 &
    server=$!
    for _ in $(seq 100); do grep -q 'port [0-9]' server.log && break; sleep 0.1; done
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log | head -1)
    code=0
    for name in clip.mkv absent.mkv; do
        run "http://user:secret@127.0.0.1:$port/$name" --csv 'pass-{}.csv' --jsonl 'pass-{}.jsonl' --report 'pass-{}.html' \
            --json --progress always > "pass-$name.out" 2> "pass-$name.err" || code=$?
    done
    run "http://user:secret@127.0.0.1:$port/clip.mkv" clip.mkv > pass-two.csv 2>> pass-clip.mkv.err || code=9
    kill $server
    [ $code = 1 ] && grep -q "http://127.0.0.1:$port/clip.mkv" pass-clip.html pass-clip.mkv.out pass-two.csv &&
        grep -q "http://127.0.0.1:$port/absent.mkv" pass-absent.mkv.err || fail "an URL: $(cat pass-*.err)"
    grep -l 'secret\|user' pass-* && fail "a password is shown or stored"
    cmp a.csv pass-clip.csv || fail "rows from a server"
fi

# Bit errors: counted and named, no frame is lost.
cp whole.mp4 bits.mp4
printf 'XXXXXXXX' | dd of=bits.mp4 bs=1 seek=$(($(stat -c %s bits.mp4) / 2)) conv=notrunc status=none
run bits.mp4 --csv bits.csv --json > out 2> err
[ "$(rows bits.csv)" = 60 ] && grep -q '"frames_damaged": [1-9]' out && grep -q '"first_damaged_frame": [1-9]' out ||
    fail "damage in the summary: $(cat out)"
grep -q 'warning: bits.mp4: damaged frames: [1-9]' err || fail "no warning of damage: $(cat err)"
run bits.mp4 --csv bits.csv > out 2> err
grep -q '^  damaged frames: ' out || fail "damage: $(cat out)"

# Ctrl-C: complete rows are kept, exactly those of an uninterrupted run, and the exit code is 130.
ffmpeg -v error -stream_loop 400 -i clip.mkv -c copy long.mkv
run long.mkv --csv full.csv --max-frames 60 --quiet
"$bin/student-run" -m m.safetensors -t 1 --backend ref long.mkv --csv int.csv --report int.html --maps int.npy 2> err > out &
pid=$!
for _ in $(seq 200); do
    ls | grep -q 'int.csv.tmp' && [ -s "$(ls | grep 'int.npy.tmp' || echo /nonexistent)" ] && break
    sleep 0.05
done
sleep 1
kill -INT $pid
code=0
wait $pid || code=$?
[ $code = 130 ] || fail "exit code $code after an interruption: $(cat err)"
grep -q 'interrupted; long.mkv: [0-9]* frames were scored and written' err || fail "message: $(cat err)"
k=$(rows int.csv)
[ "$k" -ge 1 ] && [ "$k" -lt 9000 ] || fail "$k rows after an interruption"
[ "$k" -gt 50 ] && k=50
head -$((k + 1)) int.csv > x.csv && head -$((k + 1)) full.csv > y.csv && near x.csv y.csv 1e-5
[ "$(stat -c %s int.npy)" = $((128 + $(rows int.csv) * 1024)) ] || fail "maps after an interruption"
grep -q 'interrupted' int.html || fail "the report does not say that it is partial"
ls | grep -q tmp && fail "temporaries are left: $(ls)"

# A source that stalls: Ctrl-C must get through a blocked read.
mkfifo stalled
(cat clip.mkv; sleep 30) > stalled &
writer=$!
"$bin/student-run" -m m.safetensors -t 1 stalled --csv st.csv --quiet 2> err &
pid=$!
sleep 2
kill -INT $pid
code=0
for _ in $(seq 100); do kill -0 $pid 2> /dev/null || break; sleep 0.1; done
kill -0 $pid 2> /dev/null && { kill -9 $pid; kill $writer; fail "a blocked read cannot be interrupted"; }
wait $pid || code=$?
kill $writer 2> /dev/null || true
[ $code = 130 ] || fail "exit code $code: $(cat err)"
grep -q 'interrupted' err || fail "message: $(cat err)"
echo ok
