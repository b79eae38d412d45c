// One frame through a detection network: letterbox, tiles, mapping back, merging, suppression.
#include "teachers/network_boxes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/digest.h"
#include "video/scale.h"

#define MOST_TILES   4096
#define MOST_CLASSES 65536
#define CUT_PX       2.0f

// ---- lists of boxes -----------------------------------------------------------------------------

sac_status sac_box_list_add(sac_box_list *list, const sac_box *box) {
    if (list->count == list->capacity) {
        const int64_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        sac_box *grown = sac_recalloc(list->boxes, list->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        list->boxes = grown;
        list->capacity = capacity;
    }
    list->boxes[list->count++] = *box;
    return SAC_OK;
}

void sac_box_list_close(sac_box_list *list) {
    if (list == NULL) return;
    sac_free(list->boxes);
    *list = (sac_box_list){0};
}

typedef struct ranked {
    sac_box box;
    int64_t place;
} ranked;

static int compare_ranked(const void *pa, const void *pb) {
    const ranked *a = pa, *b = pb;
    if (a->box.confidence != b->box.confidence) {
        return a->box.confidence > b->box.confidence ? -1 : 1;
    }
    return a->place < b->place ? -1 : a->place > b->place;
}

sac_status sac_box_list_suppress(sac_box_list *list, double iou) {
    ranked *order = sac_calloc(list->count, sizeof *order);
    if (order == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < list->count; i++) {
        order[i] = (ranked){.box = list->boxes[i], .place = i};
    }
    if (list->count > 1) qsort(order, (size_t)list->count, sizeof *order, compare_ranked);
    int64_t kept = 0;
    for (int64_t i = 0; i < list->count; i++) {
        const sac_box *box = &order[i].box;
        bool covered = false;
        for (int64_t k = 0; k < kept && !covered; k++) {
            covered = list->boxes[k].class_id == box->class_id &&
                      sac_box_overlap(&list->boxes[k], box, NULL) > iou;
        }
        if (!covered) list->boxes[kept++] = *box;
    }
    list->count = kept;
    sac_free(order);
    return SAC_OK;
}

// ---- the network's picture ----------------------------------------------------------------------

static int whole_px(double value, int most) {
    const double rounded = floor(value + 0.5);
    return rounded < 1 ? 1 : rounded > most ? most : (int)rounded;
}

static sac_letterbox place(const sac_network_input *input, int x, int y, int width, int height,
                           double ratio) {
    sac_letterbox box = {.x = x, .y = y, .width = width, .height = height};
    box.drawn_w = whole_px(width * ratio, input->width);
    box.drawn_h = whole_px(height * ratio, input->height);
    if (!input->corner) {
        box.left = (input->width - box.drawn_w) / 2;
        box.top = (input->height - box.drawn_h) / 2;
    }
    box.ratio_x = (double)box.drawn_w / width;
    box.ratio_y = (double)box.drawn_h / height;
    return box;
}

sac_letterbox sac_letterbox_fit(const sac_network_input *input, int x, int y, int width,
                                int height) {
    const double ratio = fmin((double)input->width / width, (double)input->height / height);
    return place(input, x, y, width, height, ratio);
}

// Where channel c of input pixel (x, y) lies.
static int64_t cell(const sac_network_input *input, int c, int y, int x) {
    const int64_t w = input->width, h = input->height;
    return input->channels_last ? (y * w + x) * 3 + c : (c * h + y) * w + x;
}

sac_status sac_letterbox_fill(float *dst, const sac_network_input *input, const sac_letterbox *box,
                              const uint8_t *frame, int frame_w, int frame_h, int channels) {
    sac_status status = SAC_OK;
    sac_scaler *scaler = NULL;
    uint8_t *drawn = NULL;
    if ((channels != 1 && channels != 3) || frame_w < 1 || frame_h < 1 || box->x < 0 ||
        box->y < 0 || box->width < 1 || box->height < 1 || box->width > frame_w - box->x ||
        box->height > frame_h - box->y || box->left < 0 || box->top < 0 || box->drawn_w < 1 ||
        box->drawn_h < 1 || box->drawn_w > input->width - box->left ||
        box->drawn_h > input->height - box->top) {
        return SAC_ERROR_ARGUMENT;
    }
    SAC_TRY_ALLOC(drawn = sac_calloc((int64_t)box->drawn_w * box->drawn_h, (size_t)channels));
    SAC_TRY(
        sac_scaler_create(&scaler, box->width, box->height, box->drawn_w, box->drawn_h, channels));
    const ptrdiff_t stride = (ptrdiff_t)frame_w * channels;
    sac_scaler_run_rows(scaler, drawn, frame + box->y * stride + (ptrdiff_t)box->x * channels,
                        stride);
    for (int c = 0; c < 3; c++) {
        float values[256];
        for (int v = 0; v < 256; v++) {
            values[v] = (float)((v - input->mean[c]) * input->scale[c]);
        }
        const float border = (float)((input->pad - input->mean[c]) * input->scale[c]);
        const int from = channels == 1 ? 0 : input->bgr ? 2 - c : c;
        for (int y = 0; y < input->height; y++) {
            const int row = y - box->top;
            const bool inside = row >= 0 && row < box->drawn_h;
            const uint8_t *src = drawn + (int64_t)(inside ? row : 0) * box->drawn_w * channels;
            const int left = inside ? box->left : input->width;
            const int right = inside ? box->left + box->drawn_w : input->width;
            int x = 0;
            for (; x < left; x++) dst[cell(input, c, y, x)] = border;
            for (; x < right; x++) {
                dst[cell(input, c, y, x)] = values[src[(x - left) * channels + from]];
            }
            for (; x < input->width; x++) dst[cell(input, c, y, x)] = border;
        }
    }
fail:
    sac_scaler_close(&scaler);
    sac_free(drawn);
    return status;
}

void sac_letterbox_map(const sac_letterbox *letterbox, sac_box *box) {
    box->x1 = (float)(letterbox->x + ((double)box->x1 - letterbox->left) / letterbox->ratio_x);
    box->x2 = (float)(letterbox->x + ((double)box->x2 - letterbox->left) / letterbox->ratio_x);
    box->y1 = (float)(letterbox->y + ((double)box->y1 - letterbox->top) / letterbox->ratio_y);
    box->y2 = (float)(letterbox->y + ((double)box->y2 - letterbox->top) / letterbox->ratio_y);
}

// ---- networks -----------------------------------------------------------------------------------

void sac_box_network_close(sac_box_network **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_box_network *network = *slot;
    if (network->close != NULL) network->close(network->user);
    sac_free(network->names);
    sac_free(network->text);
    sac_free(network->stamp);
    sac_free(network);
    *slot = NULL;
}

// The next line of `at`, blanks around it dropped, its end replaced by a 0. Moves `at` behind it.
static char *next_line(char **at, const char *end) {
    char *line = *at;
    char *stop = memchr(line, '\n', (size_t)(end - line));
    if (stop == NULL) stop = line + (end - line);
    *at = stop < end ? stop + 1 : stop;
    while (line < stop && (*line == ' ' || *line == '\t')) line++;
    while (stop > line && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r')) stop--;
    *stop = '\0';
    return line;
}

sac_status sac_class_names_read(char ***out, int *count, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    char **names = NULL;
    size_t size = 0;
    *out = NULL;
    *count = 0;
    SAC_TRY(sac_file_read(&bytes, &size, path, (size_t)1 << 20, error));
    int64_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        lines += bytes[i] == '\n';
        if (bytes[i] != '\0') continue;
        status = sac_error_set(error, SAC_ERROR_FORMAT, lines,
                               "%s: line %" PRId64 ": a zero byte; this is not text", path, lines);
        goto fail;
    }
    // Pointers and, behind them, the text they point into.
    const int64_t cells = lines + (int64_t)(size / sizeof(char *)) + 2;
    SAC_TRY_ALLOC(names = sac_calloc(cells, sizeof *names));
    char *text = (char *)(names + lines + 1);
    if (size > 0) memcpy(text, bytes, size);
    int64_t empty = 0, found = 0;
    char *at = text;
    for (int64_t number = 1; at < text + size; number++) {
        char *line = next_line(&at, text + size);
        if (line[0] == '\0') {
            if (empty == 0) empty = number;
            continue;
        }
        if (empty > 0) {
            status =
                sac_error_set(error, SAC_ERROR_FORMAT, empty,
                              "%s: line %" PRId64 ": empty, expected a class name", path, empty);
            goto fail;
        }
        names[found++] = line;
    }
    if (found == 0 || found > MOST_CLASSES) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: %" PRId64 " class names, expected 1 to %d, one per line", path,
                               found, MOST_CLASSES);
        goto fail;
    }
    sac_free(bytes);
    *out = names;
    *count = (int)found;
    return SAC_OK;
