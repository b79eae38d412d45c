// The page of a distillation; see distill/run_report.h.
#include "distill/run_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/html.h"
#include "core/html_chart.h"
#include "core/memory.h"
#include "distill/validation.h"
#include "video/picture.h"

enum { PICTURES = 4, APART = 12, TILE = 300 };

// A line of a chart: a column of metrics.csv.
typedef struct line {
    const char *column, *label, *colour;
    bool dashed;
} line;

// One column as numbers; NULL when it does not exist or has an empty cell. *status stays OK then.
static float *column_read(const sac_csv *csv, const char *name, sac_status *status) {
    const int column = sac_csv_column(csv, name);
    const int64_t rows = sac_csv_rows(csv);
    if (column < 0 || rows < 1) return NULL;
    float *values = sac_calloc(rows, sizeof *values);
    if (values == NULL) {
        *status = SAC_ERROR_MEMORY;
        return NULL;
    }
    for (int64_t r = 0; r < rows; r++) {
        double value = 0;
        if (sac_csv_number(csv, r, column, -1e30, 1e30, &value, NULL) != SAC_OK) {
            sac_free(values);
            return NULL;
        }
        values[r] = (float)value;
    }
    return values;
}

// Columns over epochs in one picture; nothing when none of them holds numbers. high 0: the largest
// value.
static void chart_put(sac_html *p, const sac_csv *csv, const char *title, const line *lines,
                      int count, double high) {
    enum { MOST = 16 };
    float *values[MOST] = {0};
    const int64_t rows = sac_csv_rows(csv);
    bool any = false;
    double top = high;
    for (int i = 0; i < count && i < MOST && p->status >= 0; i++) {
        sac_status status = SAC_OK;
        values[i] = column_read(csv, lines[i].column, &status);
        if (status < 0) sac_html_fail(p, status, title);
        any = any || values[i] != NULL;
        for (int64_t r = 0; values[i] != NULL && high <= 0 && r < rows; r++)
            top = fmax(top, (double)values[i][r]);
    }
    if (any) {
        const sac_chart chart = {.frames = rows, .high = top > 0 ? top * 1.02 : 1, .height = 260};
        sac_html_put(p, "<h3>%s</h3><div class=\"card\">", title);
        sac_chart_open(p, &chart, title);
        sac_chart_axes(p, &chart, NULL);
        for (int i = 0; i < count && i < MOST; i++) {
            char attributes[96];
            if (values[i] == NULL) continue;
            (void)snprintf(attributes, sizeof attributes, "stroke=\"%s\" stroke-width=\"2\"%s",
                           lines[i].colour, lines[i].dashed ? " stroke-dasharray=\"5 4\"" : "");
            sac_chart_curve(p, &chart, values[i], attributes);
        }
        sac_chart_close(p);
        sac_html_put(p, "<p class=\"legend\">");
        for (int i = 0; i < count && i < MOST; i++) {
            if (values[i] == NULL) continue;
            sac_html_put(p, "<i style=\"background:%s\"></i>%s%s (last %.4g) ", lines[i].colour,
                         lines[i].label, lines[i].dashed ? ", dashed" : "",
                         (double)values[i][rows - 1]);
        }
        sac_html_put(p, "over epochs</p></div>");
    }
    for (int i = 0; i < MOST; i++) sac_free(values[i]);
}

static const char *const colours[] = {"#3d7eff", "#e4572e", "#2a9d5c", "#b56cd9",
                                      "#c79a00", "#5ab4c5", "#d9488b", "#7a7a7a",
                                      "#9c6b3f", "#6d8f00", "#8a4fff", "#ff8c42"};

static void charts_put(sac_html *p, const char *folder, const char *heading) {
    static const line losses[] = {
        {"train_loss", "training", "#3d7eff", true},
        {"validation_loss", "held back", "#e4572e", false},
    };
    static const line scales[] = {
        {"train_loss16", "16x16 training", "#3d7eff", true},
        {"validation_loss16", "16x16", "#3d7eff", false},
        {"train_loss4", "4x4 training", "#2a9d5c", true},
        {"validation_loss4", "4x4", "#2a9d5c", false},
        {"train_loss1", "1x1 training", "#e4572e", true},
        {"validation_loss1", "1x1", "#e4572e", false},
    };
    static const line balance[] = {
        {"discriminator_real", "D of the teachers' maps", "#3d7eff", false},
        {"discriminator_own", "D of the student's maps", "#e4572e", false},
        {"adversarial_loss", "adversarial loss", "#7a7a7a", true},
    };
    static const line rate[] = {{"learning_rate", "learning rate", "#7a7a7a", false}};
    char names[SAC_PSEUDO_KIND_COUNT][32];
    line kinds[1 + SAC_PSEUDO_KIND_COUNT] = {{"pseudo_auc", "all kinds", "#111111", true}};
    sac_csv *csv = NULL;
    char *path = sac_path_join(folder, "metrics.csv");
    if (path == NULL) {
        sac_html_fail(p, SAC_ERROR_MEMORY, "the report");
        return;
    }
    if (sac_is_file(path)) {
        sac_error why = {0};
        const sac_status status = sac_csv_read(&csv, path, &why);
        if (status < 0) sac_html_fail(p, status, why.message[0] != '\0' ? why.message : path);
    }
    if (csv != NULL && sac_csv_rows(csv) > 0) {
        kinds[0].colour = "var(--ink)";
        for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
            const char *kind = sac_pseudo_kind_name((sac_pseudo_kind)k);
            (void)snprintf(names[k], sizeof names[k], "auc_%s", kind);
            kinds[1 + k] = (line){names[k], kind, colours[k], false};
        }
        sac_html_put(p, "<h2>%s</h2>", heading);
        chart_put(p, csv, "Distillation loss", losses, 2, 0);
        chart_put(p, csv, "Loss of each scale", scales, 6, 0);
        chart_put(p, csv, "Frame AUC on held-back pseudo-anomalies", kinds,
                  1 + SAC_PSEUDO_KIND_COUNT, 1);
        chart_put(p, csv, "Balance of the discriminators", balance, 3, 0);
        chart_put(p, csv, "Learning rate", rate, 1, 0);
    }
    sac_csv_close(&csv);
    sac_free(path);
}

