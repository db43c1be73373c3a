// SPDX-License-Identifier: ISC
// `lith size` in words and as JSON: bytes per library, and the chain of references by which each
// came in.
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "size/size.h"

#define CHAIN_WIDTH 72 // columns of a chain in the table
#define REFERRERS   8

static const struct library *library_of(const struct model *m, int piece)
{
    return &m->libraries[m->objects[m->pieces[piece].object].library];
}

// Pieces from the root to `piece`. The caller frees *chain.
static unsigned chain_of(const struct model *m, int piece, int **chain)
{
    unsigned n = 0;
    for (int p = piece; p >= 0 && n <= m->piece_count; p = m->pieces[p].parent)
        n++;
    *chain = xcalloc(n, sizeof(**chain));
    unsigned at = n;
    for (int p = piece; p >= 0 && at > 0; p = m->pieces[p].parent)
        (*chain)[--at] = p;
    return n;
}

// Names of symbols come from the file: what a terminal would take for a command is shown as '?'.
static void add_name(struct buf *out, const char *name)
{
    for (const char *p = name; *p && p < name + 200; p++)
        buf_add(out, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
}

// A chain in one line; the middle is left out where it is too long.
static void add_chain(const struct model *m, int piece, struct buf *out)
{
    int *chain;
    unsigned n = chain_of(m, piece, &chain), head = n > 0, tail = n;
    size_t width = n ? strlen(m->pieces[chain[0]].name) : 0;
    while (tail > head) {
        width += strlen(m->pieces[chain[tail - 1]].name) + 4;
        if (width > CHAIN_WIDTH && tail < n)
            break;
        tail--;
    }
    for (unsigned i = 0; i < n; i++) {
        if (i == head && tail > head) {
            buf_puts(out, " > ...");
            i = tail;
        }
        if (i > 0)
            buf_puts(out, " > ");
        add_name(out, m->pieces[chain[i]].name);
    }
    free(chain);
}

static int compare_libraries(const void *a, const void *b, void *context)
{
    const struct model *m = context;
    const struct library *x = &m->libraries[*(const unsigned *)a],
                         *y = &m->libraries[*(const unsigned *)b];
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    uint64_t p = bytes_total(x->bytes), q = bytes_total(y->bytes);
    return p > q ? -1 : p < q ? 1 : strcmp(x->name, y->name);
}

static unsigned *sorted(const struct model *m)
{
    unsigned *order = xcalloc(m->library_count, sizeof(*order));
    for (unsigned i = 0; i < m->library_count; i++)
        order[i] = i;
    if (m->library_count)
        qsort_r(order, m->library_count, sizeof(*order), compare_libraries, (void *)(uintptr_t)m);
    return order;
}

static void add_row(struct buf *out, const char *name, const uint64_t bytes[KINDS])
{
    struct buf label = {0};
    add_name(&label, name);
    buf_printf(out, "%-14s %9llu %9llu %9llu %9llu %10llu", label.data ? label.data : "",
               (unsigned long long)bytes[KIND_TEXT], (unsigned long long)bytes[KIND_RODATA],
               (unsigned long long)bytes[KIND_DATA], (unsigned long long)bytes[KIND_BSS],
               (unsigned long long)bytes_total(bytes));
    buf_free(&label);
}

void report_text(const struct model *m, const char *program, struct buf *out)
{
    static const char *const titles[] = {"kernel",  "libc",     "libstdc++",
                                         "program", "archives", "linker"};
    uint64_t sum[KINDS] = {0}, padding[KINDS] = {0};
    unsigned *order = sorted(m);
    buf_printf(out, "%-14s %9s %9s %9s %9s %10s  %s\n", "LIBRARY", "TEXT", "RODATA", "DATA", "BSS",
               "TOTAL", "PULLED IN BY");
    for (unsigned i = 0; i < m->library_count; i++) {
        const struct library *l = &m->libraries[order[i]];
        bool title = i == 0 || m->libraries[order[i - 1]].group != l->group;
        bool single =
            l->group == GROUP_LIBC || l->group == GROUP_PROGRAM || l->group == GROUP_LINKER;
        if (title && !single)
            buf_printf(out, "%s\n", titles[l->group]);
        char *name = xasprintf("%s%s", single ? "" : "  ", l->name);
        add_row(out, name, l->bytes);
        free(name);
        if (l->first >= 0 && l->group != GROUP_LINKER) {
            buf_puts(out, "  ");
            add_chain(m, l->first, out);
        }
        buf_puts(out, "\n");
        for (int k = 0; k < KINDS; k++)
            sum[k] += l->bytes[k];
    }
    free(order);
    padding[KIND_RODATA] = m->padding;
    sum[KIND_RODATA] += m->padding;
    add_row(out, "(padding)", padding);
    buf_puts(out, "\n");
    add_row(out, "sum", sum);
    buf_puts(out, "\n");
    add_name(out, program);
    buf_printf(out, ": %llu bytes stripped (%llu with symbols), %llu KiB of memory at 0x%llx\n",
               (unsigned long long)m->stripped_bytes, (unsigned long long)m->file_bytes,
               (unsigned long long)(m->memory_bytes / 1024), (unsigned long long)m->load_address);
}

// --- why -------------------------------------------------------------------------------------

static void add_step(const struct model *m, int piece, const char *mark, struct buf *out)
{
    const struct piece *p = &m->pieces[piece];
    buf_puts(out, mark);
    add_name(out, p->name);
    buf_puts(out, "  (");
    add_name(out, library_of(m, piece)->name);
    buf_puts(out, ", ");
    add_name(out, m->objects[p->object].name);
    buf_printf(out, ", %llu bytes)%s\n", (unsigned long long)p->size,
               p->attached ? "  [kept with the former]"
               : p->parent == -1 && strcmp(p->name, "main") != 0
                   ? "  [kept by entry or linker script]"
                   : "");
}

static void why_piece(const struct model *m, int piece, struct buf *out)
{
    int *chain;
    unsigned n = chain_of(m, piece, &chain), shown = 0;
    for (unsigned i = 0; i < n; i++)
        add_step(m, chain[i], i ? "  > " : "    ", out);
    free(chain);
    for (size_t i = 0; i < m->edge_count; i++) {
        int from = (int)m->edges[i].from;
        if ((int)m->edges[i].to != piece || from == m->pieces[piece].parent)
            continue;
        if (shown == 0)
            buf_puts(out, "also used by\n");
        if (shown++ < REFERRERS)
            add_step(m, from, "    ", out);
    }
    if (shown > REFERRERS)
        buf_printf(out, "    and %u more\n", shown - REFERRERS);
}

int report_why(const struct model *m, const char *what, struct buf *out, struct err *e)
{
    for (unsigned i = 0; i < m->library_count; i++) {
        const struct library *l = &m->libraries[i];
        if (strcmp(l->name, what) != 0 || l->first < 0)
            continue;
        why_piece(m, l->first, out);
        return 0;
    }
    if (strncmp(what, "__lith_", 7) == 0)
        what += 7;
    for (size_t i = 0; i < m->elf.symbol_count; i++) {
        const struct symbol *s = &m->elf.symbols[i];
        if (strcmp(s->name, what) != 0 || s->section == SHN_UNDEF || s->type == STT_FILE)
            continue;
        int piece = model_piece(m, s->value);
        if (piece < 0)
            continue;
        why_piece(m, piece, out);
        return 0;
    }
    return err_set(e, -ENOENT, "%.200s is in the program neither as a symbol nor as a library",
                   what);
}

// --- JSON ------------------------------------------------------------------------------------

static json_t *text_json(const char *name)
{
    json_t *s = json_string(name);
    return s ? s : json_string("?"); // not UTF-8
}

static void add_bytes(json_t *to, const uint64_t bytes[KINDS])
{
    static const char *const names[] = {"text", "rodata", "data", "bss"};
    for (int k = 0; k < KINDS; k++)
        json_object_set_new(to, names[k], json_integer((json_int_t)bytes[k]));
    json_object_set_new(to, "total", json_integer((json_int_t)bytes_total(bytes)));
}

static json_t *chain_json(const struct model *m, int piece)
{
    int *chain;
    unsigned n = chain_of(m, piece, &chain);
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_t *step = json_object();
        json_object_set_new(step, "symbol", text_json(m->pieces[chain[i]].name));
        json_object_set_new(step, "library", text_json(library_of(m, chain[i])->name));
        json_array_append_new(list, step);
    }
    free(chain);
    return list;
}

