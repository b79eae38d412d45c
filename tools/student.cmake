sac_tool(student-run student_run.c saccade_report saccade_student)
sac_tool(student-calibrate student_calibrate.c saccade_student saccade_dataset)
sac_tool(student-info student_info.c saccade_student_onnx)
