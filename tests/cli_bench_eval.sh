# student-bench eval on a small data set made here, with scores whose AUC is known by counting, and regions.
set -u
bench="$SACCADE_BIN/student-bench"
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
command -v ffmpeg >/dev/null || { echo "SKIPPED: ffmpeg is not installed, it makes the data set"; exit 77; }

expect() {
    code=$1 pattern=$2
    shift 2
    text=$("$@" 2>&1)
    got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* -> $text"
    grep -q -- "$pattern" <<<"$text" || fail "no '$pattern' in the output of $*: $text"
}

rm -rf work && mkdir work && cd work || exit 1

# UCSD layout: a gray field, in which a bright box jumps about during the abnormal frames.
clip() { # folder frames first-abnormal last-abnormal, frames from 1
    mkdir -p "$1"
    ffmpeg -v error -nostdin -f lavfi -i "color=c=gray:s=64x48:r=10,format=gray" -frames:v "$2" -vf \
        "geq=lum='128+100*between(N,$3-1,$4-1)*between(X-mod(N*17,48),0,15)*between(Y-mod(N*29,32),0,15)'" \
        "$1/%03d.png" || exit 1
}
clip set/Train/Train001 12 100 100
clip set/Test/Test001 20 9 16
clip set/Test/Test002 10 1 10
clip set/Test/Test003 12 7 12
printf 'TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [9:16];\nTestVideoFile{end+1}.gt_frame = [1:10];\nTestVideoFile{end+1}.gt_frame = [7:12];\n' >set/Test/set.m

# Perfect scores but for Test003, where one of 36 pairs is lost.
mkdir scores
table() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN{print "frame,time_s,score,score_smoothed"
    for(t=0;t<n;t++) printf "%d,%.2f,%.3f,0\n", t, t/10, (t+1>=a && t+1<=b) ? 0.8+t/1000 : 0.1+t/1000}'; }
table 20 9 16 >scores/Test001.csv
table 10 1 10 >scores/Test002.csv
table 12 7 12 | awk -F, -v OFS=, '$1=="0"{$3="0.8065"} {print}' >scores/Test003.csv

