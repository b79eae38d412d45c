// Analytic-coverage drawing of capsules and quads, and of their shadows on the ground.
#include "video/synth_raster.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"

sac_status sac_synth_layer_init(sac_synth_layer *layer, int width, int height) {
    int64_t count;
    memset(layer, 0, sizeof *layer);
    if (!sac_mul(width, height, &count)) return SAC_ERROR_ARGUMENT;
    layer->width = width;
    layer->height = height;
    layer->value = sac_calloc(count, sizeof *layer->value);
    layer->alpha = sac_calloc(count, sizeof *layer->alpha);
    layer->x0 = width;
    layer->y0 = height;
    if (layer->value == NULL || layer->alpha == NULL) {
        sac_synth_layer_free(layer);
        return SAC_ERROR_MEMORY;
    }
    return SAC_OK;
}

void sac_synth_layer_free(sac_synth_layer *layer) {
    sac_free(layer->value);
    sac_free(layer->alpha);
    memset(layer, 0, sizeof *layer);
}

// Pixel rectangle that covers box[4], clipped to the picture; false when nothing is left.
static bool clip(const double box[4], int width, int height, int rect[4]) {
    if (!(box[2] >= 0 && box[3] >= 0 && box[0] < width && box[1] < height)) return false;
    rect[0] = box[0] < 0 ? 0 : (int)box[0];
    rect[1] = box[1] < 0 ? 0 : (int)box[1];
    rect[2] = box[2] >= width ? width : (int)box[2] + 1;
    rect[3] = box[3] >= height ? height : (int)box[3] + 1;
    return rect[0] < rect[2] && rect[1] < rect[3];
}

static void put(sac_synth_layer *layer, int64_t i, float value, float coverage) {
    float alpha = layer->alpha[i];
    layer->value[i] = alpha > 0 ? layer->value[i] + (value - layer->value[i]) * coverage : value;
    if (coverage > alpha) layer->alpha[i] = coverage;
}

static void grow(sac_synth_layer *layer, const int rect[4]) {
    if (rect[0] < layer->x0) layer->x0 = rect[0];
    if (rect[1] < layer->y0) layer->y0 = rect[1];
    if (rect[2] > layer->x1) layer->x1 = rect[2];
    if (rect[3] > layer->y1) layer->y1 = rect[3];
}

// Edge functions of a convex polygon of four corners, positive inside whatever its orientation.
// Returns its doubled signed area; edges of no length are left out.
static double edges_of(const double x[4], const double y[4], double edge[4][3], int *count) {
    double area = 0;
    *count = 0;
    for (int i = 0; i < 4; i++) area += x[i] * y[(i + 1) & 3] - x[(i + 1) & 3] * y[i];
    double sign = area < 0 ? -1 : 1;
    for (int i = 0; i < 4; i++) {
        int j = (i + 1) & 3;
        double dx = x[j] - x[i], dy = y[j] - y[i], length = hypot(dx, dy);
        if (length < 1e-9) continue;
        double nx = -sign * dy / length, ny = sign * dx / length;
        edge[*count][0] = nx;
        edge[*count][1] = ny;
        edge[*count][2] = -(nx * x[i] + ny * y[i]);
        ++*count;
    }
    return area;
}

static double inside(const double edge[4][3], int count, double x, double y) {
    double least = 1e9;
    for (int i = 0; i < count; i++) {
        double d = edge[i][0] * x + edge[i][1] * y + edge[i][2];
        if (d < least) least = d;
    }
    return least;
}

// The image orientation of a visible face: counter-clockwise seen from outside is clockwise in (u,
// down) coordinates with v downwards, that is, a negative doubled area.
static bool project_quad(const sac_synth_part *part, const sac_synth_camera *camera, double u[4],
                         double v[4]) {
    const sac_synth_vec corner[4] = {part->a, part->b, part->c, part->d};
    for (int i = 0; i < 4; i++) {
        sac_synth_pixel p = sac_synth_project(camera, corner[i]);
        if (p.scale <= 0) return false;
        u[i] = p.u;
        v[i] = p.v;
    }
    return true;
}

static void draw_quad(sac_synth_layer *layer, const sac_synth_camera *camera,
                      const sac_synth_part *part) {
    double u[4], v[4], edge[4][3];
    int count, rect[4];
    if (!project_quad(part, camera, u, v)) return;
    if (edges_of(u, v, edge, &count) >= 0 || count < 3) return; // its back, or edge-on
    double box[4] = {u[0], v[0], u[0], v[0]};
    for (int i = 1; i < 4; i++) {
        box[0] = fmin(box[0], u[i]);
        box[1] = fmin(box[1], v[i]);
        box[2] = fmax(box[2], u[i]);
        box[3] = fmax(box[3], v[i]);
    }
    double padded[4] = {box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1};
    if (!clip(padded, layer->width, layer->height, rect)) return;
    grow(layer, rect);
    for (int y = rect[1]; y < rect[3]; y++) {
        for (int x = rect[0]; x < rect[2]; x++) {
            double d = inside((const double(*)[3])edge, count, x + 0.5, y + 0.5) + 0.5;
            if (d <= 0) continue;
            put(layer, (int64_t)y * layer->width + x, part->value, d > 1 ? 1.0f : (float)d);
        }
    }
}