static void auc_cell(sac_html *p, double auc) {
    if (isfinite(auc)) {
        sac_html_put(p, "<td class=\"n\">%.1f</td>", 100 * auc);
    } else {
        sac_html_put(p, "<td class=\"n\">&#8211;</td>");
    }
}

// Teachers and student on each kind, in percent.
static void kinds_put(sac_html *p, const sac_run_report *r, const sac_validation_result *student) {
    double teachers[SAC_MAX_TEACHERS][SAC_PSEUDO_KIND_COUNT], all[SAC_MAX_TEACHERS];
    for (int m = 0; m < r->samples->teacher_count; m++) {
        const sac_status status =
            sac_samples_teacher_auc(&all[m], teachers[m], r->samples, m, p->error);
        if (status < 0) {
            sac_html_fail(p, status, "the report");
            return;
        }
    }
    if (!isfinite(all[0])) return;
    sac_html_put(p, "<h2>Frame AUC on held-back pseudo-anomalies, %%</h2><div class=\"card\">"
                    "<table><tr><th>kind</th>");
    for (int m = 0; m < r->samples->teacher_count; m++) {
        sac_html_put(p, "<th class=\"n\">teacher ");
        sac_html_text(p, r->teachers[m].name);
        sac_html_put(p, "</th>");
    }
    sac_html_put(p, "%s</tr>", student != NULL ? "<th class=\"n\">student</th>" : "");
    for (int k = -1; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (k >= 0 && !isfinite(teachers[0][k])) continue;
        sac_html_put(p, "<tr><td>%s</td>",
                     k < 0 ? "all" : sac_pseudo_kind_name((sac_pseudo_kind)k));
        for (int m = 0; m < r->samples->teacher_count; m++)
            auc_cell(p, k < 0 ? all[m] : teachers[m][k]);
        if (student != NULL) auc_cell(p, k < 0 ? student->pseudo_auc : student->kind_auc[k]);
        sac_html_put(p, "</tr>");
    }
    sac_html_put(p, "</table><p class=\"legend\">control: objects pasted without a change; 50 when "
                    "pasting alone is no anomaly.</p></div>");
}

// Weighted mean of the teachers' maps.
static void teacher_map(float map[256], const sac_samples *s, sac_sample_ref ref) {
    double sum = 0;
    memset(map, 0, 256 * sizeof *map);
    for (int m = 0; m < s->teacher_count; m++) sum += s->weights[m];
    for (int m = 0; m < s->teacher_count; m++) {
        const float *source = s->clips[ref.clip].maps[m].map16 + (int64_t)ref.frame * 256;
        for (int i = 0; i < 256; i++) map[i] += (float)(s->weights[m] / sum) * source[i];
    }
}

static void triplet_put(sac_html *p, const sac_samples *s, sac_sample_ref ref, const float *student,
                        int side, double loss) {
    const int width = s->preprocess.width, height = s->preprocess.height;
    const double tall = (double)TILE * height / width;
    const sac_sample_clip *clip = &s->clips[ref.clip];
    const uint8_t *frame = clip->pixels + ref.frame * sac_preprocess_bytes(&s->preprocess);
    float teacher[256];
    sac_canvas *canvas = NULL;
    uint8_t *png = NULL;
    size_t size = 0;
    char alt[160];
    if (p->status < 0) return;
    teacher_map(teacher, s, ref);
    sac_status status = sac_canvas_create(&canvas, 3 * TILE + 8, (int)ceil(tall));
    if (status == SAC_OK) {
        const float *const maps[3] = {teacher, student, NULL};
        for (int i = 0; i < 3; i++) {
            const double x = i * (TILE + 4);
            sac_canvas_frame(canvas, frame, width, height, s->preprocess.channels, x, 0, TILE,
                             tall);
            const int cells = i == 0 ? 16 : side;
            if (maps[i] != NULL)
                sac_canvas_heat(canvas, maps[i], cells, cells, 1, x, 0, TILE, tall);
        }
        status = sac_canvas_encode_png(canvas, &png, &size);
    }
    if (status == SAC_OK) {
        (void)snprintf(alt, sizeof alt, "teacher, student, frame %" PRId32 " of %.80s",
                       ref.frame + 1, clip->name);
        sac_html_put(p, "<figure>");
        sac_html_picture(p, png, size, 3 * TILE + 8, (int)ceil(tall), alt);
        sac_html_put(p, "<figcaption><b>");
        sac_html_text(p, clip->name);
        sac_html_put(p, "</b>, frame %" PRId32 ": loss %.4f</figcaption></figure>", ref.frame + 1,
                     loss);
    } else {
        sac_html_fail(p, status, "a picture of the report");
    }
    sac_free(png);
    sac_canvas_close(&canvas);
}

