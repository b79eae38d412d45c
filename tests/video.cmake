foreach(unit scale source luma damage picture)
    sac_test(video_${unit} LIBS saccade_video saccade_core SOURCES video_make.c)
    if(TARGET test_video_${unit})
        # The tests encode pictures of kinds that the product only reads.
        target_link_libraries(test_video_${unit} PRIVATE saccade_ffmpeg)
    endif()
endforeach()

foreach(unit dataset layouts)
    sac_test(video_${unit} LIBS saccade_dataset saccade_mat saccade_matio SOURCES video_make.c)
    if(TARGET test_video_${unit})
        target_link_libraries(test_video_${unit} PRIVATE saccade_ffmpeg)
    endif()
endforeach()

sac_fuzz(picture LIBS saccade_video saccade_ffmpeg SECONDS 4)
sac_fuzz(video LIBS saccade_video saccade_ffmpeg SECONDS 6)
sac_test(video_flow LIBS saccade_video saccade_core SOURCES flow_scenes.c)
