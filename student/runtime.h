// Internal side of the student runtime: what our own tools and tests need beyond
// include/saccade/student.h.
#ifndef SAC_STUDENT_RUNTIME_H
#define SAC_STUDENT_RUNTIME_H

#include "saccade/student.h"
#include "student/model.h"

// Like sac_student_open with a model already in memory. Takes over `*model` (set to NULL) also on
// failure.
SAC_NODISCARD sac_status sac_student_create(sac_student **student, sac_model **model,
                                            const sac_student_options *options, sac_error *error);
// The same for a pool.
SAC_NODISCARD sac_status sac_student_pool_create(sac_student_pool **pool, sac_model **model,
                                                 const sac_student_options *options,
                                                 const sac_student_pool_options *pool_options,
                                                 sac_error *error);
const sac_model *sac_student_model(const sac_student *student); // borrowed
const sac_model *sac_student_pool_model(const sac_student_pool *pool);

#endif