static void draw_capsule(sac_synth_layer *layer, const sac_synth_camera *camera,
                         const sac_synth_part *part, sac_synth_vec sun) {
    sac_synth_pixel a = sac_synth_project(camera, part->a), b = sac_synth_project(camera, part->b);
    if (a.scale <= 0 || b.scale <= 0) return;
    float au = (float)a.u, av = (float)a.v, ra = part->ra * (float)a.scale;
    float du = (float)(b.u - a.u), dv = (float)(b.v - a.v), dr = part->rb * (float)b.scale - ra;
    float rmax = (dr > 0 ? ra + dr : ra) + 1;
    double box[4] = {fmin(a.u, b.u) - (double)rmax, fmin(a.v, b.v) - (double)rmax,
                     fmax(a.u, b.u) + (double)rmax, fmax(a.v, b.v) + (double)rmax};
    int rect[4];
    if (!clip(box, layer->width, layer->height, rect)) return;
    grow(layer, rect);
    float length2 = du * du + dv * dv, inverse = length2 > 1e-6f ? 1 / length2 : 0;
    // Sun in image axes (v down): round parts are brighter on that side.
    float su = (float)sun.x;
    float sv = (float)-(sun.y * camera->sin_pitch + sun.z * camera->cos_pitch);
    // Stripes thinner than two pixels would alias: they fade out instead.
    double dx = part->b.x - part->a.x, dy = part->b.y - part->a.y, dz = part->b.z - part->a.z;
    float metres = (float)sqrt(dx * dx + dy * dy + dz * dz);
    float stripe = 0, waves = 0;
    if (part->stripe > 0 && part->period > 0) {
        waves = metres / part->period;
        double period_px = sqrt((double)length2) / ((double)waves + 1e-6);
        stripe = part->stripe * (float)sac_synth_smooth(1.5, 4, period_px);
    }
    for (int y = rect[1]; y < rect[3]; y++) {
        float py = (float)y + 0.5f - av;
        for (int x = rect[0]; x < rect[2]; x++) {
            float px = (float)x + 0.5f - au;
            float t = (px * du + py * dv) * inverse;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            float qx = px - t * du, qy = py - t * dv, r = ra + t * dr;
            float reach = r + 0.5f, d2 = qx * qx + qy * qy;
            if (d2 >= reach * reach) continue;
            float d = sqrtf(d2), coverage = reach - d;
            if (coverage > 1) coverage = 1;
            if (coverage > 2 * r) coverage = 2 * r; // thinner than a pixel
            float value = part->value * (1 + 0.25f * (qx * su + qy * sv) / (r + 0.5f));
            if (stripe > 0) value *= 1 + stripe * sinf(6.2831853f * waves * t);
            put(layer, (int64_t)y * layer->width + x, value, coverage);
        }
    }
}

void sac_synth_layer_draw(sac_synth_layer *layer, const sac_synth_camera *camera,
                          const sac_synth_part *part, sac_synth_vec sun) {
    if (part->quad)
        draw_quad(layer, camera, part);
    else
        draw_capsule(layer, camera, part, sun);
}

void sac_synth_layer_composite(sac_synth_layer *layer, float *frame, float *cover, float light,
                               float mark) {
    for (int y = layer->y0; y < layer->y1; y++) {
        int64_t row = (int64_t)y * layer->width;
        for (int64_t i = row + layer->x0; i < row + layer->x1; i++) {
            float alpha = layer->alpha[i];
            if (alpha <= 0) continue;
            frame[i] += (layer->value[i] * light - frame[i]) * alpha;
            cover[i] += (mark - cover[i]) * alpha;
            layer->alpha[i] = 0;
        }
    }
    layer->x0 = layer->width;
    layer->y0 = layer->height;
    layer->x1 = layer->y1 = 0;
}

static sac_synth_vec cast(sac_synth_vec p, sac_synth_vec sun) {
    double t = p.z / sun.z;
    return (sac_synth_vec){p.x - t * sun.x, p.y - t * sun.y, 0};
}

