// RBDC, TBDC and the regions of maps: cases that can be counted by hand, and a plain reference that
// follows the definition threshold by threshold.
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "eval/map_regions.h"
#include "eval/regions.h"
#include "helper.h"

#define NEVER (-(float)INFINITY)

// A clip with room for small cases.
typedef struct scene {
    sac_truth_region truth[256];
    sac_detected_region found[256];
    sac_truth t;
    sac_detected d;
} scene;

static void begin(scene *s, int64_t frames, int64_t tracks) {
    memset(s, 0, sizeof *s);
    s->t = (sac_truth){.frames = frames, .tracks = tracks, .regions = s->truth};
    s->d = (sac_detected){.regions = s->found};
}

static void truth(scene *s, int64_t frame, int64_t track, float x, float y, float w, float h) {
    s->truth[s->t.count++] = (sac_truth_region){frame, track, x, y, x + w, y + h};
}

static void found(scene *s, int64_t frame, float x, float y, float w, float h, float score) {
    s->found[s->d.count++] = (sac_detected_region){frame, x, y, x + w, y + h, score, NEVER};
}

static sac_region_result measure_with(const sac_region_options *options, const scene *scenes,
                                      int count) {
    sac_region_meter *meter = NULL;
    sac_region_result result;
    sac_error error = {0};
    sac_assert_ok(sac_region_meter_create(&meter, options, &error), &error);
    for (int i = 0; i < count; i++)
        sac_assert_ok(sac_region_meter_add(meter, "clip", &scenes[i].t, &scenes[i].d, &error),
                      &error);
    sac_assert_ok(sac_region_meter_finish(&result, meter, &error), &error);
    sac_region_meter_close(&meter);
    return result;
}

static void expect(const scene *scenes, int count, double rbdc, double tbdc) {
    const sac_region_options options = sac_region_default_options();
    sac_region_result r = measure_with(&options, scenes, count);
    if (isnan(rbdc))
        cr_assert(isnan(r.rbdc) && isnan(r.tbdc));
    else
        cr_assert(fabs(r.rbdc - rbdc) < 1e-12 && fabs(r.tbdc - tbdc) < 1e-12,
                  "RBDC %.15g TBDC %.15g, expected %.15g %.15g", r.rbdc, r.tbdc, rbdc, tbdc);
    sac_region_result_close(&r);
    cr_assert(r.region.fpr == NULL && r.clips == 0);
}

Test(eval_regions, iou) {
    const float a[4] = {0, 0, 10, 10}, b[4] = {5, 0, 15, 10}, c[4] = {10, 0, 20, 10};
    cr_assert_float_eq(sac_region_iou(a, b), 1.0 / 3.0, 1e-15);
    cr_assert_float_eq(sac_region_iou(a, a), 1.0, 1e-15);
    cr_assert(!(sac_region_iou(a, c) > 0.0), "boxes that only touch share nothing");
}

Test(eval_regions, one_box_clips) {
    static scene s;
    // One region, found by the only detection.
    begin(&s, 1, 1);
    truth(&s, 0, 0, 10, 10, 10, 10);
    found(&s, 0, 12, 10, 10, 10, 0.3f);
    expect(&s, 1, 1.0, 1.0);
    // Nothing detected.
    s.d.count = 0;
    expect(&s, 1, 0.0, 0.0);
    // Only a false positive: one per frame, the whole range is used up without finding anything.
    found(&s, 0, 40, 40, 10, 10, 0.9f);
    expect(&s, 1, 0.0, 0.0);
    // The false positive first, then the region: (1, 0) to (1, 1) is a step at the very end.
    found(&s, 0, 12, 10, 10, 10, 0.3f);
    expect(&s, 1, 0.0, 0.0);
    // In one step with the region, by the tie: the straight line from (0, 0) to (1, 1).
    s.found[0].score = 0.3f;
    expect(&s, 1, 0.5, 0.5);
    // The region first.
    s.found[0].score = 0.1f;
    expect(&s, 1, 1.0, 1.0);
    const sac_region_options options = sac_region_default_options();
    sac_region_result r = measure_with(&options, &s, 1);
    cr_assert(r.clips == 1 && r.frames == 1 && r.regions == 1 && r.tracks == 1);
    sac_region_result_close(&r);
}

