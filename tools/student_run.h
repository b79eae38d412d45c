// What the parts of student-run share: settings, the state of a run, what a source came to. Options
// are in student_run_options.c, sources with their loop in student_run_source.c, summaries in
// student_run_summary.c; student_run.c prepares and starts all that.
#ifndef SAC_TOOLS_STUDENT_RUN_H
#define SAC_TOOLS_STUDENT_RUN_H

#include <pthread.h>

#include "core/tool.h"
#include "saccade/video.h"
#include "student/calibration.h"
#include "student/events.h"
#include "student/outputs.h"
#include "student/runtime.h"
#include "tools/conditions.h"
#include "tools/decode_options.h"

typedef struct run_settings {
    sac_tool_settings tool;
    const char *model, *size, *format;
    const char *csv, *jsonl, *maps, *overlay, *report;
    const char *threshold, *far;
    double smoothing_sigma, frame_rate, overlay_high, timeout_s, reopen_s;
    int64_t smoothing_taps, max_frames, moments, queue, jobs;
    int backend;         // 0 onednn, 1 ref
    int precision, late; // as the enumerations count
    decode_settings decode;
    bool gate, pin;
} run_settings;

extern const sac_command run_command;

// A camera or a stalled pipe can block a read for long; this thread wakes it up when Ctrl-C comes.
// Opening and closing a source may block inside the operating system, where nothing can wake them:
// when nothing but that is going on, so that no output is open, the process just ends.
typedef struct run_watched {
    sac_video *video; // the source being read, or NULL
    bool active;      // a source is being worked on
    bool may_exit;    // no output of it is open
} run_watched;

typedef struct run_watcher {
    pthread_t thread;
    pthread_mutex_t lock;
    run_watched *jobs;
    int64_t job_count;
    bool running, stop;
} run_watcher;

SAC_NODISCARD sac_status run_watcher_start(run_watcher *w, int64_t jobs, sac_error *error);
void run_watcher_stop(run_watcher *w); // also of one that was never started

// What one source came to.
typedef struct run_outcome {
    sac_status status;
    sac_error error;
    bool done;
    bool broke_off; // the source failed behind its first frames; what was scored is written
    int64_t frames, reused;
    int64_t damaged, first_damaged; // frames read whose pictures hold errors; rows count them so
    double duration_s, wall_s, score_s, read_s;
    double first_s;   // from the start of the process to the first score
    int64_t reopened; // times that the source came back
    double away_s;    // without it until it did
    float max, max_smoothed;
    int64_t max_frame, max_smoothed_frame;
    double max_time_s, max_smoothed_time_s;
    sac_events events;
    bool interrupted;
    sac_video_info video;
    sac_video_counts counts;
} run_outcome;

typedef struct run_state {
    const run_settings *settings;
    sac_student_pool *pool;
    sac_student_info info;
    int width, height; // of --size, 0: the source's
    int threads;       // that compute
    int64_t jobs;
    double start_s;
    sac_output_names names;
    const char *const *sources; // as they are opened
    char **shown;               // [source_count] as they are shown and stored: without passwords
    int64_t source_count;
    json_t *settings_json, *model_json; // for reports and --json
    sac_calibration *calibration;       // of the model, NULL: it has none, or other smoothing
    double threshold;                   // of events; negative: none
    double merge_gap_s;                 // with a calibrated threshold
    run_watcher watcher;
    bool text_to_stderr;

    // Shared by the jobs, under the lock.
    pthread_mutex_t lock;
    pthread_cond_t changed; // a source is done
    run_outcome *outcomes;  // [source_count]
    int64_t next;           // source that no job has taken yet
    int64_t read;           // frames of all sources so far
    sac_progress *progress; // several jobs: one for all
} run_state;

// One source on its way through one job.
typedef struct run_job {
    run_state *run;
    int64_t index; // of the job
    sac_student *student;
    sac_video *video;
    sac_outputs *outputs;
    sac_progress *progress; // one job: of the source
    run_outcome *o;
    const char *url, *source; // as opened, as shown
    bool luma;                // planes are read where they lie, for a gray student
    bool live; // frames come when they come: each is scored before the next is waited for
    // A source that came back counts on: rows and time before.
    int64_t base;
    double base_s;
    double lost_s;  // of the clock, since when it is away; 0: it is there
    double pause_s; // before it is opened again
} run_job;

// Thread of a job: takes one source after the other until none is left or Ctrl-C comes.
void *run_job_work(void *user);

// New references, NULL on lack of memory: what is known of a source, how long it took, all that
// came of it.
json_t *run_source_json(const char *source, const run_outcome *o);
json_t *run_timing_json(const run_state *r, const run_outcome *o);
json_t *run_outcome_json(const run_state *r, int64_t index, const char *source,
                         const run_outcome *o);
void run_print_summary(const run_state *r, int64_t index, const char *source, const run_outcome *o);
double run_rate(int64_t frames, double seconds); // NaN where no time passed

#endif
