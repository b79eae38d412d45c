// Self-contained HTML pages: one file without scripts or external resources (inline style, SVG,
// pictures as data URIs), readable in light and dark, foreign text escaped. Knows nothing of what
// the pages say; curves are in core/html_chart.h.
#ifndef SAC_CORE_HTML_H
#define SAC_CORE_HTML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/file.h"
#include "saccade/status.h"

// A page being written. `status` keeps the first failure and everything after it does nothing, so
// that code reads as the page does; sac_html_end returns it. One thread at a time.
typedef struct sac_html {
    sac_file_writer *writer; // borrowed; the caller commits it
    sac_error *error;        // or NULL
    sac_status status;
} sac_html;

// Head of the page and its title; what follows goes into the body.
//   title     foreign text, any bytes
//   subtitle  our own HTML
void sac_html_begin(sac_html *page, sac_file_writer *writer, const char *title,
                    const char *subtitle, sac_error *error);
// Closes the page. SAC_ERROR_IO, SAC_ERROR_MEMORY, or what sac_html_fail recorded.
SAC_NODISCARD sac_status sac_html_end(sac_html *page);
// Records a failure of the caller's own, such as a picture that could not be made.
void sac_html_fail(sac_html *page, sac_status status, const char *what);

// Our own HTML as it stands; foreign text must go through sac_html_text.
void sac_html_put(sac_html *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Foreign text of any bytes, escaped for content and quoted attributes.
void sac_html_text(sac_html *page, const char *foreign);
// A picture as <img> with a data URI. `alt` is foreign text. png [size] bytes of a PNG file.
void sac_html_picture(sac_html *page, const uint8_t *png, size_t size, int width, int height,
                      const char *alt);

// A number with its label, inside <div class="tiles">. Both our own HTML.
void sac_html_tile(sac_html *page, const char *value, const char *label);
// A heading and a table of the object's keys and values, nested objects flattened with dots, nulls
// left out; nothing for NULL or an empty object. `title` is our own HTML, the rest foreign.
void sac_html_keys(sac_html *page, const char *title, const json_t *object);

#endif
