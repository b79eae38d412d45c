// Worker threads that run the tasks of many streams, each worker on a clone of one engine with one
// compute thread: no barriers, no spinning, frames of one stream and of different streams side by
// side. The public face is sac_student_pool in saccade/student.h; student/runtime.c joins them.
#ifndef SAC_STUDENT_POOL_H
#define SAC_STUDENT_POOL_H

#include "student/timeline.h"

typedef struct sac_pool sac_pool;

// `engine`, planned for one thread, must outlive the pool and belongs to the first worker.
//   workers  1..1024
//   pin      each worker stays on one of the cores this process may use
// SAC_ERROR_BACKEND: no thread; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pool_create(sac_pool **pool, sac_engine *engine, int workers, bool pin,
                                         sac_error *error);
void sac_pool_close(sac_pool **pool); // NULL-safe; no stream may be attached any more
int sac_pool_workers(const sac_pool *pool);
int64_t sac_pool_bytes(const sac_pool *pool); // plans of all workers

// A stream's place in a pool: the stream's calls, under the pool's lock. One thread per seat at a
// time, any number of seats.
typedef struct sac_seat sac_seat;
SAC_NODISCARD sac_status sac_seat_create(sac_seat **seat, sac_pool *pool,
                                         sac_timeline *stream); // SAC_ERROR_MEMORY
void sac_seat_close(sac_seat **seat); // NULL-safe; waits for what runs; the stream is left alone
uint8_t *sac_seat_frame(sac_seat *seat);
void sac_seat_commit(sac_seat *seat, double time_s);
void sac_seat_finish(sac_seat *seat);
void sac_seat_reset(sac_seat *seat); // drops what waits, waits for what runs
int64_t sac_seat_reused(sac_seat *seat);
// State of the stream's next result, never FULL: waits while it is; with `wait` also while BUSY.
sac_timeline_state sac_seat_look(sac_seat *seat, bool wait);
SAC_NODISCARD sac_status sac_seat_take(sac_seat *seat, sac_result *result, sac_error *error);

#endif