Test(eval_regions, curve_by_hand) {
    static scene s[2];
    // Ten frames, four regions of one track, and a second clip of ten normal frames.
    begin(&s[0], 10, 1);
    for (int t = 0; t < 4; t++) truth(&s[0], t, 0, 0, 0, 10, 10);
    found(&s[0], 0, 0, 0, 10, 10, 0.9f);
    found(&s[0], 1, 0, 0, 10, 10, 0.5f);
    found(&s[0], 2, 80, 80, 10, 10, 0.7f);
    begin(&s[1], 10, 0);
    for (int t = 0; t < 10; t++) found(&s[1], t, 0, 0, 10, 10, 0.7f);
    // th 0.9: (0, 1/4); th 0.7: (11/20, 1/4); th 0.5: (11/20, 1/2), flat to 1.
    expect(s, 2, 11.0 / 20 / 4 + 9.0 / 20 / 2, 1.0);
    // Twenty more false positives at the end: the curve passes 1 on the way from 11/20 to 31/20,
    // with one more region found there.
    for (int i = 0; i < 20; i++) found(&s[1], 9, 5, 5, 10, 10, 0.2f);
    s[0].found[3] = (sac_detected_region){3, 0, 0, 10, 10, 0.2f, NEVER};
    s[0].d.count = 4;
    const double at_one = 0.5 + 0.25 * (9.0 / 20);
    expect(s, 2, 11.0 / 20 / 4 + 9.0 / 20 * (0.5 + at_one) / 2, 1.0);
    const sac_region_options options = sac_region_default_options();
    sac_region_result r = measure_with(&options, s, 2);
    cr_assert_float_eq(r.region_rate, at_one, 1e-12);
    cr_assert(r.clips == 2 && r.frames == 20 && r.regions == 4 && r.tracks == 1 &&
              r.detected == 34);
    // Corners: (0,0) (0,1/4) (11/20,1/4) (11/20,1/2) (1,at_one).
    cr_assert_eq(r.region.count, 5);
    cr_assert_float_eq(r.region.fpr[2], 0.55, 1e-12);
    cr_assert_float_eq(r.region.rate[3], 0.5, 1e-12);
    cr_assert_float_eq(r.region.fpr[4], 1.0, 1e-12);
    json_t *json = sac_region_to_json(&r);
    cr_assert_float_eq(json_real_value(json_object_get(json, "rbdc")), r.rbdc, 1e-15);
    json_decref(json);
    sac_region_result_close(&r);
}

Test(eval_regions, tracks_need_a_tenth) {
    static scene s;
    for (int n = 1; n <= 120; n += n < 40 ? 1 : 10) {
        begin(&s, 200, 1);
        for (int t = 0; t < n; t++) truth(&s, t, 0, 0, 0, 10, 10);
        const int needed = (n + 9) / 10;
        for (int t = 0; t < needed - 1; t++) found(&s, t, 0, 0, 10, 10, 0.5f);
        expect(&s, 1, (needed - 1) / (double)n, 0.0);
        found(&s, needed - 1, 0, 0, 10, 10, 0.4f);
        expect(&s, 1, needed / (double)n, 1.0);
        cr_assert(s.d.count * 10 >= n && (s.d.count - 1) * 10 < n, "%d regions", n);
    }
}

Test(eval_regions, duplicates_and_sharing) {
    static scene s;
    begin(&s, 2, 2);
    truth(&s, 0, 0, 0, 0, 10, 10);
    truth(&s, 0, 1, 10, 0, 10, 10);
    // Three boxes on the first region, one over both; none of them is a false positive.
    for (int i = 0; i < 3; i++) found(&s, 0, 0, 0, 10, 10 + (float)i, 0.9f);
    found(&s, 0, 0, 0, 20, 10, 0.8f);
    expect(&s, 1, 1.0, 1.0);
    // Two boxes on one piece of background count twice: (1, 0) comes before the regions.
    for (int i = 0; i < 2; i++) found(&s, 1, 50, 50, 10, 10, 0.95f);
    expect(&s, 1, 0.0, 0.0);
    // The same box as the region of frame 0, but in frame 1: nothing to find there.
    s.d.count = 0;
    found(&s, 1, 0, 0, 10, 10, 0.9f);
    expect(&s, 1, 0.0, 0.0);
    const sac_region_options options = sac_region_default_options();
    sac_region_result r = measure_with(&options, &s, 1);
    cr_assert(r.regions == 2 && r.tracks == 2 && r.rbdc == 0.0);
    sac_region_result_close(&r);
}

