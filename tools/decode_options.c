// Decoder settings from the command line to the video source.
#include "tools/decode_options.h"

void decode_options_apply(sac_video_options *video, const decode_settings *settings) {
    video->threads = (int)settings->threads;
    video->skip_loop_filter = (sac_video_skip)settings->skip_loop_filter;
    video->skip_frames = (sac_video_skip)settings->skip_frames;
    video->lowres = (int)settings->lowres;
}
