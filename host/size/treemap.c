// SPDX-License-Identifier: ISC
// `lith size --svg`: what the file is made of as a treemap. Libraries are areas of their bytes in
// the file (memory that is zero at start takes no room there), their object files areas inside.
// Layout: squarified treemaps (Bruls, Huizing, van Wijk, 2000).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "size/size.h"

#define WIDTH     1200.0
#define HEIGHT    760.0
#define TOP       64.0 // title
#define HEAD      20.0 // a library's own line
#define CHAR      6.4  // of a 11 px label
#define CHAR_BOLD 7.4  // of a 12 px heading
#define MARGIN    16.0

struct rect {
    double x, y, w, h;
};

struct area {
    double value;
    unsigned index;
    struct rect at;
};

static int compare_areas(const void *a, const void *b)
{
    const struct area *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : x->index < y->index ? -1 : 1;
}

// The worst side ratio in a row of areas with this sum, least and greatest along `side`.
static double worst(double sum, double least, double greatest, double side)
{
    double s2 = sum * sum, w2 = side * side;
    double a = w2 * greatest / s2, b = s2 / (w2 * least);
    return a > b ? a : b;
}

// Places areas (descending values) in `r`, a row at a time along the shorter side.
static void squarify(struct area *areas, size_t n, struct rect r)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += areas[i].value;
    double scale = total > 0 && r.w > 0 && r.h > 0 ? r.w * r.h / total : 0;
    for (size_t i = 0; i < n;) {
        double side = r.w < r.h ? r.w : r.h, sum = areas[i].value * scale, first = sum;
        size_t end = i + 1;
        for (; end < n; end++) {
            double next = areas[end].value * scale;
            double now = worst(sum, areas[end - 1].value * scale, first, side);
            if (side <= 0 || sum <= 0 || worst(sum + next, next, first, side) > now)
                break;
            sum += next;
        }
        double depth = side > 0 ? sum / side : 0, along = 0;
        for (; i < end; i++) {
            double len = sum > 0 ? areas[i].value * scale / sum * side : 0;
            areas[i].at = r.w < r.h ? (struct rect){r.x + along, r.y, len, depth}
                                    : (struct rect){r.x, r.y + along, depth, len};
            along += len;
        }
        if (r.w < r.h) {
            r.y += depth;
            r.h = r.h > depth ? r.h - depth : 0;
        } else {
            r.x += depth;
            r.w = r.w > depth ? r.w - depth : 0;
        }
    }
}

static void add_text(struct buf *out, const char *s, size_t max)
{
    for (; *s && max > 0; s++, max--) {
        unsigned char c = (unsigned char)*s;
        if (c == '<')
            buf_puts(out, "&lt;");
        else if (c == '&')
            buf_puts(out, "&amp;");
        else if (c == '"')
            buf_puts(out, "&quot;");
        else if (c < 0x20 || c >= 0x7f)
            buf_puts(out, "?");
        else
            buf_add(out, s, 1);
    }
}

static void size_words(uint64_t bytes, char out[24])
{
    if (bytes < 1024)
        snprintf(out, 24, "%u B", (unsigned)bytes);
    else if (bytes < 10240)
        snprintf(out, 24, "%.1f KiB", (double)bytes / 1024);
    else if (bytes < 10u << 20)
        snprintf(out, 24, "%.0f KiB", (double)bytes / 1024);
    else
        snprintf(out, 24, "%.1f MiB", (double)bytes / (1 << 20));
}

// "#rrggbb": not every reader of SVG has hsl(). h in degrees, s and l 0 to 1.
static void hsl_hex(double h, double s, double l, char out[8])
{
    static const double offset[] = {0, 8, 4};
    double a = s * (l < 0.5 ? l : 1 - l);
    unsigned rgb[3];
    for (int i = 0; i < 3; i++) {
        double k = fmod(offset[i] + h / 30 + 12, 12);
        rgb[i] = (unsigned)lround(255 * (l - a * fmax(fmin(fmin(k - 3, 9 - k), 1), -1)));
    }
    snprintf(out, 8, "#%02x%02x%02x", rgb[0] & 255, rgb[1] & 255, rgb[2] & 255);
}

// A hue per group; the kernel's libraries differ a little, so that neighbours are told apart.
static void colour(const struct library *l, unsigned rank, bool head, char out[8])
{
    static const double hue[] = {212, 152, 185, 28, 280, 0};
    static const double saturation[] = {.58, .46, .5, .82, .40, 0};
    static const int turn[] = {0, -20, 16, -36, 30, -10, 24, -28, 8, 38};
    hsl_hex(hue[l->group] + (l->group == GROUP_KERNEL ? turn[rank % 10] : 0), saturation[l->group],
            head ? .38 : .86, out);
}

static void add_rect(struct buf *out, struct rect r, const char *fill, const char *stroke,
                     double stroke_width)
{
    buf_printf(out,
               "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
               "stroke=\"%s\" stroke-width=\"%.1f\">",
               r.x, r.y, r.w, r.h, fill, stroke, stroke_width);
}

static void add_label(struct buf *out, double x, double y, const char *style, const char *text,
                      size_t max)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, style);
    add_text(out, text, max);
    buf_puts(out, "</text>\n");
}