Test(eval_regions, overlap_of_exactly_a_tenth) {
    static scene s;
    begin(&s, 1, 1);
    truth(&s, 0, 0, 0, 0, 1, 10);
    found(&s, 0, 0, 0, 1, 1, 0.5f);
    expect(&s, 1, 1.0, 1.0);
    s.found[0].y2 = 0.99f;
    expect(&s, 1, 0.0, 0.0);
}

Test(eval_regions, no_ground_truth_and_empty_clips) {
    static scene s[2];
    begin(&s[0], 0, 0);
    begin(&s[1], 3, 0);
    found(&s[1], 1, 0, 0, 5, 5, 0.5f);
    expect(s, 2, NAN, NAN);
    expect(s, 1, NAN, NAN);
    expect(s, 0, NAN, NAN);
    begin(&s[1], 3, 1);
    truth(&s[1], 1, 0, 0, 0, 5, 5);
    found(&s[1], 1, 0, 0, 5, 5, 0.5f);
    expect(s, 2, 1.0, 1.0);
}

// ---- the plain reference -----------------------------------------------------------------------

enum { REF_CLIPS = 3 };

static bool stands(const sac_detected_region *d, float threshold) {
    return threshold <= d->score && threshold > d->until;
}

static bool meets(const sac_detected_region *d, const sac_truth_region *r, double min_iou) {
    const float a[4] = {d->x1, d->y1, d->x2, d->y2}, b[4] = {r->x1, r->y1, r->x2, r->y2};
    return d->frame == r->frame && sac_region_iou(a, b) >= min_iou;
}

// The definition at one threshold.
static void ref_point(double *fpr, double *region_rate, double *track_rate, const scene *s,
                      const sac_region_options *o, float threshold) {
    int64_t frames = 0, regions = 0, tracks = 0, wrong = 0, hit = 0, tracks_hit = 0;
    for (int c = 0; c < REF_CLIPS; c++) {
        frames += s[c].t.frames;
        regions += s[c].t.count;
        tracks += s[c].t.tracks;
        for (int64_t i = 0; i < s[c].d.count; i++) {
            if (!stands(&s[c].found[i], threshold)) continue;
            bool any = false;
            for (int64_t k = 0; k < s[c].t.count; k++)
                any = any || meets(&s[c].found[i], &s[c].truth[k], o->min_iou);
            wrong += !any;
        }
        for (int64_t track = 0; track < s[c].t.tracks; track++) {
            int64_t length = 0, seen = 0;
            for (int64_t k = 0; k < s[c].t.count; k++) {
                if (s[c].truth[k].track != track) continue;
                length++;
                bool any = false;
                for (int64_t i = 0; i < s[c].d.count; i++)
                    any = any || (stands(&s[c].found[i], threshold) &&
                                  meets(&s[c].found[i], &s[c].truth[k], o->min_iou));
                seen += any;
            }
            hit += seen;
            tracks_hit += seen > 0 && (double)seen >= o->track_share * (double)length - 1e-9;
        }
    }
    *fpr = (double)wrong / (double)frames;
    *region_rate = (double)hit / (double)regions;
    *track_rate = (double)tracks_hit / (double)tracks;
}

// Area under the best rate at up to each false-positive rate, straight between the points, on a
// path (f, r) in rising order of both.
static double ref_area(double *f, double *r, int count, double limit) {
    for (int i = 0; i < count; i++)
        for (int k = i + 1; k < count; k++)
            if (f[k] < f[i] || (!(f[k] > f[i]) && r[k] < r[i])) {
                double x = f[i];
                f[i] = f[k];
                f[k] = x;
                x = r[i];
                r[i] = r[k];
                r[k] = x;
            }
    double area = 0.0;
    for (int i = 1; i < count; i++) {
        if (r[i] < r[i - 1]) r[i] = r[i - 1];
        if (f[i - 1] >= limit) break;
        if (f[i] <= limit) {
            area += (f[i] - f[i - 1]) * (r[i] + r[i - 1]) / 2;
        } else {
            const double end =
                r[i - 1] + (r[i] - r[i - 1]) * (limit - f[i - 1]) / (f[i] - f[i - 1]);
            area += (limit - f[i - 1]) * (r[i - 1] + end) / 2;
        }
    }
    if (f[count - 1] < limit) area += (limit - f[count - 1]) * r[count - 1];
    return area / limit;
}

