// Workers under one lock: each takes the next piece of work of the next stream that has some, runs
// it outside the lock, reports it. Tasks take a tenth of a millisecond and more, the lock well
// under a microsecond.
#include "student/pool.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

typedef struct worker {
    sac_pool *pool;
    sac_engine *engine;
    pthread_t thread;
    int index;
    bool started;
} worker;

struct sac_seat {
    sac_pool *pool;
    sac_timeline *stream;
    pthread_cond_t done; // a result is ready, or none of the stream's tasks runs any more
    int waiting;         // for `done`
    bool held;           // nothing new may be claimed
};

struct sac_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; // something may be claimed, or stop
    bool stop, pin;
    int idle; // workers waiting for work
    sac_seat **seats;
    int seat_count, seat_capacity, turn; // turn: the seat that is asked first
    worker *workers;
    int worker_count;
};

// The k-th of the cores this process may use.
static void pin_to_core(int k) {
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    const int count = CPU_COUNT(&allowed);
    if (count < 1) return;
    k %= count;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || k-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        // A wish only: without it the kernel places the thread.
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

static void tell(sac_seat *seat) {
    if (seat->waiting > 0 && (sac_timeline_running(seat->stream) == 0 ||
                              sac_timeline_look(seat->stream) == SAC_TIMELINE_READY)) {
        pthread_cond_broadcast(&seat->done);
    }
}

// The seat that the task was claimed from, or NULL.
static sac_seat *claim(sac_pool *pool, sac_task *task) {
    for (int i = 0; i < pool->seat_count; i++) {
        const int at = (pool->turn + i) % pool->seat_count;
        sac_seat *seat = pool->seats[at];
        if (seat->held) continue;
        const bool claimed = sac_timeline_claim(seat->stream, task);
        tell(seat); // claiming may complete results by taking over the ones before
        if (!claimed) continue;
        pool->turn = (at + 1) % pool->seat_count;
        return seat;
    }
    return NULL;
}

static void *work(void *user) {
    worker *w = user;
    sac_pool *pool = w->pool;
    if (pool->pin) pin_to_core(w->index);
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        sac_task task;
        sac_seat *seat = claim(pool, &task);
        if (seat == NULL) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
            continue;
        }
        // There may be more than this worker can do.
        if (pool->idle > 0) pthread_cond_signal(&pool->work);
        pthread_mutex_unlock(&pool->lock);
        sac_task_run(&task, w->engine);
        pthread_mutex_lock(&pool->lock);
        sac_task_done(&task);
        tell(seat);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

sac_status sac_pool_create(sac_pool **out, sac_engine *engine, int workers, bool pin,
                           sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_pool *pool = sac_calloc(1, sizeof *pool);
    SAC_TRY_ALLOC(pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->pin = pin;
    pool->workers = sac_calloc(workers, sizeof *pool->workers);
    SAC_TRY_ALLOC(pool->workers);
    pool->worker_count = workers;
    for (int i = 0; i < workers; i++) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        w->index = i;
        w->engine = engine;
        if (i > 0) {
            w->engine = NULL;
            SAC_TRY(sac_engine_clone(&w->engine, engine, error));
        }
    }
    for (int i = 0; i < workers; i++) {
        const int code = pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]);
        if (code != 0) {
            status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "worker thread %d of %d: %s",
                                   i + 1, workers, strerror(code));
            goto fail;
        }
        pool->workers[i].started = true;
    }
    *out = pool;
    return SAC_OK;
fail:
    sac_pool_close(&pool);
    return sac_error_set(error, status, -1, "the worker threads: %s", sac_status_name(status));
}

void sac_pool_close(sac_pool **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_pool *pool = *slot;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->worker_count; i++) {
        if (pool->workers[i].started) pthread_join(pool->workers[i].thread, NULL);
    }
    for (int i = pool->worker_count - 1; i > 0; i--) sac_engine_close(&pool->workers[i].engine);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->work);
    sac_free(pool->seats);
    sac_free(pool->workers);
    sac_free(pool);
    *slot = NULL;
}

int sac_pool_workers(const sac_pool *pool) {
    return pool->worker_count;
}

int64_t sac_pool_bytes(const sac_pool *pool) {
    int64_t bytes = 0;
    for (int i = 0; i < pool->worker_count; i++) bytes += sac_engine_bytes(pool->workers[i].engine);
    return bytes;
}

