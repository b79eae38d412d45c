// Thresholding of the smoothed score. No hysteresis: what is reported is exactly what the CSV
// shows, but for the short gaps that a calibrated threshold bridges.
#include "student/events.h"

#include "core/json.h"
#include "core/memory.h"

sac_status sac_events_push(sac_events *events, int64_t frame, double time_s, float smoothed) {
    if (!(smoothed >= events->threshold)) {
        events->open = false;
        return SAC_OK;
    }
    if (!events->open && !events->broken && events->merge_gap_s > 0.0 && events->count > 0 &&
        time_s - events->items[events->count - 1].last_s <= events->merge_gap_s)
        events->open = true;
    if (!events->open) {
        if (events->count == events->capacity) {
            int64_t capacity = events->capacity > 0 ? 2 * events->capacity : 16;
            sac_event *items = sac_recalloc(events->items, events->count, capacity, sizeof *items);
            if (items == NULL) return SAC_ERROR_MEMORY;
            events->items = items;
            events->capacity = capacity;
        }
        events->items[events->count++] = (sac_event){.first = frame,
                                                     .last = frame,
                                                     .peak = frame,
                                                     .first_s = time_s,
                                                     .last_s = time_s,
                                                     .peak_s = time_s,
                                                     .score = smoothed};
        events->open = true;
        events->broken = false;
        return SAC_OK;
    }
    sac_event *event = &events->items[events->count - 1];
    event->last = frame;
    event->last_s = time_s;
    if (smoothed > event->score) {
        event->score = smoothed;
        event->peak = frame;
        event->peak_s = time_s;
    }
    return SAC_OK;
}

void sac_events_break(sac_events *events) {
    events->open = false;
    events->broken = true;
}

json_t *sac_events_to_json(const sac_events *events) {
    json_t *list = json_array();
    for (int64_t i = 0; list != NULL && i < events->count; i++) {
        const sac_event *e = &events->items[i];
        json_t *item = json_pack(
            "{s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "first_frame", (json_int_t)e->first,
            "last_frame", (json_int_t)e->last, "peak_frame", (json_int_t)e->peak, "first_s",
            sac_json_number(e->first_s), "last_s", sac_json_number(e->last_s), "peak_s",
            sac_json_number(e->peak_s), "score", sac_json_number((double)e->score));
        if (item == NULL || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void sac_events_close(sac_events *events) {
    sac_free(events->items);
    *events = (sac_events){.threshold = events->threshold, .merge_gap_s = events->merge_gap_s};
}
