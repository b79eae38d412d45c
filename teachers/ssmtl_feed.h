// Batches of training samples, made one ahead on an own thread while the network learns from the
// last one. Which samples a step gets and what is done to them follows from (seed, step) alone, so
// that there is no state to save.
#ifndef SAC_TEACHERS_SSMTL_FEED_H
#define SAC_TEACHERS_SSMTL_FEED_H

#include "teachers/ssmtl_batch.h"

typedef struct sac_ssmtl_feed_options {
    const sac_ssmtl_design *design;
    const sac_crop_source *source; // outlives the feed
    const int64_t *rows;           // [count] rows of the source that train; outlive the feed
    int64_t count, batch;
    sac_ssmtl_augmentation augmentation;
    uint64_t seed;
    int64_t step; // of the first batch, from 0
} sac_ssmtl_feed_options;

typedef struct sac_ssmtl_feed sac_ssmtl_feed;
// Sample n = step * batch + i is row rows[order_p[n mod count]] with p = n / count and order_p a
// shuffle seeded by (seed, p); its draws are seeded by (seed, n). The first batch is begun at once.
// SAC_ERROR_MEMORY; SAC_ERROR_BACKEND: the system starts no thread.
SAC_NODISCARD sac_status sac_ssmtl_feed_open(sac_ssmtl_feed **feed,
                                             const sac_ssmtl_feed_options *options,
                                             sac_error *error);
// Hands out the batch of the next step, which stays as it is until the next call, and begins the
// one after it.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_feed_next(sac_ssmtl_feed *feed, const sac_ssmtl_batch **batch,
                                             sac_error *error);
// Seconds that the callers of next have waited.
double sac_ssmtl_feed_waited(const sac_ssmtl_feed *feed);
void sac_ssmtl_feed_close(sac_ssmtl_feed **feed); // NULL-safe; waits for the batch being made

#endif
