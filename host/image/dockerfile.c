// SPDX-License-Identifier: ISC
// Dockerfile text to instructions: directives, comments, continuation lines, flags, JSON forms.
// Follows the Dockerfile reference of docker: comment and empty lines inside a continuation are
// skipped, a JSON form that is not valid JSON is a shell form.
#include "image/dockerfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const op_names[] = {
    [DF_ADD] = "ADD",
    [DF_ARG] = "ARG",
    [DF_CMD] = "CMD",
    [DF_COPY] = "COPY",
    [DF_ENTRYPOINT] = "ENTRYPOINT",
    [DF_ENV] = "ENV",
    [DF_EXPOSE] = "EXPOSE",
    [DF_FROM] = "FROM",
    [DF_HEALTHCHECK] = "HEALTHCHECK",
    [DF_LABEL] = "LABEL",
    [DF_MAINTAINER] = "MAINTAINER",
    [DF_ONBUILD] = "ONBUILD",
    [DF_RUN] = "RUN",
    [DF_SHELL] = "SHELL",
    [DF_STOPSIGNAL] = "STOPSIGNAL",
    [DF_USER] = "USER",
    [DF_VOLUME] = "VOLUME",
    [DF_WORKDIR] = "WORKDIR",
};
#define OPS (sizeof(op_names) / sizeof(op_names[0]))

const char *df_op_name(enum df_op op)
{
    return op_names[op];
}

void strings_add(struct strings *s, char *owned)
{
    s->v = xrealloc(s->v, (s->n + 1) * sizeof(*s->v));
    s->v[s->n++] = owned;
}

void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct strings){0};
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct line_reader {
    const char *p, *end;
    unsigned line; // number of the line that was read last
};

// The next line without its end; CR LF counts as LF. False at the end.
static bool next_line(struct line_reader *in, const char **start, size_t *len)
{
    if (in->p >= in->end)
        return false;
    const char *newline = memchr(in->p, '\n', (size_t)(in->end - in->p));
    const char *stop = newline ? newline : in->end;
    *start = in->p;
    *len = (size_t)(stop - in->p);
    if (*len > 0 && stop[-1] == '\r')
        --*len;
    in->p = newline ? newline + 1 : in->end;
    in->line++;
    return true;
}

static void trim_left(const char **s, size_t *len)
{
    while (*len > 0 && blank(**s)) {
        ++*s;
        --*len;
    }
}

// `# escape=x` before the first instruction or comment. Returns whether the line is a directive.
static bool read_directive(const char *s, size_t len, struct dockerfile *df, unsigned line,
                           struct err *e, int *result)
{
    trim_left(&s, &len);
    if (len == 0 || *s != '#')
        return false;
    s++;
    len--;
    trim_left(&s, &len);
    const char *equal = memchr(s, '=', len);
    if (equal == NULL)
        return false;
    size_t name = (size_t)(equal - s);
    while (name > 0 && blank(s[name - 1]))
        name--;
    const char *value = equal + 1;
    size_t value_len = len - (size_t)(value - s);
    trim_left(&value, &value_len);
    while (value_len > 0 && blank(value[value_len - 1]))
        value_len--;
    if (name == 6 && strncasecmp(s, "syntax", 6) == 0)
        return true;
    if (name == 5 && strncasecmp(s, "check", 5) == 0)
        return true;
    if (name != 6 || strncasecmp(s, "escape", 6) != 0)
        return false;
    if (value_len != 1 || (*value != '\\' && *value != '`'))
        *result = err_set(e, -EINVAL, "%s:%u: the escape directive takes \\ or `", df->name, line);
    else
        df->escape = *value;
    return true;
}

// Joins a line and its continuations into `joined`.
static void join_lines(struct line_reader *in, const char *s, size_t len, char escape,
                       struct buf *joined)
{
    for (;;) {
        size_t end = len;
        while (end > 0 && blank(s[end - 1]))
            end--;
        bool more = end > 0 && s[end - 1] == escape;
        buf_add(joined, s, more ? end - 1 : len);
        if (!more)
            return;
        for (;;) {
            if (!next_line(in, &s, &len))
                return;
            const char *t = s;
            size_t tlen = len;
            trim_left(&t, &tlen);
            if (tlen > 0 && *t != '#')
                break;
        }
    }
}

static const char *json_blank(const char *s)
{
    while (blank(*s) || *s == '\n' || *s == '\r')
        s++;
    return s;
}

static void add_utf8(struct buf *b, unsigned c)
{
    char out[4];
    size_t n = 0;
    if (c < 0x80) {
        out[n++] = (char)c;
    } else if (c < 0x800) {
        out[n++] = (char)(0xc0 | c >> 6);
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[n++] = (char)(0xe0 | c >> 12);
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | c >> 18);
        out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf_add(b, out, n);
}