fail:
    sac_free(bytes);
    sac_free(names);
    return sac_error_set(error, status, -1, "%s: no memory for the class names", path);
}

sac_status sac_box_network_names(sac_box_network *network, const char *path, const char *model,
                                 sac_error *error) {
    int count = 0;
    if (path == NULL) return SAC_OK;
    const sac_status status = sac_class_names_read(&network->names, &count, path, error);
    if (status < 0 || count == network->classes) return status;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %d class names, %s has %d classes", path,
                         count, model, network->classes);
}

sac_status sac_box_network_stamp(sac_box_network *network, const char *kind,
                                 const char *const *files, int count, sac_error *error) {
    sac_status status = SAC_OK;
    sac_digest *digest = NULL;
    char text[SAC_DIGEST_TEXT];
    SAC_TRY(sac_digest_create(&digest));
    for (int i = 0; i < count; i++) SAC_TRY(sac_digest_file(digest, files[i], error));
    sac_digest_finish(digest, text);
    SAC_TRY_ALLOC(network->stamp = sac_format("%s %s", kind, text));
fail:
    sac_digest_close(&digest);
    return status;
}

// ---- a frame ------------------------------------------------------------------------------------

sac_network_options sac_network_default_options(void) {
    return (sac_network_options){.overlap = 0.25, .nms_iou = 0.45, .min_confidence = 0.5};
}

