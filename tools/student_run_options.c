// The options of student-run.
#include "tools/student_run.h"

#define TEXT_OPTION(member_, letter_, argument_, help_)                                            \
    {                                                                                              \
        .name = #member_, .letter = letter_, .type = SAC_OPTION_TEXT,                              \
        .offset = offsetof(run_settings, member_), .argument = argument_, .help = help_            \
    }

static const sac_option options[] = {
    {.name = "", .help = "Input"},
    TEXT_OPTION(model, 'm', "FILE", "model file made by distill; required"),
    TEXT_OPTION(size, 0, "WxH",
                "scale frames to this size while decoding; default: the source's own"),
    TEXT_OPTION(format, 0, "NAME",
                "FFmpeg input format of a device, such as v4l2, x11grab or lavfi"),
    {.name = "frame-rate",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, frame_rate),
     .number = 25,
     .min = 0.001,
     .max = 10000,
     .help = "frames per second of picture folders and patterns"},
    {.name = "max-frames",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, max_frames),
     .min = 0,
     .max = 1e15,
     .help = "stop each source after N frames; 0: at its end"},
    {.name = "timeout",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, timeout_s),
     .number = 10,
     .min = 0.1,
     .max = 86400,
     .argument = "S",
     .help = "give up on a network source after S seconds without data"},
    {.name = "reopen",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, reopen_s),
     .min = 0,
     .max = 1e9,
     .argument = "S",
     .help = "open a stream or device that broke off again, for up to S seconds each time, and go "
             "on with its rows; 0: its end is the end"},
    {.name = "",
     .help = "Output (\"{}\" in a name is replaced by the source's name; a folder holds one file "
             "per source)"},
    TEXT_OPTION(
        csv, 0, "FILE",
        "scores per frame, the first is frame 0; \"-\": standard output, which is the default "
        "without any output"),
    TEXT_OPTION(jsonl, 0, "FILE", "the same as JSON lines"),
    TEXT_OPTION(
        maps, 0, "FILE",
        "anomaly maps as .npy, float32 [frames][16][16], of a student without that map its finest"),
    TEXT_OPTION(overlay, 0, "FILE",
                "video of the frames with heat map and score curve (.mp4, .mkv, .avi)"),
    TEXT_OPTION(report, 0, "FILE", "self-contained HTML page: score curve, top moments, settings"),
    {.name = "moments",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, moments),
     .number = 6,
     .min = 1,
     .max = 64,
     .help = "pictures of top moments in the report"},
    {.name = "overlay-high",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, overlay_high),
     .number = 1,
     .min = 0.001,
     .max = 1,
     .argument = "SCORE",
     .help = "score at the top of the overlay's curve"},
    {.name = "", .help = "Scoring"},
    TEXT_OPTION(threshold, 0, "SCORE|auto",
                "report events: runs of frames whose smoothed score reaches SCORE, 0 to 1; auto: "
                "the threshold of the false-alarm budget that student-calibrate stored; negative, "
                "the default: none"),
    TEXT_OPTION(far, 0, "N/TIME",
                "report events at the threshold that keeps false alarms within N per hour, day or "
                "week (2/day), as far as the model's calibration can certify that"),
    {.name = "smoothing-sigma",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, smoothing_sigma),
     .min = 0,
     .max = 1e6,
     .help = "width of the causal smoothing in frames; 0: its default"},
    {.name = "smoothing-taps",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, smoothing_taps),
     .min = 0,
     .max = SAC_SMOOTHING_CAUSAL_TAPS,
     .help = "frames the smoothing looks at; 0: its default, or three sigma when "
             "--smoothing-sigma is given"},
    {.name = "precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(run_settings, precision),
     .choices = "auto|f32|int8|bf16",
     .help = "auto: int8 where the model holds scales for it and this CPU gains by it, else f32; "
             "bf16: products of 16 bits where the CPU has AMX, f32 elsewhere"},
    {.name = "gate",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(run_settings, gate),
     .help = "score frames in which nothing moved beyond sensor noise like the ones before; "
             "changes scores a little"},
    {.name = "backend",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(run_settings, backend),
     .choices = "onednn|ref",
     .help = "ref repeats the run on the plain reference, slowly"},
    {.name = "jobs",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, jobs),
     .min = 0,
     .max = 256,
     .help = "sources scored at the same time; 0: one per core, or one if something goes to "
             "standard output"},
    {.name = "pin",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(run_settings, pin),
     .help = "keep each compute thread on one core"},
    {.name = "", .help = "Decoding"},
    DECODE_OPTIONS(run_settings, decode, 0),
    {.name = "queue",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, queue),
     .number = 4,
     .min = 0,
     .max = 64,
     .help = "frames decoded ahead on a thread of their own; 0: decode between scoring"},
    {.name = "late",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(run_settings, late),
     .choices = "block|drop",
     .help = "when frames come faster than they are scored: wait with decoding, or drop the oldest "
             "in the queue, as cameras need; dropped ones are counted and have no row, and frames "
             "are numbered as scored"},
    SAC_TOOL_OPTIONS_UNSEEDED(run_settings),
    {.name = NULL},
};

const sac_command run_command = {
    .name = "student-run",
    .usage = "-m MODEL SOURCE... [options]",
    .description =
        "Scores every frame of each SOURCE: a video file, a folder or pattern of pictures, a URL "
        "or a device.\n"
        "Frames count from 0 in rows, events and maps, where labels.csv and boxes of a data set "
        "count from 1.\n"
        "Scores lie in [0,1]; peak_x and peak_y are pixels of the source. Clips may be as short as "
        "one frame: the\n"
        "border frames stand in for those that are missing. Each of --threads computes frames of "
        "its own; scores do\n"
        "not depend on how many there are. A model that student-calibrate has seen adds the column "
        "score_calibrated.\n"
        "Where a source breaks off, or after Ctrl-C, what was scored until then is written.\n\n"
        "  student-run -m ped2.safetensors clip.mp4 --csv scores.csv --quiet\n"
        "  student-run -m ped2.safetensors Test/Test001 --report report.html --threshold 0.4\n"
        "  student-run -m ped2.safetensors *.mp4 --csv out/{}.csv --overlay out/\n"
        "  student-run -m calibrated.safetensors night.mp4 --far 2/day\n"
        "  student-run -m ped2.safetensors /dev/video0 --format v4l2 --jsonl -",
    .options = options,
    .min_positional = 1,
    .max_positional = -1,
};
