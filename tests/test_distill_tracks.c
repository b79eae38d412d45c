// Linking of boxes to tracks: what is joined, interpolated, smoothed and dropped.
#include <criterion/criterion.h>

#include "distill/tracks.h"
#include "distill_make.h"
#include "helper.h"

static sac_tracks link_or_fail(const sac_detections *d, int64_t min_frames) {
    sac_tracks tracks = {0};
    sac_assert_ok(sac_tracks_link(&tracks, d, min_frames), NULL);
    return tracks;
}

// Takes the boxes of frames first..last out.
static void frames_empty(sac_detections *d, int64_t first, int64_t last) {
    int64_t kept = 0;
    for (int64_t t = 0; t < d->frames; t++) {
        const int64_t begin = d->start[t], end = d->start[t + 1];
        d->start[t] = kept;
        for (int64_t b = begin; b < end; b++) {
            if (t < first || t > last) d->boxes[kept++] = d->boxes[b];
        }
    }
    d->start[d->frames] = d->count = kept;
}

static void boxes_follow(const sac_track *track, const mover *m, double tolerance) {
    for (int64_t k = 0; k < track->frames; k++) {
        sac_box box = {0};
        cr_assert(mover_box(&box, m, track->first + k));
        const float wanted[4] = {box.x1, box.y1, box.x2, box.y2};
        for (int e = 0; e < 4; e++) {
            cr_assert(fabs((double)(track->boxes[k * 4 + e] - wanted[e])) <= tolerance,
                      "frame %lld edge %d: %g, expected %g", (long long)(track->first + k), e,
                      (double)track->boxes[k * 4 + e], (double)wanted[e]);
        }
    }
}

// A straight path at even speed is its own mean, so smoothing must not change it.
Test(distill_tracks, one_object_is_one_track) {
    const mover m = {.first = 5,
                     .frames = 30,
                     .x = 10,
                     .y = 20,
                     .vx = 1.5,
                     .vy = -0.25,
                     .width = 12,
                     .height = 20};
    sac_detections d = movers_detect(&m, 1, 50);
    sac_tracks tracks = link_or_fail(&d, 12);
    cr_assert_eq(tracks.count, 1);
    cr_assert_eq(tracks.items[0].first, 5);
    cr_assert_eq(tracks.items[0].frames, 30);
    boxes_follow(&tracks.items[0], &m, 1e-4);
    sac_tracks_close(&tracks);
    cr_assert_null(tracks.items);
    sac_detections_close(&d);
}