// Side of a tile along one axis, and how many cover it.
static int64_t divide(int frame, int input, const sac_network_options *o, int *side) {
    const double most = floor(input / o->scale);
    *side = most >= frame ? frame : most < 1 ? 1 : (int)most;
    if (*side == frame) return 1;
    return 1 + (int64_t)ceil((frame - *side) / (*side * (1 - o->overlap)));
}

static int start_of(int64_t i, int64_t count, int frame, int side) {
    return count == 1 ? 0 : (int)((i * (frame - side) + (count - 1) / 2) / (count - 1));
}

int64_t sac_network_tiles(sac_letterbox *tiles, const sac_network_input *input, int frame_w,
                          int frame_h, const sac_network_options *options) {
    if (options->scale <= 0) {
        if (tiles != NULL) *tiles = sac_letterbox_fit(input, 0, 0, frame_w, frame_h);
        return 1;
    }
    int w = 0, h = 0;
    const int64_t columns = divide(frame_w, input->width, options, &w);
    const int64_t rows = divide(frame_h, input->height, options, &h);
    for (int64_t i = 0; tiles != NULL && i < columns * rows; i++) {
        const int x = start_of(i % columns, columns, frame_w, w);
        const int y = start_of(i / columns, rows, frame_h, h);
        tiles[i] = place(input, x, y, w, h, options->scale);
    }
    return columns * rows;
}

// A box of a tile on its way into the frame's list.
typedef struct candidate {
    sac_box box;
    int64_t tile;
    bool cut; // by an inner border of its tile
} candidate;

static bool is_cut(const sac_box *box, const sac_letterbox *tile, int frame_w, int frame_h) {
    const float left = (float)tile->x, right = (float)(tile->x + tile->width);
    const float top = (float)tile->y, bottom = (float)(tile->y + tile->height);
    return (tile->x > 0 && box->x1 < left + CUT_PX) || (tile->y > 0 && box->y1 < top + CUT_PX) ||
           (tile->x + tile->width < frame_w && box->x2 > right - CUT_PX) ||
           (tile->y + tile->height < frame_h && box->y2 > bottom - CUT_PX);
}

// True when another tile shows the whole of what this box shows a part of.
static bool is_part(const candidate *c, const candidate *all, int64_t count) {
    if (!c->cut) return false;
    for (int64_t i = 0; i < count; i++) {
        const candidate *other = &all[i];
        double inside = 0;
        if (other->cut || other->tile == c->tile || other->box.class_id != c->box.class_id ||
            2 * other->box.confidence < c->box.confidence) {
            continue;
        }
        (void)sac_box_overlap(&c->box, &other->box, &inside);
        if (inside >= 0.5) return true;
    }
    return false;
}

