// How a student takes the frames of a video: a gray one the decoder's luma planes where they lie, a
// colour one RGB pictures. Whoever scores files does it here, so that a file's scores are the same
// everywhere.
#ifndef SAC_STUDENT_FEED_H
#define SAC_STUDENT_FEED_H

#include "saccade/student.h"
#include "saccade/video.h"

// Sets `channels` and `luma` of the options of a video that the student shall read.
void sac_feed_options(sac_video_options *options, const sac_student *student);
// Reads the next frame of a video opened so, and pushes it. SAC_EOF at its end; errors of
// sac_video_read and sac_student_push.
SAC_NODISCARD sac_status sac_feed_frame(sac_student *student, sac_video *video, sac_error *error);

#endif
