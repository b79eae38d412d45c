// Texts for people: what must not be shown.
#include <criterion/criterion.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

Test(core_text, logins_are_left_out_of_urls) {
    static const char *const cases[][2] = {
        {"rtsp://user:secret@camera/1", "rtsp://camera/1"},
        {"http://user:se@cr:et@camera:8080/a@b?c=d@e", "http://camera:8080/a@b?c=d@e"},
        {"http://user@camera", "http://camera"},
        {"http://user:secret@", "http://"},
        {"http://user:secret@camera?x", "http://camera?x"},
        {"async:http://user:secret@camera/1", "async:http://camera/1"},
        {"http://proxy/?from=http://user:secret@camera/1", "http://proxy/?from=http://camera/1"},
        {"http://camera/user:name@x", "http://camera/user:name@x"},
        {"http://", "http://"},
        {"clips/a@b.mp4", "clips/a@b.mp4"},
        {"/dev/video0", "/dev/video0"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *shown = sac_text_without_login(cases[i][0]);
        cr_assert_str_eq(shown, cases[i][1]);
        sac_free(shown);
    }
}
