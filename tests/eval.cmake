sac_test(eval_auc LIBS saccade_eval)
sac_test(eval_smooth LIBS saccade_eval)
sac_test(eval_frames LIBS saccade_eval)
