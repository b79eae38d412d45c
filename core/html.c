// HTML pages written as a stream. Escaping and the style live here, once for all reports.
#include "core/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

enum { MAX_DEPTH = 4 };

void sac_html_fail(sac_html *page, sac_status status, const char *what) {
    if (page->status >= 0)
        page->status =
            sac_error_set(page->error, status, -1, "%s: %s", what, sac_status_name(status));
}

static void no_memory(sac_html *page) {
    sac_html_fail(page, SAC_ERROR_MEMORY, "the report cannot be written");
}

static void put_raw(sac_html *page, const char *text, size_t size) {
    if (page->status >= 0) page->status = sac_file_write(page->writer, text, size, page->error);
}

void sac_html_put(sac_html *page, const char *format, ...) {
    if (page->status < 0) return;
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    const int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        no_memory(page);
        return;
    }
    put_raw(page, text, (size_t)length);
    free(text); // vasprintf allocates with malloc
}

static const char *escape_of(char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return "&#39;";
    }
}

void sac_html_text(sac_html *page, const char *foreign) {
    char *text = sac_text_utf8(foreign);
    if (text == NULL) {
        no_memory(page);
        return;
    }
    for (const char *s = text; *s != '\0';) {
        const size_t plain = strcspn(s, "&<>\"'");
        put_raw(page, s, plain);
        s += plain;
        if (*s == '\0') break;
        const char *escape = escape_of(*s++);
        put_raw(page, escape, strlen(escape));
    }
    sac_free(text);
}

static void put_base64(sac_html *page, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4096];
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t block = (uint32_t)bytes[i] << 16;
        if (left > 1) block |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) block |= bytes[i + 2];
        line[used++] = digits[block >> 18];
        line[used++] = digits[block >> 12 & 63];
        line[used++] = left > 1 ? digits[block >> 6 & 63] : '=';
        line[used++] = left > 2 ? digits[block & 63] : '=';
        if (used == sizeof line) {
            put_raw(page, line, used);
            used = 0;
        }
    }
    put_raw(page, line, used);
}

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5b6776;--line:#dde2e8;"
    "--raw:#a9b6c6;--smooth:#1565c0;--hot:#d1342b;--grid:#e8ecf1}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--ink:#e6eaf0;--soft:#"
    "97a3b3;"
    "--line:#2e3742;--raw:#566476;--smooth:#64b5f6;--hot:#ff7a6e;--grid:#27303a}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}"
    "main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}"
    "h1{font-size:1.5rem;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:34px 0 "
    "10px}"
    ".sub{color:var(--soft);margin:0 0 20px}.note{border-left:4px solid var(--hot);padding:6px "
    "12px;"
    "background:var(--card)}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}"
    ".tile,.card,figure{background:var(--card);border:1px solid var(--line);border-radius:10px}"
    ".tile{padding:10px 14px}.tile b{display:block;font-size:1.3rem;font-weight:600}.tile "
    "span{color:var(--soft);"
    "font-size:.85rem}.card{padding:14px;overflow-x:auto}"
    "svg{display:block;width:100%;min-width:560px;height:auto}svg "
    "text{fill:var(--soft);font-size:12px;"
    "font-family:inherit}.legend{color:var(--soft);font-size:.85rem;margin:8px 0 0}"
    ".legend i{display:inline-block;width:18px;height:3px;margin:0 6px 3px "
    "14px;vertical-align:middle}"
    ".moments{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}"
    "figure{margin:0;overflow:hidden}figure "
    "img{display:block;width:100%;height:auto;background:#000}"
    "figcaption{padding:8px 12px;font-size:.88rem;color:var(--soft)}figcaption b{color:var(--ink)}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:5px "
    "10px;"
    "border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}"
    "th{color:var(--soft);font-weight:500}tr:last-child td,tr:last-child th{border-bottom:0}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.keys th{width:34%}"
    ".crops{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px;"
    "margin-top:8px}"
    ".bars{display:grid;grid-template-columns:auto 1fr;gap:1px 8px;margin-top:4px;font-size:.76rem;"
    "line-height:1.25}.bars i{display:block;align-self:center;height:7px;border-radius:2px;"
    "background:var(--smooth)}h3{font-size:.95rem;font-weight:600;margin:18px 0 8px}";

void sac_html_begin(sac_html *page, sac_file_writer *writer, const char *title,
                    const char *subtitle, sac_error *error) {
    *page = (sac_html){.writer = writer, .error = error, .status = SAC_OK};
    // The policy forbids everything a report does not need, so that even a mistake in escaping
    // could load nothing.
    sac_html_put(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>");
    sac_html_text(page, title);
    sac_html_put(page, " &#8211; Saccade</title><style>%s</style></head>\n<body><main><h1>", style);
    sac_html_text(page, title);
    sac_html_put(page, "</h1><p class=\"sub\">%s</p>", subtitle);
}

sac_status sac_html_end(sac_html *page) {
    sac_html_put(page, "</main></body></html>\n");
    if (page->status < 0)
        sac_error_set(page->error, page->status, -1, "the report cannot be written: %s",
                      sac_status_name(page->status));
    return page->status;
}

void sac_html_picture(sac_html *page, const uint8_t *png, size_t size, int width, int height,
                      const char *alt) {
    sac_html_put(page, "<img width=\"%d\" height=\"%d\" alt=\"", width, height);
    sac_html_text(page, alt);
    sac_html_put(page, "\" src=\"data:image/png;base64,");
    put_base64(page, png, size);
    sac_html_put(page, "\">");
}

void sac_html_tile(sac_html *page, const char *value, const char *label) {
    sac_html_put(page, "<div class=\"tile\"><b>%s</b><span>%s</span></div>", value, label);
}

static void put_rows(sac_html *page, const json_t *object, const char *prefix, int depth) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, key, value) {
        if (json_is_null(value)) continue; // an option that was not given
        if (json_is_object(value) && depth < MAX_DEPTH && json_object_size(value) > 0) {
            char *nested = sac_format("%s%s.", prefix, key);
            if (nested != NULL) put_rows(page, value, nested, depth + 1);
            if (nested == NULL) no_memory(page);
            sac_free(nested);
            continue;
        }
        sac_html_put(page, "<tr><th>");
        sac_html_text(page, prefix);
        sac_html_text(page, key);
        sac_html_put(page, "</th><td>");
        if (json_is_string(value)) {
            sac_html_text(page, json_string_value(value));
        } else {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            if (text != NULL) sac_html_text(page, text);
            if (text == NULL) no_memory(page);
            free(text); // Jansson allocates with malloc
        }
        sac_html_put(page, "</td></tr>");
    }
}

void sac_html_keys(sac_html *page, const char *title, const json_t *object) {
    if (object == NULL || json_object_size(object) == 0) return;
    sac_html_put(page, "<h2>%s</h2><div class=\"card\"><table class=\"keys\">", title);
    put_rows(page, object, "", 0);
    sac_html_put(page, "</table></div>");
}
