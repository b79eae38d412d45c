# The shipped Ped2 student on real video: pictures and an H.264 file of the same clip give the same scores within compression
# noise, and the scores tell the clip's normal beginning from its abnormal rest.
. "$SACCADE_SOURCE/tests/cli_lib.sh"
data="$SACCADE_SOURCE/../shared/data/UCSDped2"
[ -d "$data" ] || skip "no UCSD Ped2 beside the project"
command -v ffmpeg >/dev/null || skip "the ffmpeg program is not installed"
fresh
model="$SACCADE_SOURCE/models/ped2.safetensors"

ffmpeg -v error -framerate 10 -i "$data/Test/Test001/%03d.jpg" -crf 18 -pix_fmt yuv420p clip.mp4 || fail "ffmpeg cannot write H.264"
run 0 "$SACCADE_BIN/student-run" -m "$model" "$data/Test/Test001" --csv pictures.csv --quiet -t 1
run 0 "$SACCADE_BIN/student-run" -m "$model" clip.mp4 --csv video.csv --quiet -t 1
head -n 1 pictures.csv | grep -q '^frame,time_s,score,score_smoothed' || fail "header: $(head -n 1 pictures.csv)"
[ "$(wc -l <pictures.csv)" = 181 ] || fail "180 rows and a header expected, found $(wc -l <pictures.csv)"
[ "$(wc -l <video.csv)" = 181 ] || fail "180 rows and a header expected, found $(wc -l <video.csv)"
paste -d, pictures.csv video.csv | awk -F, '
    NR > 1 { d = $3 - $9; if (d < 0) d = -d; sum += d; if (d > most) most = d
             if ($1 < 60) { normal += $3; n++ } else { abnormal += $3; a++ } }
    END { printf "mean %.4f, largest %.4f; normal %.3f, abnormal %.3f\n", sum / (NR - 1), most, normal / n, abnormal / a
          exit !(sum / (NR - 1) < 0.02 && most < 0.1 && abnormal / a > normal / n + 0.1) }' >noise ||
    fail "scores differ by more than compression noise, or tell nothing: $(cat noise)"
cat noise

run 0 "$SACCADE_BIN/student-bench" eval --dataset "$data" -m "$model" --smoothing causal --quiet -t 1 -o eval.json
grep -o '"micro": [0-9.]*' eval.json | head -n 1 | awk '{ exit !($2 > 85 || ($2 > 0.85 && $2 <= 1)) }' ||
    fail "micro AUC: $(grep micro eval.json)"