void sac_synth_shadow_draw(float *shade, const sac_synth_camera *camera, const sac_synth_part *part,
                           sac_synth_vec sun) {
    if (part->shadowless) return;
    sac_synth_vec corner[4] = {cast(part->a, sun), cast(part->b, sun), cast(part->c, sun),
                               cast(part->d, sun)};
    int corners = part->quad ? 4 : 2;
    double top = fmax(part->a.z, part->b.z), radius = part->quad ? 0 : fmax(part->ra, part->rb);
    double lo_x = corner[0].x, hi_x = lo_x, lo_y = corner[0].y, hi_y = lo_y;
    for (int i = 1; i < corners; i++) {
        lo_x = fmin(lo_x, corner[i].x);
        hi_x = fmax(hi_x, corner[i].x);
        lo_y = fmin(lo_y, corner[i].y);
        hi_y = fmax(hi_y, corner[i].y);
    }
    double soft = 0.03 + 0.015 * top + 0.7 * camera->above_m / camera->focal_px;
    double reach = radius + soft;
    double box[4] = {1e9, 1e9, -1e9, -1e9};
    for (int i = 0; i < 4; i++) {
        sac_synth_vec p = {i & 1 ? hi_x + reach : lo_x - reach, i & 2 ? hi_y + reach : lo_y - reach,
                           0};
        sac_synth_pixel at = sac_synth_project(camera, p);
        if (at.scale <= 0) return;
        box[0] = fmin(box[0], at.u - 1);
        box[1] = fmin(box[1], at.v - 1);
        box[2] = fmax(box[2], at.u + 1);
        box[3] = fmax(box[3], at.v + 1);
    }
    int rect[4], count = 0;
    if (!clip(box, camera->width, camera->height, rect)) return;
    double edge[4][3], qx[4], qy[4];
    if (part->quad) {
        for (int i = 0; i < 4; i++) {
            qx[i] = corner[i].x;
            qy[i] = corner[i].y;
        }
        edges_of(qx, qy, edge, &count);
        if (count < 3) return;
    }
    float ax = (float)corner[0].x, ay = (float)corner[0].y;
    float dx = (float)corner[1].x - ax, dy = (float)corner[1].y - ay;
    float length2 = dx * dx + dy * dy, inverse = length2 > 1e-9f ? 1 / length2 : 0;
    float ra = part->ra, dr = part->rb - part->ra, half = (float)soft;
    for (int y = rect[1]; y < rect[3]; y++) {
        // Along one picture row the ground point moves along x alone, in equal steps.
        sac_synth_vec left = sac_synth_ground(camera, 0.5, y + 0.5);
        sac_synth_vec right = sac_synth_ground(camera, 1.5, y + 0.5);
        float gy = (float)left.y, x0 = (float)left.x, step = (float)(right.x - left.x);
        float *row = shade + (int64_t)y * camera->width;
        for (int x = rect[0]; x < rect[2]; x++) {
            float gx = x0 + step * (float)x, margin;
            if (part->quad) {
                margin = (float)inside((const double(*)[3])edge, count, (double)gx, (double)gy);
            } else {
                float px = gx - ax, py = gy - ay, t = (px * dx + py * dy) * inverse;
                t = t < 0 ? 0 : t > 1 ? 1 : t;
                float ex = px - t * dx, ey = py - t * dy, r = ra + t * dr + half;
                float d2 = ex * ex + ey * ey;
                if (d2 >= r * r) continue;
                margin = ra + t * dr - sqrtf(d2);
            }
            float t = (margin + half) / (2 * half);
            if (t <= 0) continue;
            // What is thinner than its own half-shadow never gets fully dark.
            float full = part->quad ? 1.0f : fminf(1.0f, 2 * fmaxf(part->ra, part->rb) / half);
            t = (t >= 1 ? 1 : t * t * (3 - 2 * t)) * full;
            if (t > row[x]) row[x] = t;
        }
    }
}

bool sac_synth_part_bounds(const sac_synth_part *part, const sac_synth_camera *camera,
                           double box[4]) {
    if (part->quad) {
        double u[4], v[4];
        if (!project_quad(part, camera, u, v)) return false;
        box[0] = fmin(fmin(u[0], u[1]), fmin(u[2], u[3]));
        box[1] = fmin(fmin(v[0], v[1]), fmin(v[2], v[3]));
        box[2] = fmax(fmax(u[0], u[1]), fmax(u[2], u[3]));
        box[3] = fmax(fmax(v[0], v[1]), fmax(v[2], v[3]));
        return true;
    }
    sac_synth_pixel a = sac_synth_project(camera, part->a), b = sac_synth_project(camera, part->b);
    if (a.scale <= 0 || b.scale <= 0) return false;
    double ra = (double)part->ra * a.scale, rb = (double)part->rb * b.scale;
    box[0] = fmin(a.u - ra, b.u - rb);
    box[1] = fmin(a.v - ra, b.v - rb);
    box[2] = fmax(a.u + ra, b.u + rb);
    box[3] = fmax(a.v + ra, b.v + rb);
    return true;
}

bool sac_synth_part_covers(const sac_synth_part *part, const sac_synth_camera *camera, double u,
                           double v) {
    if (part->quad) {
        double x[4], y[4], edge[4][3];
        int count;
        if (!project_quad(part, camera, x, y)) return false;
        if (edges_of(x, y, edge, &count) >= 0 || count < 3) return false;
        return inside((const double(*)[3])edge, count, u, v) >= 0;
    }
    sac_synth_pixel a = sac_synth_project(camera, part->a), b = sac_synth_project(camera, part->b);
    if (a.scale <= 0 || b.scale <= 0) return false;
    double du = b.u - a.u, dv = b.v - a.v, length2 = du * du + dv * dv;
    double t = length2 > 1e-12 ? ((u - a.u) * du + (v - a.v) * dv) / length2 : 0;
    t = sac_synth_clamp(t, 0, 1);
    double r = (double)part->ra * a.scale * (1 - t) + (double)part->rb * b.scale * t;
    return hypot(u - a.u - t * du, v - a.v - t * dv) <= r;
}