static sac_status sit(sac_pool *pool, sac_seat *seat) {
    if (pool->seat_count == pool->seat_capacity) {
        const int capacity = pool->seat_capacity == 0 ? 8 : 2 * pool->seat_capacity;
        sac_seat **grown = sac_recalloc(pool->seats, pool->seat_count, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        pool->seats = grown;
        pool->seat_capacity = capacity;
    }
    pool->seats[pool->seat_count++] = seat;
    return SAC_OK;
}

sac_status sac_seat_create(sac_seat **out, sac_pool *pool, sac_timeline *stream) {
    *out = NULL;
    sac_seat *seat = sac_calloc(1, sizeof *seat);
    if (seat == NULL) return SAC_ERROR_MEMORY;
    seat->pool = pool;
    seat->stream = stream;
    pthread_cond_init(&seat->done, NULL);
    pthread_mutex_lock(&pool->lock);
    const sac_status status = sit(pool, seat);
    pthread_mutex_unlock(&pool->lock);
    if (status == SAC_OK) {
        *out = seat;
        return SAC_OK;
    }
    pthread_cond_destroy(&seat->done);
    sac_free(seat);
    return status;
}

// Under the lock: waits until none of the seat's tasks runs; none is claimed until `held` is off.
static void settle(sac_seat *seat) {
    seat->held = true;
    seat->waiting++;
    while (sac_timeline_running(seat->stream) > 0)
        pthread_cond_wait(&seat->done, &seat->pool->lock);
    seat->waiting--;
}

void sac_seat_close(sac_seat **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_seat *seat = *slot;
    sac_pool *pool = seat->pool;
    pthread_mutex_lock(&pool->lock);
    settle(seat);
    for (int i = 0; i < pool->seat_count; i++) {
        if (pool->seats[i] != seat) continue;
        pool->seats[i] = pool->seats[--pool->seat_count];
        break;
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&seat->done);
    sac_free(seat);
    *slot = NULL;
}

uint8_t *sac_seat_frame(sac_seat *seat) {
    pthread_mutex_lock(&seat->pool->lock);
    uint8_t *frame = sac_timeline_frame(seat->stream);
    pthread_mutex_unlock(&seat->pool->lock);
    return frame;
}

void sac_seat_commit(sac_seat *seat, double time_s) {
    pthread_mutex_lock(&seat->pool->lock);
    sac_timeline_commit(seat->stream, time_s);
    if (seat->pool->idle > 0) pthread_cond_signal(&seat->pool->work);
    pthread_mutex_unlock(&seat->pool->lock);
}

void sac_seat_finish(sac_seat *seat) {
    pthread_mutex_lock(&seat->pool->lock);
    sac_timeline_finish(seat->stream);
    if (seat->pool->idle > 0) pthread_cond_signal(&seat->pool->work);
    pthread_mutex_unlock(&seat->pool->lock);
}

void sac_seat_reset(sac_seat *seat) {
    pthread_mutex_lock(&seat->pool->lock);
    settle(seat);
    sac_timeline_reset(seat->stream);
    seat->held = false;
    pthread_mutex_unlock(&seat->pool->lock);
}

int64_t sac_seat_reused(sac_seat *seat) {
    pthread_mutex_lock(&seat->pool->lock);
    const int64_t reused = sac_timeline_reused(seat->stream);
    pthread_mutex_unlock(&seat->pool->lock);
    return reused;
}

sac_timeline_state sac_seat_look(sac_seat *seat, bool wait) {
    pthread_mutex_lock(&seat->pool->lock);
    sac_timeline_state state = sac_timeline_look(seat->stream);
    while (state == SAC_TIMELINE_FULL || (wait && state == SAC_TIMELINE_BUSY)) {
        seat->waiting++;
        pthread_cond_wait(&seat->done, &seat->pool->lock);
        seat->waiting--;
        state = sac_timeline_look(seat->stream);
    }
    pthread_mutex_unlock(&seat->pool->lock);
    return state;
}

sac_status sac_seat_take(sac_seat *seat, sac_result *result, sac_error *error) {
    pthread_mutex_lock(&seat->pool->lock);
    const sac_status status = sac_timeline_take(seat->stream, result, error);
    // Its place is free now: another result may be worked on.
    if (seat->pool->idle > 0) pthread_cond_signal(&seat->pool->work);
    pthread_mutex_unlock(&seat->pool->lock);
    return status;
}
