// A program that embeds Saccade: opens a model, pushes frames, pulls scores and judges them, with
// nothing but the installed headers and library. Built by tests/cli_install.sh against an installed
// tree.
#include <saccade/metrics.h>
#include <saccade/status.h>
#include <saccade/student.h>
#include <saccade/version.h>
#include <saccade/video.h>
#include <stdio.h>

enum { WIDTH = 96, HEIGHT = 64, FRAMES = 12 };

int main(int argc, char **argv) {
    sac_error error = {0};
    sac_student *student = NULL;
    sac_video *video = NULL;
    float scores[FRAMES];
    uint8_t labels[FRAMES];
    printf("version %s\n", sac_version());
    if (argc != 2) return 2;

    // A missing file is a status with a message, never a crash or a print.
    const sac_video_options video_options = sac_video_default_options();
    sac_status status = sac_video_open(&video, "no-such-file.mp4", &video_options, &error);
    printf("missing video: %s\n", sac_status_name(status));
    error = (sac_error){0};

    sac_student_options options = sac_student_default_options();
    options.threads = 1;
    status = sac_student_open(&student, argv[1], &options, &error);
    int64_t pulled = 0;
    for (int t = 0; status >= 0 && t < FRAMES; t++) {
        static uint8_t frame[HEIGHT * WIDTH];
        for (int y = 0; y < HEIGHT; y++) {
            for (int x = 0; x < WIDTH; x++) {
                const int inside = x >= 5 * t && x < 5 * t + 8 && y >= 20 && y < 44;
                frame[y * WIDTH + x] = inside ? 40 : 150;
            }
        }
        status = sac_student_push(student, frame, WIDTH, HEIGHT, 1, t / 10.0, &error);
        if (status >= 0 && t == FRAMES - 1) status = sac_student_finish(student, &error);
        sac_result result;
        while (status >= 0 && sac_student_pull(student, &result, &error) == SAC_OK) {
            labels[pulled] = pulled >= FRAMES / 2;
            scores[pulled++] = result.score;
        }
    }
    sac_student_close(&student);
    double auc = 0;
    if (status >= 0) status = sac_auc(&auc, scores, labels, pulled, &error);
    if (status < 0) {
        printf("failed: %s\n", error.message);
        return 1;
    }
    printf("%d frames scored\n", (int)pulled);
    return auc >= 0 && auc <= 1 ? 0 : 1;
}