static void random_scenes(scene *s, sac_rng *rng, bool ends) {
    const int64_t levels = 1 + sac_rng_below(rng, 30);
    for (int c = 0; c < REF_CLIPS; c++) {
        begin(&s[c], 1 + sac_rng_below(rng, 12), 1 + sac_rng_below(rng, 5));
        const double density = sac_rng_uniform(rng) * 3;
        const int64_t tracks = s[c].t.tracks;
        for (int64_t t = 0; t < s[c].t.frames; t++) {
            for (int64_t k = 0; k < tracks; k++)
                if (c != 1 && sac_rng_uniform(rng) < 0.4)
                    truth(&s[c], t, k, (float)sac_rng_below(rng, 30), (float)sac_rng_below(rng, 30),
                          (float)(4 + sac_rng_below(rng, 9)), (float)(4 + sac_rng_below(rng, 9)));
            while (sac_rng_uniform(rng) < density / (1 + density)) {
                const float score = (float)sac_rng_below(rng, levels) / (float)levels;
                found(&s[c], t, (float)sac_rng_below(rng, 30), (float)sac_rng_below(rng, 30),
                      (float)(4 + sac_rng_below(rng, 9)), (float)(4 + sac_rng_below(rng, 9)),
                      score);
                if (ends && sac_rng_uniform(rng) < 0.7)
                    s[c].found[s[c].d.count - 1].until =
                        score - (float)(1 + sac_rng_below(rng, 5)) / (float)levels;
            }
        }
        // Tracks without a region would divide the reference's rate differently.
        int64_t map[8], used = 0;
        for (int k = 0; k < 8; k++) map[k] = -1;
        for (int64_t k = 0; k < s[c].t.count; k++) {
            if (map[s[c].truth[k].track] < 0) map[s[c].truth[k].track] = used++;
            s[c].truth[k].track = map[s[c].truth[k].track];
        }
        s[c].t.tracks = used;
    }
}

Test(eval_regions, reference_on_random_scenes) {
    static scene s[REF_CLIPS];
    static double f[1200], region[1200], track[1200], copy[1200];
    int compared = 0, below_one = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sac_rng rng;
        sac_rng_seed(&rng, seed, 0);
        const sac_region_options o = {.min_iou = seed % 3 == 0 ? 0.3 : 0.1,
                                      .track_share = seed % 4 == 0 ? 0.5 : 0.1,
                                      .max_fpr = seed % 5 == 0 ? 0.37 : 1.0};
        random_scenes(s, &rng, seed % 2 == 0);
        int n = 0;
        f[n] = region[n] = track[n] = 0.0;
        n++;
        for (int c = 0; c < REF_CLIPS; c++)
            for (int64_t i = 0; i < s[c].d.count; i++) {
                const float at[2] = {s[c].found[i].score, s[c].found[i].until};
                for (int k = 0; k < 2; k++)
                    if (isfinite(at[k])) {
                        ref_point(&f[n], &region[n], &track[n], s, &o, at[k]);
                        n++;
                    }
            }
        sac_region_result r = measure_with(&o, s, REF_CLIPS);
        if (r.regions == 0) {
            cr_assert(isnan(r.rbdc));
            sac_region_result_close(&r);
            continue;
        }
        memcpy(copy, f, sizeof copy);
        const double rbdc = ref_area(f, region, n, o.max_fpr);
        const double tbdc = ref_area(copy, track, n, o.max_fpr);
        cr_assert(fabs(r.rbdc - rbdc) < 1e-9 && fabs(r.tbdc - tbdc) < 1e-9,
                  "seed %d: RBDC %.12g TBDC %.12g, reference %.12g %.12g", (int)seed, r.rbdc,
                  r.tbdc, rbdc, tbdc);
        // The corners hold the same area.
        double area = 0.0;
        for (int64_t i = 1; i < r.region.count; i++)
            area += (r.region.fpr[i] - r.region.fpr[i - 1]) *
                    (r.region.rate[i] + r.region.rate[i - 1]) / 2;
        cr_assert_float_eq(area / o.max_fpr, r.rbdc, 1e-9, "seed %d: corners %g", (int)seed, area);
        compared++;
        below_one += r.rbdc > 0.01 && r.rbdc < 0.99;
        sac_region_result_close(&r);
    }
    cr_assert(compared > 250 && below_one > 150, "%d cases, %d of them telling", compared,
              below_one);
}

