sac_tool(student-bench student_bench.c saccade_bench)
if(TARGET tool_student-bench)
    target_sources(tool_student-bench PRIVATE bench_compare.c bench_eval.c bench_layers.c bench_machine.c bench_pareto.c bench_peers.c bench_report.c bench_run.c bench_scenarios.c bench_suite.c bench_tool.c bench_train.c)
endif()
