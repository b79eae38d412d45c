#!/usr/bin/env bash
# student-calibrate on generated video: what it stores, what it refuses, and how student-run and student-info use it.
. "$(dirname "$0")/cli_lib.sh"
bin=$SACCADE_BIN
fresh
run 0 "$bin/make-model" m.safetensors --width 64 --height 48
cp m.safetensors plain.safetensors

# 60 s of normal video in two files; a third with a moment that looks different.
video() { ffmpeg -v error -f lavfi -i "$1" -c:v ffv1 "$2" </dev/null || fail "ffmpeg"; }
video 'testsrc2=size=64x48:rate=10:duration=40' one.mkv
video 'testsrc2=size=64x48:rate=10:duration=20,hue=b=1' two.mkv
video "testsrc2=size=64x48:rate=10:duration=20,negate=enable='between(t,8,9)'" odd.mkv

# Usage.
run 2 "$bin/student-calibrate" one.mkv
has err '-m MODEL'
run 2 "$bin/student-calibrate" -m m.safetensors
has err 'SOURCE'
run 2 "$bin/student-calibrate" -m m.safetensors one.mkv --dataset .
run 2 "$bin/student-calibrate" -m m.safetensors one.mkv --far 2/year
has err '2/day'
run 2 "$bin/student-calibrate" -m m.safetensors one.mkv --max-frames 50
has err '200 are needed'
run 1 "$bin/student-calibrate" -m m.safetensors none.mkv
has err 'none.mkv'
# The same video under two names would certify what it cannot.
ln -s one.mkv link.mkv
ln one.mkv hard.mkv
mkdir pictures && ffmpeg -v error -i one.mkv -frames:v 12 pictures/%02d.png </dev/null || fail "ffmpeg"
for twice in 'one.mkv one.mkv' 'one.mkv two.mkv ./one.mkv' 'one.mkv link.mkv' 'hard.mkv one.mkv' 'pictures pictures/*1.png' \
    'pictures/0*.png pictures/%02d.png'; do
    set -f
    run 2 "$bin/student-calibrate" -m m.safetensors $twice
    set +f
    has err 'the same file'