// ---- maps --------------------------------------------------------------------------------------

static void fill(bool *seen, int *box, const float *map, int rows, int cols, int x, int y,
                 float threshold) {
    if (x < 0 || y < 0 || x >= cols || y >= rows || seen[y * cols + x] ||
        map[y * cols + x] < threshold)
        return;
    seen[y * cols + x] = true;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x > box[2]) box[2] = x;
    if (y > box[3]) box[3] = y;
    for (int d = 0; d < 9; d++)
        fill(seen, box, map, rows, cols, x + d % 3 - 1, y + d / 3 - 1, threshold);
}

Test(eval_regions, map_regions_are_the_flood_filled_ones) {
    for (uint64_t seed = 1; seed <= 200; seed++) {
        sac_rng rng;
        sac_rng_seed(&rng, seed, 1);
        const int rows = 1 + (int)sac_rng_below(&rng, 8), cols = 1 + (int)sac_rng_below(&rng, 8);
        const int64_t levels = 1 + sac_rng_below(&rng, 12);
        float maps[2][64];
        for (int i = 0; i < 2 * rows * cols; i++)
            (&maps[0][0])[i] = (float)(sac_rng_below(&rng, levels + 1)) / (float)levels;
        sac_detected d;
        sac_error error = {0};
        sac_assert_ok(sac_map_regions(&d, &maps[0][0], 2, rows, cols, 3 * cols, 2 * rows, &error),
                      &error);
        for (int frame = 0; frame < 2; frame++)
            for (int64_t level = 1; level <= levels; level++) {
                const float *map = &maps[0][0] + frame * rows * cols;
                const float threshold = (float)level / (float)levels;
                bool seen[64] = {false};
                int components = 0, standing = 0;
                for (int64_t i = 0; i < d.count; i++)
                    standing += d.regions[i].frame == frame && stands(&d.regions[i], threshold);
                for (int y = 0; y < rows; y++)
                    for (int x = 0; x < cols; x++) {
                        if (seen[y * cols + x] || map[y * cols + x] < threshold) continue;
                        int box[4] = {x, y, x, y}, matches = 0;
                        fill(seen, box, map, rows, cols, x, y, threshold);
                        components++;
                        for (int64_t i = 0; i < d.count; i++) {
                            const sac_detected_region *r = &d.regions[i];
                            matches += r->frame == frame && stands(r, threshold) &&
                                       (int)lrintf(r->x1) == 3 * box[0] &&
                                       (int)lrintf(r->y1) == 2 * box[1] &&
                                       (int)lrintf(r->x2) == 3 * (box[2] + 1) &&
                                       (int)lrintf(r->y2) == 2 * (box[3] + 1);
                        }
                        // Two components may have the same box (a ring and what it encloses).
                        cr_assert_geq(matches, 1, "seed %d: no box %d %d %d %d at %g", (int)seed,
                                      box[0], box[1], box[2], box[3], (double)threshold);
                    }
                cr_assert_eq(components, standing,
                             "seed %d, frame %d, threshold %g: %d regions, "
                             "expected %d",
                             (int)seed, frame, (double)threshold, standing, components);
            }
        sac_detected_close(&d);
    }
}

Test(eval_regions, map_of_one_blob_finds_it) {
    // A blob of two cells over the region, a fainter one elsewhere, 16x16 px a cell.
    float maps[2][16] = {{0}};
    maps[0][5] = 0.8f;
    maps[0][6] = 0.6f;
    maps[0][15] = 0.5f;
    maps[1][0] = 0.5f;
    static scene s;
    begin(&s, 2, 1);
    truth(&s, 0, 0, 16, 16, 32, 16);
    sac_error error = {0};
    sac_detected d;
    sac_assert_ok(sac_map_regions(&d, &maps[0][0], 2, 4, 4, 64, 64, &error), &error);
    cr_assert_eq(d.count, 4); // cell 5; cells 5 and 6; two faint ones
    s.d = d;
    expect(&s, 1, 1.0, 1.0);
    sac_detected_close(&d);
    // All zero: nothing is reported, not even at threshold 0.
    memset(maps, 0, sizeof maps);
    sac_assert_ok(sac_map_regions(&d, &maps[0][0], 2, 4, 4, 64, 64, &error), &error);
    cr_assert_eq(d.count, 0);
    sac_detected_close(&d);
}

