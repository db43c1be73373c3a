// SPDX-License-Identifier: ISC
// The shell-like words of Dockerfile instructions: quotes, escapes, variables. Values are not
// expanded again, so that expansion ends; results and nesting are bounded.
#include "image/dockerfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 16

struct expander {
    const char *p, *end;
    char escape;
    df_lookup *lookup;
    void *context;
    unsigned depth;
    struct err *e;
};

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static int expand_until(struct expander *x, bool in_braces, struct buf *out);

// What stands behind the operator of ${NAME op word}, up to its brace.
static int expand_operand(struct expander *x, struct buf *word)
{
    if (++x->depth > NESTING_MAX)
        return err_set(x->e, -EINVAL, "${...} is nested more than %d deep", NESTING_MAX);
    int r = expand_until(x, true, word);
    x->depth--;
    return r;
}

static int expand_braces(struct expander *x, struct buf *out)
{
    const char *name = x->p;
    while (x->p < x->end && name_char(*x->p, x->p == name))
        x->p++;
    size_t len = (size_t)(x->p - name);
    if (len == 0 || x->p >= x->end)
        return err_set(x->e, -EINVAL, "bad substitution: ${%.40s", name);
    const char *value = x->lookup(x->context, name, len);
    if (*x->p == '}') {
        x->p++;
        if (value)
            buf_puts(out, value);
        return 0;
    }
    bool colon = *x->p == ':';
    if (colon)
        x->p++;
    char op = x->p < x->end ? *x->p++ : 0;
    if (op != '-' && op != '+' && op != '?')
        return err_set(x->e, -EINVAL, "unsupported modifier in ${%.40s", name);
    struct buf word = {0};
    int r = expand_operand(x, &word);
    bool have = value != NULL && (!colon || value[0] != 0);
    if (r == 0 && op == '?' && !have)
        r = err_set(x->e, -EINVAL, "%.*s: %s", (int)len, name, word.len ? word.data : "is not set");
    if (r == 0 && op == '+') {
        if (have)
            buf_add(out, word.data ? word.data : "", word.len);
    } else if (r == 0) {
        if (have)
            buf_puts(out, value);
        else
            buf_add(out, word.data ? word.data : "", word.len);
    }
    buf_free(&word);
    return r;
}

static int expand_variable(struct expander *x, struct buf *out)
{
    x->p++; // the $
    if (x->p < x->end && *x->p == '{') {
        x->p++;
        return expand_braces(x, out);
    }
    const char *name = x->p;
    while (x->p < x->end && name_char(*x->p, x->p == name))
        x->p++;
    if (x->p == name) {
        buf_puts(out, "$");
        return 0;
    }
    const char *value = x->lookup(x->context, name, (size_t)(x->p - name));
    if (value)
        buf_puts(out, value);
    return 0;
}

static int expand_quoted(struct expander *x, struct buf *out)
{
    char quote = *x->p++;
    while (x->p < x->end && *x->p != quote) {
        char next = x->p + 1 < x->end ? x->p[1] : 0;
        if (quote == '"' && *x->p == '$') {
            int r = expand_variable(x, out);
            if (r < 0)
                return r;
            continue;
        }
        if (quote == '"' && *x->p == x->escape && (next == '"' || next == '$' || next == x->escape))
            x->p++;
        buf_add(out, x->p++, 1);
    }
    if (x->p >= x->end)
        return err_set(x->e, -EINVAL, "a %c quote is not closed", quote);
    x->p++;
    return 0;
}

static int expand_until(struct expander *x, bool in_braces, struct buf *out)
{
    while (x->p < x->end) {
        int r = 0;
        if (in_braces && *x->p == '}') {
            x->p++;
            return 0;
        }
        if (*x->p == '\'' || *x->p == '"')
            r = expand_quoted(x, out);
        else if (*x->p == '$')
            r = expand_variable(x, out);
        else if (*x->p == x->escape && x->p + 1 < x->end) {
            buf_add(out, x->p + 1, 1);
            x->p += 2;
        } else {
            buf_add(out, x->p++, 1);
        }
        if (r < 0)
            return r;
        if (out->len > DOCKERFILE_WORD_MAX)
            return err_set(x->e, -E2BIG,
                           "a word is longer than %u bytes when its variables are replaced",
                           DOCKERFILE_WORD_MAX);
    }
    return in_braces ? err_set(x->e, -EINVAL, "${ is not closed") : 0;
}

int df_expand(const char *word, size_t len, char escape, df_lookup *lookup, void *context,
              char **out, struct err *e)
{
    struct expander x = {.p = word,
                         .end = word + len,
                         .escape = escape,
                         .lookup = lookup,
                         .context = context,
                         .e = e};
    struct buf b = {0};
    buf_puts(&b, "");
    int r = expand_until(&x, false, &b);
    if (r < 0)
        buf_free(&b);
    else
        *out = b.data;
    return r;
}

size_t df_word_len(const char *s, char escape, bool quotes)
{
    const char *p = s;
    char quote = 0;
    for (; *p; p++) {
        if (quote) {
            if (*p == quote)
                quote = 0;
            else if (*p == escape && quote == '"' && p[1])
                p++;
            continue;
        }
        if (*p == ' ' || *p == '\t')
            break;
        if (quotes && (*p == '"' || *p == '\''))
            quote = *p;
        else if (quotes && *p == escape && p[1])
            p++;
    }
    return (size_t)(p - s);
}

int df_words(const char *s, char escape, bool quotes, df_lookup *lookup, void *context,
             struct strings *out, struct err *e)
{
    for (;;) {
        s += strspn(s, " \t");
        if (*s == 0)
            return 0;
        size_t len = df_word_len(s, escape, quotes);
        char *word;
        int r = df_expand(s, len, escape, lookup, context, &word, e);
        if (r < 0) {
            strings_free(out);
            return r;
        }
        strings_add(out, word);
        s += len;
    }
}
