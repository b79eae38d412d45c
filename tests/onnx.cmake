# ONNX networks: the importer, and detectors made of them.
sac_test(nn_onnx LIBS saccade_onnx saccade_onednn TIMEOUT 300)
sac_test(nn_onnx_export LIBS saccade_onnx saccade_onednn TIMEOUT 120)
sac_test(student_onnx LIBS saccade_student_onnx saccade_video TIMEOUT 180)
sac_fuzz(onnx LIBS saccade_onnx)
sac_test(teachers_detect_onnx LIBS saccade_teachers TIMEOUT 120)