Test(distill_tracks, gap_of_two_frames_is_filled_and_of_three_is_not) {
    const mover m = {.frames = 30, .x = 10, .y = 20, .vx = 1, .width = 12, .height = 20};
    sac_detections d = movers_detect(&m, 1, 30);
    frames_empty(&d, 10, 11);
    sac_tracks tracks = link_or_fail(&d, 1);
    cr_assert_eq(tracks.count, 1);
    cr_assert_eq(tracks.items[0].frames, 30);
    boxes_follow(&tracks.items[0], &m, 1e-4);
    sac_tracks_close(&tracks);
    frames_empty(&d, 10, 12);
    tracks = link_or_fail(&d, 1);
    cr_assert_eq(tracks.count, 2);
    cr_assert_eq(tracks.items[0].frames + tracks.items[1].frames, 27);
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

Test(distill_tracks, short_tracks_are_dropped) {
    const mover movers[2] = {{.frames = 11, .x = 10, .y = 20, .width = 12, .height = 20},
                             {.frames = 12, .x = 60, .y = 20, .width = 12, .height = 20}};
    sac_detections d = movers_detect(movers, 2, 20);
    sac_tracks tracks = link_or_fail(&d, 12);
    cr_assert_eq(tracks.count, 1);
    boxes_follow(&tracks.items[0], &movers[1], 1e-4);
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

// Two objects meet: each box goes to the chain that it overlaps most, and to one only.
Test(distill_tracks, neighbours_keep_their_own_boxes) {
    const mover movers[2] = {
        {.frames = 20, .x = 10, .y = 20, .vx = 0.5, .width = 20, .height = 20},
        {.frames = 20, .x = 18, .y = 20, .vx = 0.5, .width = 20, .height = 20}};
    sac_detections d = movers_detect(movers, 2, 20);
    sac_tracks tracks = link_or_fail(&d, 1);
    cr_assert_eq(tracks.count, 2);
    const int order = tracks.items[0].boxes[0] < 15 ? 0 : 1;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tracks.items[i].frames, 20);
        boxes_follow(&tracks.items[i], &movers[i ^ order], 1e-4);
    }
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

// A detector's boxes tremble; the track trembles less, and by how much a mean of five frames
// allows.
Test(distill_tracks, smoothing_calms_a_trembling_box) {
    const mover m = {.frames = 60, .x = 10, .y = 20, .width = 30, .height = 30};
    sac_detections d = movers_detect(&m, 1, 60);
    for (int64_t b = 0; b < d.count; b++) {
        const float shift = b % 2 == 0 ? 2 : -2;
        d.boxes[b].x1 += shift;
        d.boxes[b].x2 += shift;
    }
    sac_tracks tracks = link_or_fail(&d, 12);
    cr_assert_eq(tracks.count, 1);
    for (int64_t k = 2; k < 58; k++) {
        cr_assert(fabs((double)tracks.items[0].boxes[k * 4] - 10) <= 0.4 + 1e-5);
    }
    cr_assert_float_eq(tracks.items[0].boxes[0], 12, 1e-5,
                       "the first frame has nothing to average");
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

Test(distill_tracks, nothing_and_one_frame) {
    const mover m = {.frames = 1, .x = 1, .y = 2, .width = 3, .height = 4};
    sac_detections none = movers_detect(&m, 0, 7), one = movers_detect(&m, 1, 1);
    sac_tracks tracks = link_or_fail(&none, 1);
    cr_assert_eq(tracks.count, 0);
    sac_tracks_close(&tracks);
    tracks = link_or_fail(&one, 1);
    cr_assert_eq(tracks.count, 1);
    cr_assert_eq(tracks.items[0].frames, 1);
    boxes_follow(&tracks.items[0], &m, 0);
    sac_tracks_close(&tracks);
    sac_detections_close(&none);
    sac_detections_close(&one);
}

// Boxes without area overlap nothing, not even themselves.
Test(distill_tracks, boxes_without_area_stay_alone) {
    const mover m = {.frames = 9, .x = 5, .y = 5, .width = 0, .height = 8};
    sac_detections d = movers_detect(&m, 1, 9);
    sac_tracks tracks = link_or_fail(&d, 1);
    cr_assert_eq(tracks.count, 9);
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

// Every box of a crowd that lies in one place is used exactly once.
Test(distill_tracks, a_pile_of_equal_boxes) {
    enum { PILE = 300, FRAMES = 6 };
    static mover movers[PILE];
    for (int i = 0; i < PILE; i++) movers[i] = (mover){.frames = FRAMES, .width = 9, .height = 9};
    sac_detections d = movers_detect(movers, PILE, FRAMES);
    sac_tracks tracks = link_or_fail(&d, 1);
    cr_assert_eq(tracks.count, PILE);
    for (int i = 0; i < PILE; i++) cr_assert_eq(tracks.items[i].frames, FRAMES);
    sac_tracks_close(&tracks);
    sac_detections_close(&d);
}

Test(distill_tracks, out_of_memory_leaves_nothing_behind) {
    const mover movers[2] = {{.frames = 40, .x = 10, .y = 20, .vx = 1, .width = 12, .height = 20},
                             {.frames = 40, .x = 70, .y = 20, .vx = 1, .width = 12, .height = 20}};
    sac_detections d = movers_detect(movers, 2, 40);
    int64_t failures = 0;
    for (;; failures++) {
        sac_tracks tracks;
        sac_memory_fail_after(failures);
        const sac_status status = sac_tracks_link(&tracks, &d, 12);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            cr_assert_eq(tracks.count, 2);
            sac_tracks_close(&tracks);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY);
        cr_assert_null(tracks.items);
        cr_assert_eq(tracks.count, 0);
    }
    cr_assert(failures >= 8, "only %lld allocations failed", (long long)failures);
    sac_detections_close(&d);
}