// The frames of highest (or lowest) loss, no two of a clip close to each other. Of the lowest only
// those where the teacher sees something: empty maps are easy.
static void pictures_put(sac_html *p, const sac_run_report *r, const sac_validation *v,
                         bool worst) {
    const sac_samples *s = r->samples;
    int64_t count = 0, chosen[PICTURES];
    const sac_sample_ref *refs = sac_validation_refs(v, &count);
    const double *losses = sac_validation_losses(v);
    int side = 0;
    const float *maps = sac_validation_maps(v, &side);
    sac_html_put(p,
                 "<h2>%s held-back frames</h2><p class=\"sub\">Teacher's map, student's map, "
                 "frame.</p><div>",
                 worst ? "Worst" : "Best");
    for (int n = 0; n < PICTURES; n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < count; i++) {
            bool free_place = true;
            for (int k = 0; k < n && free_place; k++) {
                const sac_sample_ref o = refs[chosen[k]];
                free_place = o.clip != refs[i].clip || abs(o.frame - refs[i].frame) >= APART;
            }
            const float seen = s->clips[refs[i].clip].maps[0].map1[refs[i].frame];
            if (!free_place || (!worst && seen < 0.5f)) continue;
            if (best < 0 || (worst ? losses[i] > losses[best] : losses[i] < losses[best])) best = i;
        }
        if (best < 0) break;
        chosen[n] = best;
        triplet_put(p, s, refs[best], maps + best * side * side, side, losses[best]);
    }
    sac_html_put(p, "</div>");
}

sac_status sac_run_report_write(const char *path, const sac_run_report *r, sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    sac_validation *v = NULL;
    sac_validation_result measured;
    char *quantise = sac_path_join(r->folder, "quantise"),
         *pretrain = sac_path_join(r->folder, "pretrain");
    sac_html page, *p = &page;
    SAC_TRY_ALLOC(quantise);
    SAC_TRY_ALLOC(pretrain);
    if (r->model != NULL) {
        const sac_validation_options how = {.emphasis = r->trainer->emphasis,
                                            .scale_weights = {r->trainer->scale_weights[0],
                                                              r->trainer->scale_weights[1],
                                                              r->trainer->scale_weights[2]},
                                            .backend = r->trainer->backend,
                                            .quant = r->model->quant};
        SAC_TRY(
            sac_validation_create(&v, r->samples, r->model->net, r->model->params, &how, error));
        SAC_TRY(sac_validation_run(v, &measured, r->model->params, error));
    }
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    sac_html_begin(p, writer, r->title,
                   "Distillation of a student by Saccade; held-back clips only, no test clip",
                   error);
    if (r->interrupted)
        sac_html_put(p, "<p class=\"note\">Training is not over: it goes on with --resume.</p>");
    if (v != NULL) {
        char value[32];
        sac_html_put(p, "<div class=\"tiles\">");
        (void)snprintf(value, sizeof value, "%.4f", measured.loss);
        sac_html_tile(p, value, "loss on held-back frames");
        if (isfinite(measured.pseudo_auc)) {
            (void)snprintf(value, sizeof value, "%.1f %%", 100 * measured.pseudo_auc);
            sac_html_tile(p, value, "frame AUC on held-back pseudo-anomalies");
        }
        (void)snprintf(value, sizeof value, "%" PRId64,
                       sac_params_elements(r->model->params, true));
        sac_html_tile(p, value, "parameters");
        sac_html_put(p, "</div>");
    }
    charts_put(p, pretrain, "Pre-training");
    charts_put(p, r->folder, "Training");
    charts_put(p, quantise, "Fine-tuning for int8");
    kinds_put(p, r, v != NULL ? &measured : NULL);
    if (v != NULL) {
        pictures_put(p, r, v, true);
        pictures_put(p, r, v, false);
    }
    sac_html_keys(p, "Result", r->result);
    sac_html_keys(p, "Settings", r->settings);
    SAC_TRY(sac_html_end(p));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_validation_close(&v);
    sac_free(quantise);
    sac_free(pretrain);
    return status;
}
