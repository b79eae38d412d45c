// The producer thread and its two batches.
#include "teachers/ssmtl_feed.h"

#include <pthread.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"

// Independent random streams of one seed; the low byte tells them apart, the rest counts.
enum { STREAM_ORDER = 15, STREAM_SAMPLE = 16 };

struct sac_ssmtl_feed {
    sac_ssmtl_feed_options options;
    sac_ssmtl_design design;
    sac_ssmtl_batch *batches[2];
    int64_t *order; // [count] of `pass`
    int64_t pass;   // -1: none yet
    double waited;
    bool running; // the thread was started
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    // Under the lock:
    int64_t made, taken; // batches since the start; made - taken is 0 or 1
    bool stop;
    sac_status status; // of the producer
};

static void seed(sac_rng *rng, const sac_ssmtl_feed *f, int64_t number, int stream) {
    sac_rng_seed(rng, f->options.seed, (uint64_t)number << 8 | (uint64_t)stream);
}

static int64_t row_of(sac_ssmtl_feed *f, int64_t n) {
    int64_t count = f->options.count, pass = n / count;
    if (pass != f->pass) {
        sac_rng rng;
        seed(&rng, f, pass, STREAM_ORDER);
        for (int64_t i = 0; i < count; i++) f->order[i] = f->options.rows[i];
        sac_rng_shuffle(&rng, f->order, count);
        f->pass = pass;
    }
    return f->order[n % count];
}

static sac_status make(sac_ssmtl_feed *f, int64_t index) {
    sac_ssmtl_batch *batch = f->batches[index % 2];
    int64_t first = (f->options.step + index) * f->options.batch;
    for (int64_t i = 0; i < f->options.batch; i++) {
        sac_rng rng;
        int64_t row = row_of(f, first + i);
        seed(&rng, f, first + i, STREAM_SAMPLE);
        batch->samples[i] = sac_ssmtl_sample_draw(row, f->design.tasks, f->options.rows,
                                                  f->options.count, &f->options.augmentation, &rng);
    }
    return sac_ssmtl_batch_fill(batch, f->options.source, f->options.batch, false);
}

static void *produce(void *user) {
    sac_ssmtl_feed *f = user;
    for (int64_t index = 0;; index++) {
        sac_status status = make(f, index);
        (void)pthread_mutex_lock(&f->lock);
        f->made++;
        f->status = status;
        (void)pthread_cond_broadcast(&f->changed);
        // The other batch is in use until the next one is asked for.
        while (!f->stop && f->taken < f->made) (void)pthread_cond_wait(&f->changed, &f->lock);
        bool stop = f->stop || status < 0;
        (void)pthread_mutex_unlock(&f->lock);
        if (stop) return NULL;
    }
}

sac_status sac_ssmtl_feed_open(sac_ssmtl_feed **out, const sac_ssmtl_feed_options *options,
                               sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_ssmtl_feed *f = sac_calloc(1, sizeof *f);
    if (f == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for batches");
    f->options = *options;
    f->design = *options->design;
    f->pass = -1;
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    SAC_TRY_ALLOC(f->order = sac_calloc(options->count, sizeof *f->order));
    for (int i = 0; i < 2; i++) {
        SAC_TRY(sac_ssmtl_batch_create(&f->batches[i], &f->design, options->batch, true));
    }
    if (pthread_create(&f->thread, NULL, produce, f) != 0) {
        status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "the system starts no thread");
        goto fail;
    }
    f->running = true;
    *out = f;
    return SAC_OK;
fail:
    sac_ssmtl_feed_close(&f);
    return sac_error_set(error, status, -1, "no memory for batches");
}

sac_status sac_ssmtl_feed_next(sac_ssmtl_feed *f, const sac_ssmtl_batch **batch, sac_error *error) {
    double start = sac_time_s();
    (void)pthread_mutex_lock(&f->lock);
    while (f->made == f->taken && f->status == SAC_OK)
        (void)pthread_cond_wait(&f->changed, &f->lock);
    sac_status status = f->status;
    *batch = f->batches[f->taken % 2];
    f->taken++;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    f->waited += sac_time_s() - start;
    return status < 0 ? sac_error_set(error, status, -1, "no memory for a batch") : SAC_OK;
}

double sac_ssmtl_feed_waited(const sac_ssmtl_feed *f) {
    return f->waited;
}

void sac_ssmtl_feed_close(sac_ssmtl_feed **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_ssmtl_feed *f = *slot;
    if (f->running) {
        (void)pthread_mutex_lock(&f->lock);
        f->stop = true;
        (void)pthread_cond_broadcast(&f->changed);
        (void)pthread_mutex_unlock(&f->lock);
        (void)pthread_join(f->thread, NULL);
    }
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    for (int i = 0; i < 2; i++) sac_ssmtl_batch_close(&f->batches[i]);
    sac_free(f->order);
    sac_free(f);
    *slot = NULL;
}
