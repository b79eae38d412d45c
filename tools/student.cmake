sac_tool(student-run student_run.c saccade_report saccade_student)
if(TARGET tool_student-run)
    target_sources(tool_student-run PRIVATE
        conditions.c
        decode_options.c
        student_run_options.c
        student_run_source.c
        student_run_summary.c)
endif()
sac_tool(student-calibrate student_calibrate.c saccade_student saccade_dataset)
if(TARGET tool_student-calibrate)
    target_sources(tool_student-calibrate PRIVATE conditions.c decode_options.c)
endif()
sac_tool(student-info student_info.c saccade_student_onnx)