int report_json(const struct model *m, const char *program, struct buf *out)
{
    static const char *const groups[] = {"kernel",  "libc",    "libstdc++",
                                         "program", "archive", "linker"};
    json_t *root = json_object(), *list = json_array();
    unsigned *order = sorted(m);
    for (unsigned i = 0; i < m->library_count; i++) {
        const struct library *l = &m->libraries[order[i]];
        json_t *item = json_object(), *objects = json_array();
        json_object_set_new(item, "name", text_json(l->name));
        json_object_set_new(item, "group", json_string(groups[l->group]));
        add_bytes(item, l->bytes);
        for (unsigned k = 0; k < m->object_count; k++) {
            if (m->objects[k].library != order[i])
                continue;
            json_t *object = json_object();
            json_object_set_new(object, "name", text_json(m->objects[k].name));
            add_bytes(object, m->objects[k].bytes);
            json_array_append_new(objects, object);
        }
        json_object_set_new(item, "chain", l->first >= 0 ? chain_json(m, l->first) : json_array());
        json_object_set_new(item, "objects", objects);
        json_array_append_new(list, item);
    }
    free(order);
    json_object_set_new(root, "version", json_integer(1));
    json_object_set_new(root, "program", text_json(program));
    json_object_set_new(root, "file_bytes", json_integer((json_int_t)m->file_bytes));
    json_object_set_new(root, "stripped_bytes", json_integer((json_int_t)m->stripped_bytes));
    json_object_set_new(root, "memory_bytes", json_integer((json_int_t)m->memory_bytes));
    json_object_set_new(root, "load_address", json_integer((json_int_t)m->load_address));
    json_object_set_new(root, "padding_bytes", json_integer((json_int_t)m->padding));
    json_object_set_new(root, "libraries", list);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (text == NULL)
        return -ENOMEM;
    buf_puts(out, text);
    buf_puts(out, "\n");
    free(text);
    return 0;
}