expect 0 '| scores scores | none | 98.15 | 98.61 |' "$bench" eval --dataset set --scores scores
# The micro value by counting: 24 abnormal, 18 normal frames; 0.8065 beats only Test003's 0.806 and what lies
# below it in the others.
counted=$(awk -F, -v OFS=, '
    FNR==1{c++; next}
    {a=(c==1&&$1+1>=9&&$1+1<=16)||c==2||(c==3&&$1+1>=7); s[++n]=$3; l[n]=a}
    END{for(i=1;i<=n;i++)for(j=1;j<=n;j++)if(l[i]&&!l[j]){p++; w+=s[i]>s[j]?1:s[i]==s[j]?.5:0}
        printf "%.2f", 100*w/p}' scores/Test001.csv scores/Test002.csv scores/Test003.csv)
expect 0 "| scores scores | none | $counted | 98.61 |" "$bench" eval --dataset set --scores scores
expect 2 'same: two results cannot be one file' "$bench" eval --dataset set --scores scores -o same --csv same
expect 0 'scores scores' "$bench" eval --dataset set --scores scores -o /dev/null --csv /dev/null
cp scores/Test001.csv mine.csv
expect 2 'mine.csv: would replace the input' "$bench" eval --dataset set --scores mine.csv --clips Test001 --csv ./mine.csv
cmp -s mine.csv scores/Test001.csv || fail "the scores were replaced by their evaluation"
expect 0 '| constant scorer | any | 50.00 | 50.00 |' "$bench" eval --dataset set --scores scores
expect 0 '| constant scorer | any | 50.00 | 66.67 |' \
    "$bench" eval --dataset set --scores scores --one-class count
for kind in none causal light paper; do
    expect 0 "| scores scores | $kind" "$bench" eval --dataset set --scores scores
    expect 0 "| scores scores | $kind" "$bench" eval --dataset set --scores scores --smoothing $kind
done
expect 0 'causal (sigma 2, 7 taps)' \
    "$bench" eval --dataset set --scores scores --smoothing causal --sigma 2
expect 0 '| scores scores | none | 50.00 |' \
    "$bench" eval --dataset set --scores scores --column score_smoothed --smoothing none
expect 0 '| scores scores | none | 100.00 | 100.00 |' \
    "$bench" eval --dataset set --scores scores --clips Test001,Test002
expect 0 'Per-video min-max before' "$bench" eval --dataset set --scores scores --video-minmax
expect 0 '| frame difference, mean | none |' "$bench" eval --dataset set --baseline --scores scores

# The box only moves while a frame is abnormal: differences find nearly all of it.
micro=$("$bench" eval --dataset set --baseline --smoothing none --clips Test001 --json --quiet |
    tr -d ' \n' | sed 's/.*"micro":\([0-9.]*\).*/\1/')
awk -v v="$micro" 'BEGIN{exit !(v>0.85 && v<=1.0)}' || fail "baseline micro AUC is '$micro'"

# Results in files, and nothing but JSON on standard output with --json.
expect 0 '' "$bench" eval --dataset set --scores scores -o result.json --markdown result.md --quiet
grep -q '"fingerprint"' result.json || fail "result.json lacks the fingerprint"
grep -q '"constant_macro"' result.json || fail "result.json lacks the floor"
grep -q '| Test003 | 12 | 6 |' result.md || fail "result.md lacks a clip"
grep -q '"machine"' result.json && grep -q '"command"' result.json || fail "result.json lacks the machine or the command"
head -n 1 result.md | grep -q ' cores\?, .* saccade [0-9]' || fail "result.md lacks the machine: $(head -n 1 result.md)"
expect 0 '' "$bench" eval --dataset set --scores scores --csv result.csv --quiet
[ "$(wc -l <result.csv)" = 5 ] || fail "four smoothings and a header expected: $(cat result.csv)"
awk -F, 'NR == 1 {ok = $7 == "micro" && NF == 15; next} NF != 15 {ok = 0}
    $4 == "none" {ok = ok && $1 == "scores scores" && $7 > 0.9814 && $7 < 0.9816 && $9 == 0.5 && $11 == ""} END {exit !ok}' \
    result.csv || fail "result.csv: $(cat result.csv)"
"$bench" eval --dataset set --scores scores --json --quiet >stdout.json 2>stderr.txt
[ "$(head -c 1 stdout.json)" = "{" ] || fail "--json does not start with a brace"
[ ! -s stderr.txt ] || fail "--quiet is not quiet: $(cat stderr.txt)"

# One table with a clip column.
{ echo clip,frame,score
  for c in 1 2 3; do awk -F, -v c=$c 'NR>1{printf "Test00%d,%s,%s\n", c, $1, $3}' scores/Test00$c.csv; done
} >joint.csv
expect 0 '| scores joint.csv | none | 98.15 | 98.61 |' "$bench" eval --dataset set --scores joint.csv

# Bad input names clip, file and line, and writes nothing.
copy() { rm -rf bad && cp -r scores bad; }
copy && sed -i '$d' bad/Test003.csv
expect 1 '11 scores for clip Test003, which has 12 labelled frames' \
    "$bench" eval --dataset set --scores bad -o bad.json
[ ! -e bad.json ] || fail "a failed evaluation wrote bad.json"
copy && rm bad/Test002.csv
expect 1 'no scores of clip Test002' "$bench" eval --dataset set --scores bad
copy && sed -i '5s/,[^,]*,0$/,high,0/' bad/Test001.csv
expect 1 'Test001.csv.*5' "$bench" eval --dataset set --scores bad
copy && sed -i '5s/,0$//' bad/Test001.csv
expect 1 'Test001.csv' "$bench" eval --dataset set --scores bad
copy && sed -i '5s/,[^,]*,0$/,nan,0/' bad/Test001.csv
expect 1 'Test001.csv' "$bench" eval --dataset set --scores bad
copy && sed -i '1s/score,/value,/' bad/Test001.csv
expect 1 "no column 'score'" "$bench" eval --dataset set --scores bad
copy && : >bad/Test001.csv
expect 1 'Test001.csv' "$bench" eval --dataset set --scores bad
copy && head -c 3000 /dev/urandom >bad/Test001.csv
expect 1 'Test001.csv' "$bench" eval --dataset set --scores bad
expect 2 "'Test009' is not a clip" "$bench" eval --dataset set --scores scores --clips Test009
expect 2 'training clip' "$bench" eval --dataset set --scores scores --clips Train001
expect 1 'nowhere' "$bench" eval --dataset set --scores nowhere
expect 1 'nowhere' "$bench" eval --dataset set --maps nowhere
expect 1 'nowhere' "$bench" eval --dataset set -m nowhere
expect 1 'no-folder' "$bench" eval --dataset set --scores scores -o no-folder/result.json

# Regions: of a student against masks and track files. Test002 has no masks at first.
cp "$SACCADE_SOURCE/models/ped2-f32.safetensors" m.safetensors || fail "the shipped model is missing"
masks() { # folder frames first-abnormal last-abnormal
    mkdir -p "$1"
    ffmpeg -v error -nostdin -f lavfi -i "color=c=black:s=64x48:r=10,format=gray" -frames:v "$2" -vf \
        "geq=lum='255*between(N,$3-1,$4-1)*between(X-mod(N*17,48),0,15)*between(Y-mod(N*29,32),0,15)'" \
        "$1/%03d.png" || exit 1
}
masks set/Test/Test001_gt 20 9 16
masks set/Test/Test003_gt 12 7 12
expect 0 'clip Test002 has abnormal frames but no masks' "$bench" eval --dataset set -m m.safetensors -t 1
masks set/Test/Test002_gt 10 1 10
expect 0 '24 regions in [0-9]* tracks from pixel masks' "$bench" eval --dataset set -m m.safetensors -t 1
expect 0 '| model m.safetensors[^|]* | [-0-9. |]* | 16x16 map |' "$bench" eval --dataset set -m m.safetensors -t 1
expect 0 '| scores scores | [-0-9. |]* | - | - | - |' \
    "$bench" eval --dataset set -m m.safetensors -t 1 --scores scores -o regions.json
grep -q '"tbdc"' regions.json || fail "regions.json lacks TBDC"
mkdir tracks
expect 1 'no track file of clip Test001' "$bench" eval --dataset set -m m.safetensors -t 1 --tracks tracks
for c in 1 2 3; do printf '4,8,0,0,16,16\n4,9,1,1,17,17\n' >tracks/Test00$c.txt; done
expect 0 '6 regions in 3 tracks from track files' \
    "$bench" eval --dataset set -m m.safetensors -t 1 --tracks tracks
expect 0 '6 regions in 3 tracks from track files' \
    "$bench" eval --dataset set -m m.safetensors -t 1 --tracks tracks --tracks-from 1
echo '4,10,0,0,16,16' >>tracks/Test002.txt
expect 1 "Test002.txt: line 3: frame '10', expected an integer from 0 to 9" \
    "$bench" eval --dataset set -m m.safetensors -t 1 --tracks tracks
expect 1 'nowhere' "$bench" eval --dataset set -m m.safetensors -t 1 --tracks nowhere
expect 2 'needs at least two' "$bench" eval --dataset set --baseline --ensembles

# What decoding leaves out: the same clips as H.264, one label a frame.
mkdir -p videos/train videos/test
ffmpeg -v error -nostdin -framerate 10 -i set/Train/Train001/%03d.png -pix_fmt yuv420p videos/train/a.mp4 || exit 1
for c in 1:9:16 3:7:12; do
    IFS=: read -r number first last <<<"$c"
    ffmpeg -v error -nostdin -framerate 10 -i "set/Test/Test00$number/%03d.png" -pix_fmt yuv420p \
        -c:v libx264 -bf 2 "videos/test/t$number.mp4" || exit 1
    frames=$(ls "set/Test/Test00$number" | wc -l)
    for ((t = 1; t <= frames; t++)); do echo $((t >= first && t <= last)); done >"videos/test/t$number.txt"
done
expect 0 '| model m.safetensors[^|]*, loop filter skipped | ' \
    "$bench" eval --dataset videos -m m.safetensors -t 1 --skip-loop-filter all
expect 0 '| model m.safetensors[^|]*, non-reference frames skipped | ' \
    "$bench" eval --dataset videos -m m.safetensors -t 1 --savings
expect 0 '| model m.safetensors, gate (' "$bench" eval --dataset videos -m m.safetensors -t 1 --gate
expect 0 'h264 cannot be decoded at 1/2' "$bench" eval --dataset videos -m m.safetensors -t 1 --savings
expect 1 'h264 cannot be decoded at 1/4' "$bench" eval --dataset videos -m m.safetensors -t 1 --lowres 2
# Pictures have no loop filter and no reference frames to leave out.
"$bench" eval --dataset set -m m.safetensors -t 1 --savings --quiet >pictures.md
grep -q '| model m.safetensors' pictures.md && ! grep -q 'filter skipped\|frames skipped' pictures.md || fail "savings of pictures: $(cat pictures.md)"
expect 1 'PNG pictures cannot be decoded at 1/2' "$bench" eval --dataset set -m m.safetensors -t 1 --lowres 1
expect 2 'skip-frames' "$bench" eval --dataset videos -m m.safetensors --skip-frames all
expect 2 'lowres' "$bench" run -m m.safetensors videos/test/t1.mp4 --lowres 4

# A map store by hand: maps of zeros, three boxes of two tasks in each clip.
npy() { # file shape values
    header="{'descr': '<f4', 'fortran_order': False, 'shape': $2, }"
    printf '\223NUMPY\001\000\166\000%-117s\n' "$header" >"$1"
    head -c $((4 * $3)) /dev/zero >>"$1"
}
store() { # folder
    mkdir -p "$1"
    printf '{"format": "saccade-maps", "version": 1, "teacher": "ssmtl", "block": 2, "filter": 1, "metrics": {"training_minutes": 3.5, "scored_per_s": 99}, "settings": {"batch": 7}, "clips": [{"name": "Train001", "test": false, "frames": 12}' >"$1/store.json"
    echo clip,frame,x1,y1,x2,y2,confidence,class,score,quick,slow >"$1/objects.csv"
    for entry in Train001:12 Test001:20 Test002:10 Test003:12; do
        name=${entry%:*} frames=${entry#*:}
        npy "$1/$name.16x16.npy" "($frames, 16, 16)" $((frames * 256))
        npy "$1/$name.4x4.npy" "($frames, 4, 4)" $((frames * 16))
        npy "$1/$name.1x1.npy" "($frames,)" "$frames"
        [ "$name" = Train001 ] || printf ', {"name": "%s", "test": true, "frames": %d}' "$name" "$frames" >>"$1/store.json"
        for t in 2 7 10; do echo "$name,$t,4,4,20,24,0.9,-1,0.$t,$t,$((20 - t))"; done >>"$1/objects.csv"
    done
    echo ']}' >>"$1/store.json"
}
store one && cp -r one two
expect 0 '| maps one | [-0-9. |]* | objects | 3.5 | 99 |' "$bench" eval --dataset set --maps one
expect 0 '| first: slow | [-0-9. |]* | objects | - | - |' \
    "$bench" eval --dataset set --maps first=one --maps two --per-task --ensembles
expect 0 '| first + two | [-0-9. |]* | objects | 7.0 | 49 |' \
    "$bench" eval --dataset set --maps first=one --maps two --ensembles
# A table of many teachers, and an end to ensembles of all of them.
many=()
for i in $(seq 21); do many+=(--maps "row$i=one"); done
expect 0 '| maps row21 | [-0-9. |]* | objects | 3.5 | 99 |' "$bench" eval --dataset set "${many[@]}"
expect 2 'ensembles of at most 16' "$bench" eval --dataset set --ensembles "${many[@]}"
expect 0 '| maps one | [-0-9. |]* | 16x16 map | 3.5 | 99 |' \
    "$bench" eval --dataset set --maps one --regions maps
expect 0 '' "$bench" report --dataset set --maps one -o page.html --overlays videos --pictures 3 --quiet
grep -q '</html>' page.html || fail "page.html is not complete"
grep -q 'Task: slow' page.html || fail "page.html lacks a task"
grep -q 'settings\|Settings' page.html || fail "page.html lacks the settings"
for c in 1 2 3; do [ -s videos/Test00$c.mp4 ] || fail "no video of Test00$c"; done
expect 2 'nothing to write' "$bench" report --dataset set --maps one
expect 2 '--maps FOLDER is missing' "$bench" report --dataset set -o x.html
expect 1 'nowhere' "$bench" report --dataset set --maps nowhere -o x.html
expect 1 'no-folder' "$bench" report --dataset set --maps one -o no-folder/x.html
sed -i '5s/,0\.[0-9]*,/,high,/' one/objects.csv
expect 1 'objects.csv: line 5' "$bench" report --dataset set --maps one -o x.html
[ ! -e x.html ] || fail "a failed report left x.html"

[ "$failures" = 0 ] && echo "all passed" || exit 1