// ---- bad input ---------------------------------------------------------------------------------

Test(eval_regions, bad_input) {
    static scene s;
    const sac_region_options good = sac_region_default_options();
    const sac_region_options bad[] = {{0.0, 0.1, 1}, {1.1, 0.1, 1}, {0.1, 0, 1},
                                      {0.1, 2, 1},   {0.1, 0.1, 0}, {(double)NAN, 0.1, 1}};
    sac_region_meter *meter = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(sac_region_meter_create(&meter, &bad[i], NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_region_meter_create(&meter, NULL, NULL), SAC_ERROR_ARGUMENT);
    for (int kind = 0; kind < 9; kind++) {
        begin(&s, 5, 1);
        truth(&s, 1, 0, 0, 0, 5, 5);
        truth(&s, 2, 0, 0, 0, 5, 5);
        found(&s, 1, 0, 0, 5, 5, 0.5f);
        found(&s, 3, 0, 0, 5, 5, 0.5f);
        sac_status code = SAC_ERROR_ARGUMENT;
        const char *says = "frame 3";
        if (kind == 0) s.found[1].score = NAN, code = SAC_ERROR_NUMERIC;
        if (kind == 1) s.found[1].x2 = INFINITY, code = SAC_ERROR_NUMERIC;
        if (kind == 2) s.found[1].x2 = 0;
        if (kind == 3) s.found[1].frame = 5, says = "frame 5";
        if (kind == 4) s.found[1].frame = 0, says = "frame 0";
        if (kind == 5) s.truth[1].frame = 0, says = "ground-truth";
        if (kind == 6) s.truth[1].track = 1, says = "track 1";
        if (kind == 7) s.found[1].until = 0.5f;
        if (kind == 8) s.found[1].until = NAN;
        sac_error error = {0};
        sac_assert_ok(sac_region_meter_create(&meter, &good, &error), &error);
        sac_assert_error(sac_region_meter_add(meter, "Test009", &s.t, &s.d, &error), code, &error,
                         "Test009", says, NULL);
        sac_region_meter_close(&meter);
        cr_assert_null(meter);
    }
    float map[4] = {0, 1, NAN, 0};
    sac_detected d;
    sac_error error = {0};
    sac_assert_error(sac_map_regions(&d, map, 1, 2, 2, 8, 8, &error), SAC_ERROR_NUMERIC, &error,
                     "frame 0", NULL);
    cr_assert_null(d.regions);
    cr_assert_eq(sac_map_regions(&d, NULL, 1, 2, 2, 8, 8, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_map_regions(&d, map, -1, 2, 2, 8, 8, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_map_regions(&d, map, 1, 0, 2, 8, 8, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_map_regions(&d, map, 1, 2, 2, 0, 8, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_map_regions(NULL, map, 1, 2, 2, 8, 8, NULL), SAC_ERROR_ARGUMENT);
}

Test(eval_regions, allocation_failures) {
    static scene s;
    static float maps[64 * 64];
    begin(&s, 3, 2);
    truth(&s, 0, 0, 0, 0, 9, 9);
    truth(&s, 1, 1, 0, 0, 9, 9);
    found(&s, 0, 0, 0, 9, 9, 0.5f);
    found(&s, 2, 0, 0, 9, 9, 0.4f);
    for (int i = 0; i < 64 * 64; i++) maps[i] = (float)(i * 7919 % 4093) / 4093.0f;
    const sac_region_options options = sac_region_default_options();
    bool done = false;
    for (int64_t n = 0; n < 100 && !done; n++) {
        sac_region_meter *meter = NULL;
        sac_region_result result = {0};
        sac_detected d = {0};
        sac_memory_fail_after(n);
        sac_status status = sac_region_meter_create(&meter, &options, NULL);
        if (status >= 0) status = sac_region_meter_add(meter, "a", &s.t, &s.d, NULL);
        if (status >= 0) status = sac_region_meter_finish(&result, meter, NULL);
        if (status >= 0) status = sac_map_regions(&d, maps, 1, 64, 64, 64, 64, NULL);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY);
        if (done) cr_assert_gt(d.count, 500);
        sac_detected_close(&d);
        sac_region_result_close(&result);
        sac_region_meter_close(&meter);
    }
    cr_assert(done);
}
