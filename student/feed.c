// From a video to a student; see student/feed.h.
#include "student/feed.h"

#include "core/check.h"

static bool is_gray(const sac_student *student) {
    sac_student_info info;
    sac_student_get_info(student, &info);
    return info.channels == 1;
}

void sac_feed_options(sac_video_options *options, const sac_student *student) {
    options->luma = is_gray(student);
    options->channels = options->luma ? 1 : 3;
}

sac_status sac_feed_frame(sac_student *student, sac_video *video, sac_error *error) {
    sac_status status = SAC_OK;
    if (is_gray(student)) {
        sac_luma_frame plane;
        SAC_TRY(sac_video_read_luma(video, &plane, error));
        if (status != SAC_OK) return status;
        return sac_student_push_luma(student, &plane.luma, plane.time_s, error);
    }
    sac_frame frame;
    SAC_TRY(sac_video_read(video, &frame, error));
    if (status != SAC_OK) return status;
    return sac_student_push(student, frame.data, frame.width, frame.height, frame.channels,
                            frame.time_s, error);
fail:
    return status;
}