// Boxes of all tiles, mapped and cut to the frame.
typedef struct collection {
    candidate *items;
    int64_t count, capacity;
} collection;

static sac_status collect(collection *all, const sac_box_list *found, const sac_letterbox *tile,
                          int64_t number, int frame_w, int frame_h) {
    if (all->count + found->count > all->capacity) {
        const int64_t capacity = 2 * (all->count + found->count);
        candidate *grown = sac_recalloc(all->items, all->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        all->items = grown;
        all->capacity = capacity;
    }
    for (int64_t i = 0; i < found->count; i++) {
        sac_box box = found->boxes[i];
        sac_letterbox_map(tile, &box);
        const bool cut = is_cut(&box, tile, frame_w, frame_h);
        box.x1 = fmaxf(box.x1, 0);
        box.y1 = fmaxf(box.y1, 0);
        box.x2 = fminf(box.x2, (float)frame_w);
        box.y2 = fminf(box.y2, (float)frame_h);
        if (!(box.x2 - box.x1 >= 1 && box.y2 - box.y1 >= 1)) continue;
        all->items[all->count++] = (candidate){.box = box, .tile = number, .cut = cut};
    }
    return SAC_OK;
}

static sac_status check_options(const sac_network_options *o, int64_t tiles, sac_error *error) {
    const bool good = o->scale >= 0 && o->scale <= 16 && o->overlap >= 0 && o->overlap <= 0.75 &&
                      o->nms_iou >= 0 && o->nms_iou <= 1 && o->min_confidence >= 0 &&
                      o->min_confidence <= 1;
    if (!good) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "an option of the detection network is out of range (scale 0..16, "
                             "overlap 0..0.75, suppression 0..1, confidence 0..1)");
    }
    if (tiles > MOST_TILES) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the frame takes %" PRId64 " tiles at scale %g, at most %d", tiles,
                             o->scale, MOST_TILES);
    }
    return SAC_OK;
}

sac_status sac_network_detect(sac_box_network *network, sac_box_list *boxes, const uint8_t *frame,
                              int frame_w, int frame_h, int channels,
                              const sac_network_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_letterbox *tiles = NULL;
    sac_box_list *found = NULL;
    collection all = {0};
    boxes->count = 0;
    SAC_TRY(check_options(options, 1, error));
    const int64_t count = sac_network_tiles(NULL, &network->input, frame_w, frame_h, options);
    SAC_TRY(check_options(options, count, error));
    SAC_TRY_ALLOC(tiles = sac_calloc(count, sizeof *tiles));
    SAC_TRY_ALLOC(found = sac_calloc(network->batch, sizeof *found));
    (void)sac_network_tiles(tiles, &network->input, frame_w, frame_h, options);
    for (int64_t first = 0; first < count; first += network->batch) {
        const int run = (int)(count - first < network->batch ? count - first : network->batch);
        for (int i = 0; i < run; i++) {
            found[i].count = 0;
            SAC_TRY(sac_letterbox_fill(network->picture(network->user, i), &network->input,
                                       &tiles[first + i], frame, frame_w, frame_h, channels));
        }
        SAC_TRY(network->run(network->user, run, options->min_confidence, found, error));
        for (int i = 0; i < run; i++) {
            SAC_TRY(collect(&all, &found[i], &tiles[first + i], first + i, frame_w, frame_h));
        }
    }
    for (int64_t i = 0; i < all.count; i++) {
        if (is_part(&all.items[i], all.items, all.count)) continue;
        SAC_TRY(sac_box_list_add(boxes, &all.items[i].box));
    }
    SAC_TRY(sac_box_list_suppress(boxes, options->nms_iou));
fail:
    for (int i = 0; found != NULL && i < network->batch; i++) sac_box_list_close(&found[i]);
    sac_free(found);
    sac_free(tiles);
    sac_free(all.items);
    if (status >= 0) return SAC_OK;
    boxes->count = 0;
    return sac_error_set(error, status, -1, "a frame of %dx%dx%d for the detection network: %s",
                         frame_w, frame_h, channels, sac_status_name(status));
}
