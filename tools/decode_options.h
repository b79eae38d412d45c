// The flags of everything that decodes video for scoring: threads of the decoder and what it leaves
// out. One table entry and one settings struct for all tools.
#ifndef SAC_TOOLS_DECODE_OPTIONS_H
#define SAC_TOOLS_DECODE_OPTIONS_H

#include <stdint.h>

#include "core/options.h"
#include "saccade/video.h"

typedef struct decode_settings {
    int64_t threads;
    int skip_loop_filter, skip_frames; // sac_video_skip
    int64_t lowres;
} decode_settings;

// Copies the settings into the options of a video source.
void decode_options_apply(sac_video_options *video, const decode_settings *settings);

// Table entries for a settings struct `kind` with a decode_settings as `member`; `standard` is the
// default of --decode-threads.
// clang-format off
#define DECODE_OPTIONS(kind, member, standard)                                                     \
    {.name = "decode-threads", .type = SAC_OPTION_INT, .offset = offsetof(kind, member.threads),   \
     .number = (standard), .min = 0, .max = 64, .argument = "N",                                   \
     .help = "threads of the video decoder; 0: one for small frames, four for large ones"},        \
    {.name = "skip-loop-filter", .type = SAC_OPTION_CHOICE,                                        \
     .offset = offsetof(kind, member.skip_loop_filter), .choices = "none|nonref|all",              \
     .help = "leave deblocking out of H.264, HEVC, VP8 and VP9: of frames that no other refers "   \
     "to, or of all; faster, and pictures and scores differ a little"},                            \
    {.name = "skip-frames", .type = SAC_OPTION_CHOICE,                                             \
     .offset = offsetof(kind, member.skip_frames), .choices = "none|nonref",                       \
     .help = "do not decode frames that no other refers to (H.264, HEVC, MPEG-1, -2, -4); the "    \
     "one before is scored in their place"},                                                       \
    {.name = "lowres", .type = SAC_OPTION_INT, .offset = offsetof(kind, member.lowres), .min = 0,  \
     .max = 3, .argument = "N",                                                                    \
     .help = "decode at 1/2^N of both sides (MJPEG, JPEG, MPEG-1, -2, -4)"}
// clang-format on

#endif