done
# No video is lost to a slip in -o, and what cannot be written is said before an hour of scoring.
mkdir -p set/train && cp one.mkv set/train/
for lost in 'one.mkv -o one.mkv one.mkv' 'one.mkv -o link.mkv one.mkv' 'pictures -o pictures/03.png pictures/03.png' \
    '--dataset set -o set/train/one.mkv set/train/one.mkv'; do
    set -- $lost
    before=$(cksum <"${!#}")
    run 2 "$bin/student-calibrate" -m m.safetensors "${@:1:$#-1}"
    has err 'would replace'
    [ "$(cksum <"${!#}")" = "$before" ] || fail "${!#} was replaced"
done
run 1 "$bin/student-calibrate" -m m.safetensors none.mkv -o nowhere/c.safetensors
has err 'nowhere/c.safetensors: cannot be created'
run 0 "$bin/student-calibrate" --help
has out 'Poisson'

# An uncalibrated model.
run 2 "$bin/student-run" -m m.safetensors odd.mkv --csv o.csv --threshold auto
has err 'student-calibrate'
run 2 "$bin/student-run" -m m.safetensors odd.mkv --csv o.csv --far 2/day
has err 'student-calibrate'

# 60 s certify 2.9957 / 60 s = 179.7 an hour, and not 2 a day: refused, and nothing is written.
run 1 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv --far 2/day
has err '35.9 hours'
has err 'more'
has err '95 %'
cmp m.safetensors plain.safetensors || fail "a refused calibration changed the model"
run 1 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv --far 179/hour
run 0 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv --far 180/hour -o c.safetensors --threads 1
has out '600 frames of 2 sources'
has out 'default: 180/hour'
cmp m.safetensors plain.safetensors || fail "the model changed though -o was given"
run 0 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv --far 180/hour -o again.safetensors --json --threads 3
has out '"lowest_per_hour": 179.7'
cmp c.safetensors again.safetensors || fail "one worker and three give different calibrations"
run 0 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv # in place, without a budget
cmp -s m.safetensors plain.safetensors && fail "the model was not calibrated in place"
ls | grep -q tmp && fail "temporaries are left: $(ls)"

# student-info.
run 0 "$bin/student-info" c.safetensors
has out '180/hour'
has out 'no fewer than'
run 0 "$bin/student-info" c.safetensors --json
has out '"thresholds"'

# student-run: the network's scores stay as they were, one column more, increasing with the smoothed score.
run 0 "$bin/student-run" -m plain.safetensors odd.mkv --csv p.csv -q
run 0 "$bin/student-run" -m c.safetensors odd.mkv --csv o.csv --jsonl o.jsonl -q
head -1 o.csv | grep -q '^frame,time_s,score,score_smoothed,score_calibrated,peak_x,peak_y$' || fail "header: $(head -1 o.csv)"
cut -d, -f1-4,6- o.csv | cmp - p.csv || fail "calibration changed the scores"
tail -n +2 o.csv | sort -t, -k4,4g | awk -F, '$5 < 0 || $5 >= 1 || $5 < last {exit 1} {last = $5}' || fail "calibrated scores"
has o.jsonl '"score_calibrated":'
run 0 "$bin/student-run" -m c.safetensors one.mkv two.mkv --threshold auto --csv {}.csv
has out 'one.mkv'
[ "$(grep -c ' 0 events at threshold' out)" = 2 ] || fail "events in the video it was calibrated with: $(cat out)"
run 0 "$bin/student-run" -m c.safetensors one.mkv --far 300/hour --json
has out '"events"'
has out '"threshold": '
run 1 "$bin/student-run" -m c.safetensors one.mkv --far 2/day
has err '35.9 hours'
run 2 "$bin/student-run" -m m.safetensors one.mkv --threshold auto
has err 'without --far'
run 2 "$bin/student-run" -m c.safetensors one.mkv --threshold 0.5 --far 300/hour
run 2 "$bin/student-run" -m c.safetensors one.mkv --far 300/hour --smoothing-taps 5
has err 'smoothing'
run 0 "$bin/student-run" -m c.safetensors one.mkv --csv s.csv --smoothing-taps 5 -q
head -1 s.csv | grep -q calibrated && fail "a calibration for other smoothing was used"

# Other conditions than those of the calibration: a warning that names them; the same ones: none.
lacks err 'other conditions'
run 0 "$bin/student-run" -m c.safetensors one.mkv --csv s.csv --far 300/hour --gate --size 32x24 -q
has err 'warning: c.safetensors was calibrated under other conditions: size source (now 32x24), gate off (now on);'
run 0 "$bin/student-run" -m c.safetensors one.mkv --csv s.csv --precision f32 -q
empty err
run 0 "$bin/student-calibrate" -m m.safetensors one.mkv two.mkv -o g.safetensors --gate --size 32x24
run 0 "$bin/student-run" -m g.safetensors one.mkv --csv s.csv --gate --size 32x24 -q
empty err
run 0 "$bin/student-run" -m g.safetensors one.mkv --csv s.csv -q
has err 'size 32x24 (now source), gate on (now off)'
video 'testsrc2=size=64x48:rate=25:duration=4' fast.mkv
run 0 "$bin/student-run" -m c.safetensors fast.mkv --csv s.csv -q
has err 'fast.mkv: 25 frames/s, c.safetensors was calibrated at 10;'
# Where the source was away no frames were missed.
run 0 "$bin/student-run" -m c.safetensors --format lavfi 'testsrc2=size=64x48:rate=10:duration=0.2' --reopen 10 \
    --max-frames 10 --csv s.csv -q
lacks err 'frames/s'
run 0 "$bin/student-run" -m plain.safetensors fast.mkv --csv s.csv -q
empty err
run 2 "$bin/student-calibrate" -m m.safetensors one.mkv --size 32
has err '--size'
run 0 "$bin/make-model" q.safetensors --width 64 --height 48 --scales
run 0 "$bin/student-calibrate" -m q.safetensors one.mkv two.mkv --far 180/hour --precision int8
run 0 "$bin/student-run" -m q.safetensors one.mkv --csv s.csv --threshold auto --precision int8 -q
empty err
run 0 "$bin/student-run" -m q.safetensors one.mkv --csv s.csv --threshold auto --precision f32 -q
has err 'precision int8 (now f32)'

# Metadata that lie.
sed 's/\\"confidence\\":0.9/\\"confidence\\":9.9/' c.safetensors > bad.safetensors
cmp -s c.safetensors bad.safetensors && fail "the test did not find the confidence"
run 1 "$bin/student-run" -m bad.safetensors one.mkv
has err 'confidence'
run 1 "$bin/student-info" bad.safetensors
has err 'calibration'
echo ok
