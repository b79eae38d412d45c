// Camera and noise of the synthetic scene. No state, no drawing.
#include "video/synth_space.h"

sac_synth_camera sac_synth_camera_make(int width, int height, double above_m, double pitch) {
    double reach = width > 1.5 * height ? width : 1.5 * height;
    return (sac_synth_camera){.width = width,
                              .height = height,
                              .focal_px = 1.3 * reach,
                              .cx = 0.5 * width,
                              .cy = 0.5 * height,
                              .above_m = above_m,
                              .sin_pitch = sin(pitch),
                              .cos_pitch = cos(pitch)};
}

sac_synth_pixel sac_synth_project(const sac_synth_camera *camera, sac_synth_vec point) {
    double dz = point.z - camera->above_m;
    double depth = point.y * camera->cos_pitch - dz * camera->sin_pitch;
    if (depth < 0.5) return (sac_synth_pixel){0, 0, 0, depth};
    double up = point.y * camera->sin_pitch + dz * camera->cos_pitch;
    double scale = camera->focal_px / depth;
    return (sac_synth_pixel){camera->cx + scale * point.x, camera->cy - scale * up, scale, depth};
}

sac_synth_vec sac_synth_ground(const sac_synth_camera *camera, double u, double v) {
    double a = (u - camera->cx) / camera->focal_px, b = (v - camera->cy) / camera->focal_px;
    double t = camera->above_m / (camera->sin_pitch + b * camera->cos_pitch);
    return (sac_synth_vec){t * a, t * (camera->cos_pitch - b * camera->sin_pitch), 0};
}

double sac_synth_noise(double x, double y, uint64_t seed) {
    double fx = floor(x), fy = floor(y);
    int64_t i = (int64_t)fx, j = (int64_t)fy;
    double tx = x - fx, ty = y - fy;
    tx = tx * tx * (3 - 2 * tx);
    ty = ty * ty * (3 - 2 * ty);
    double a = sac_synth_lattice(i, j, seed), b = sac_synth_lattice(i + 1, j, seed);
    double c = sac_synth_lattice(i, j + 1, seed), d = sac_synth_lattice(i + 1, j + 1, seed);
    return (a + (b - a) * tx) * (1 - ty) + (c + (d - c) * tx) * ty;
}

double sac_synth_fractal(double x, double y, int octaves, uint64_t seed) {
    double sum = 0, weight = 1, total = 0;
    for (int o = 0; o < octaves; o++) {
        sum += weight * sac_synth_noise(x, y, seed + (uint64_t)o);
        total += weight;
        weight *= 0.5;
        x = x * 2 + 17.3;
        y = y * 2 - 9.1;
    }
    return sum / total;
}