static bool json_hex4(const char *s, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a' + 10);
        else
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

// One escape of a JSON string, s behind the backslash. Returns what follows it, or NULL.
static const char *json_escape(const char *s, struct buf *b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = *s ? strchr(from, *s) : NULL;
    if (known != NULL) {
        buf_add(b, &to[known - from], 1);
        return s + 1;
    }
    unsigned c, low;
    if (*s != 'u' || !json_hex4(s + 1, &c))
        return NULL;
    s += 5;
    if (c >= 0xd800 && c < 0xdc00) {
        if (s[0] != '\\' || s[1] != 'u' || !json_hex4(s + 2, &low) || low < 0xdc00 || low > 0xdfff)
            return NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        s += 6;
    } else if (c >= 0xdc00 && c < 0xe000) {
        return NULL;
    }
    if (c == 0)
        return NULL; // a C string cannot hold it, and no program takes it as an argument
    add_utf8(b, c);
    return s;
}

static const char *json_string(const char *s, struct buf *b)
{
    if (*s++ != '"')
        return NULL;
    buf_puts(b, "");
    while (*s != '"') {
        if (*s == 0 || (unsigned char)*s < 0x20)
            return NULL;
        if (*s == '\\') {
            s = json_escape(s + 1, b);
            if (s == NULL)
                return NULL;
        } else {
            buf_add(b, s++, 1);
        }
    }
    return s + 1;
}

// A JSON list of strings that is all of s.
static bool json_list(const char *s, struct strings *out)
{
    s = json_blank(s);
    if (*s != '[')
        return false;
    s = json_blank(s + 1);
    bool more = *s != ']';
    while (more) {
        struct buf b = {0};
        s = json_string(s, &b);
        if (s == NULL) {
            buf_free(&b);
            goto invalid;
        }
        strings_add(out, b.data);
        s = json_blank(s);
        more = *s == ',';
        if (more)
            s = json_blank(s + 1);
    }
    if (*s == ']' && *json_blank(s + 1) == 0)
        return true;
invalid:
    strings_free(out);
    return false;
}

static bool takes_flags(enum df_op op)
{
    return op == DF_ADD || op == DF_COPY || op == DF_FROM || op == DF_RUN || op == DF_HEALTHCHECK;
}

static bool takes_json(enum df_op op)
{
    return op == DF_ADD || op == DF_COPY || op == DF_CMD || op == DF_ENTRYPOINT || op == DF_RUN ||
           op == DF_SHELL || op == DF_VOLUME;
}

static int parse_instruction(struct dockerfile *df, const char *s, unsigned line, struct err *e)
{
    size_t word = strcspn(s, " \t");
    unsigned op;
    for (op = 0; op < OPS; op++)
        if (strlen(op_names[op]) == word && strncasecmp(op_names[op], s, word) == 0)
            break;
    if (op == OPS)
        return err_set(e, -EINVAL, "%s:%u: unknown instruction: %.40s", df->name, line, s);
    if (df->n >= DOCKERFILE_INSTRUCTIONS_MAX)
        return err_set(e, -E2BIG, "%s:%u: more than %u instructions", df->name, line,
                       DOCKERFILE_INSTRUCTIONS_MAX);
    df->v = xrealloc(df->v, (df->n + 1) * sizeof(*df->v));
    struct df_instruction *in = &df->v[df->n++];
    *in = (struct df_instruction){.op = (enum df_op)op, .line = line};
    s += word;
    s += strspn(s, " \t");
    while (takes_flags(in->op) && s[0] == '-' && s[1] == '-') {
        size_t len = df_word_len(s, df->escape, true);
        if (len == 2) {
            s += 2;
            s += strspn(s, " \t");
            break;
        }
        strings_add(&in->flags, xstrndup(s + 2, len - 2));
        s += len;
        s += strspn(s, " \t");
    }
    size_t len = strlen(s);
    while (len > 0 && blank(s[len - 1]))
        len--;
    in->args = xstrndup(s, len);
    if (takes_json(in->op))
        in->is_json = json_list(in->args, &in->json);
    if (len == 0 && !in->is_json)
        return err_set(e, -EINVAL, "%s:%u: %s needs an argument", df->name, line, op_names[op]);
    return 0;
}

int dockerfile_parse(const char *text, size_t len, const char *name, struct dockerfile *df,
                     struct err *e)
{
    *df = (struct dockerfile){.name = name, .escape = '\\'};
    if (len > DOCKERFILE_MAX)
        return err_set(e, -EFBIG, "%s: larger than %u bytes; is it a Dockerfile?", name,
                       DOCKERFILE_MAX);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (memchr(text, 0, len) != NULL)
        return err_set(e, -EINVAL, "%s: holds a NUL byte; is it a Dockerfile?", name);
    struct line_reader in = {.p = text, .end = text + len};
    const char *s;
    size_t n;
    bool directives = true;
    int r = 0;
    while (r == 0 && next_line(&in, &s, &n)) {
        if (directives && read_directive(s, n, df, in.line, e, &r))
            continue;
        directives = false;
        trim_left(&s, &n);
        if (n == 0 || *s == '#')
            continue;
        unsigned line = in.line;
        struct buf joined = {0};
        join_lines(&in, s, n, df->escape, &joined);
        r = parse_instruction(df, joined.data, line, e);
        buf_free(&joined);
    }
    if (r == 0 && df->n == 0)
        r = err_set(e, -EINVAL, "%s: holds no instruction; it must begin with FROM", name);
    if (r < 0)
        dockerfile_free(df);
    return r;
}

void dockerfile_free(struct dockerfile *df)
{
    for (size_t i = 0; i < df->n; i++) {
        free(df->v[i].args);
        strings_free(&df->v[i].flags);
        strings_free(&df->v[i].json);
    }
    free(df->v);
    df->v = NULL;
    df->n = 0;
}