static void draw_object(const struct object *o, struct rect r, const char *fill, struct buf *out)
{
    char size[24];
    size_t fits = r.w > 10 ? (size_t)((r.w - 8) / CHAR) : 0;
    // fs__open.c.o is shown as open
    const char *name = strstr(o->name, "__") ? strstr(o->name, "__") + 2 : o->name;
    char *stem = xstrndup(name, *name == '.' ? strlen(name) : strcspn(name, "."));
    size_t len = strlen(stem);
    if (fits < len && fits >= 4) { // "virtio_net" as "virti.."
        stem[fits - 1] = stem[fits - 2] = '.';
        stem[len = fits] = 0;
    }
    size_words(bytes_file(o->bytes), size);
    add_rect(out, r, fill, "#ffffff", 1);
    buf_puts(out, "<title>");
    add_text(out, o->name, 200);
    buf_printf(out, ": %s</title></rect>\n", size);
    if (r.h >= 15 && fits >= len && len > 0)
        add_label(out, r.x + 5, r.y + 13, "o", stem, 60);
    if (r.h >= 30 && fits >= strlen(size) && fits >= len)
        add_label(out, r.x + 5, r.y + 26, "s", size, 24);
    free(stem);
}

static void draw_library(const struct model *m, unsigned index, unsigned rank, struct rect r,
                         struct buf *out)
{
    const struct library *l = &m->libraries[index];
    char head[8], fill[8], size[24];
    colour(l, rank, true, head);
    colour(l, rank, false, fill);
    size_words(bytes_file(l->bytes), size);
    r = (struct rect){r.x + 1.5, r.y + 1.5, r.w > 3 ? r.w - 3 : 0, r.h > 3 ? r.h - 3 : 0};
    if (r.w <= 0 || r.h <= 0)
        return;
    add_rect(out, r, head, "none", 0);
    buf_puts(out, "<title>");
    add_text(out, l->name, 100);
    buf_printf(out, ": %s</title></rect>\n", size);
    char *label = xasprintf("%s  %s", l->name, size);
    size_t fits = r.w > 12 ? (size_t)((r.w - 12) / CHAR_BOLD) : 0;
    bool headed = r.h >= 2 * HEAD && fits >= strlen(l->name);
    if (headed)
        add_label(out, r.x + 6, r.y + 14.5, "l", fits >= strlen(label) ? label : l->name, 60);
    free(label);
    double top = headed ? HEAD : 1;
    struct rect inner = {r.x + 1, r.y + top, r.w - 2, r.h - top - 1};
    if (inner.w <= 0 || inner.h <= 0)
        return;
    struct area *areas = xcalloc(m->object_count, sizeof(*areas));
    size_t n = 0;
    for (unsigned i = 0; i < m->object_count; i++)
        if (m->objects[i].library == index && bytes_file(m->objects[i].bytes) > 0)
            areas[n++] = (struct area){(double)bytes_file(m->objects[i].bytes), i, {0, 0, 0, 0}};
    if (n)
        qsort(areas, n, sizeof(*areas), compare_areas);
    squarify(areas, n, inner);
    for (size_t i = 0; i < n; i++)
        draw_object(&m->objects[areas[i].index], areas[i].at, fill, out);
    free(areas);
}

void report_svg(const struct model *m, const char *program, struct buf *out)
{
    const char *base = strrchr(program, '/');
    char size[24], memory[24];
    size_words(m->stripped_bytes, size);
    size_words(m->memory_bytes, memory);
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
        "height=\"%.0f\" font-family=\"Inter, 'DejaVu Sans', Helvetica, Arial, sans-serif\">\n"
        "<style>.t{font-size:20px;font-weight:600;fill:#1c2733}.d{font-size:13px;"
        "fill:#5b6875}.l{font-size:12px;font-weight:600;fill:#ffffff}.o{font-size:11px;"
        "fill:#1c2733}.s{font-size:10px;fill:#5b6875}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    add_label(out, MARGIN, 30, "t", base ? base + 1 : program, 80);
    char *line = xasprintf("%s file, %s memory; areas are bytes of the file", size, memory);
    add_label(out, MARGIN, 50, "d", line, 200);
    free(line);
    struct area *areas = xcalloc(m->library_count, sizeof(*areas));
    size_t n = 0;
    for (unsigned i = 0; i < m->library_count; i++)
        if (bytes_file(m->libraries[i].bytes) > 0)
            areas[n++] = (struct area){(double)bytes_file(m->libraries[i].bytes), i, {0, 0, 0, 0}};
    if (n)
        qsort(areas, n, sizeof(*areas), compare_areas);
    squarify(areas, n, (struct rect){MARGIN, TOP, WIDTH - 2 * MARGIN, HEIGHT - TOP - MARGIN});
    unsigned kernel = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_kernel = m->libraries[areas[i].index].group == GROUP_KERNEL;
        draw_library(m, areas[i].index, is_kernel ? kernel : 0, areas[i].at, out);
        kernel += is_kernel;
    }
    free(areas);
    buf_puts(out, "</svg>\n");
}
