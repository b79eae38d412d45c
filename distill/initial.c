// Weights of one model into another of the same network; see distill/initial.h.
#include "distill/initial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// "3x16x3x3", "1" for a scalar.
static void shape_text(char *text, size_t size, const sac_shape *shape) {
    size_t used = 0;
    (void)snprintf(text, size, "1");
    for (int i = 0; i < shape->ndims && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i > 0 ? "x" : "",
                                 shape->dims[i]);
    }
}

static bool shape_equal(const sac_shape *a, const sac_shape *b) {
    if (a->ndims != b->ndims) return false;
    for (int i = 0; i < a->ndims; i++) {
        if (a->dims[i] != b->dims[i]) return false;
    }
    return true;
}

static sac_status params_compare(const sac_model *model, const sac_model *from, const char *name,
                                 sac_error *error) {
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        const sac_param *to = sac_params_at(model->params, i);
        const sac_param *had = sac_params_find(from->params, to->name);
        char wanted[96], found[96];
        shape_text(wanted, sizeof wanted, &to->shape);
        if (had == NULL) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                                 "%s (%s): has no tensor '%s', which %s needs with the shape %s",
                                 name, from->arch, to->name, model->arch, wanted);
        }
        if (shape_equal(&to->shape, &had->shape)) continue;
        shape_text(found, sizeof found, &had->shape);
        return sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                             "%s (%s): tensor '%s' has the shape %s, %s needs %s", name, from->arch,
                             to->name, found, model->arch, wanted);
    }
    for (int64_t i = 0; i < sac_params_count(from->params); i++) {
        const char *had = sac_params_at(from->params, i)->name;
        if (sac_params_find(model->params, had) != NULL) continue;
        return sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                             "%s (%s): holds a tensor '%s', which %s does not have", name,
                             from->arch, had, model->arch);
    }
    return SAC_OK;
}

sac_status sac_initial_copy(sac_model *model, const sac_model *from, const char *name,
                            sac_error *error) {
    static const char *const colours[] = {"gray", "coloured"};
    const sac_preprocess *a = &from->preprocess, *b = &model->preprocess;
    if (memcmp(a->offsets, b->offsets, sizeof a->offsets) != 0 || a->mean != b->mean ||
        a->scale != b->scale || a->channels != b->channels) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s was trained on %s frames %d %d %d with (x - %g) / %g, this "
                             "student looks at %s ones %d %d %d with (x - %g) / %g",
                             name, colours[a->channels == 3], a->offsets[0], a->offsets[1],
                             a->offsets[2], a->mean, a->scale, colours[b->channels == 3],
                             b->offsets[0], b->offsets[1], b->offsets[2], b->mean, b->scale);
    }
    const sac_status status = params_compare(model, from, name, error);
    if (status != SAC_OK) return status;
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *to = sac_params_at(model->params, i);
        memcpy(to->data, sac_params_find(from->params, to->name)->data,
               (size_t)to->count * sizeof(float));
    }
    return SAC_OK;
}

uint64_t sac_initial_digest(const sac_params *params) {
    uint64_t hash = 1;
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        const sac_param *p = sac_params_at(params, i);
        for (int64_t k = 0; k < p->count; k++) {
            uint32_t word = 0;
            memcpy(&word, &p->data[k], sizeof word);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
            hash ^= hash >> 32;
        }
    }
    return hash;
}
