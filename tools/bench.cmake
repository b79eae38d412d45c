sac_tool(student-bench student_bench.c saccade_bench)
