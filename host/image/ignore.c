// SPDX-License-Identifier: ISC
// .dockerignore: patterns as in docker's reference. `*` and `?` stay inside one path component,
// `**` spans any number, `!` takes back; the last pattern that fits decides. A pattern that fits a
// folder fits everything in it.
#include "image/private.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define IGNORE_MAX (1u << 20)

int ignore_read(int context, struct strings *patterns, struct err *e)
{
    char *text;
    size_t len;
    int r = file_read(context, ".dockerignore", IGNORE_MAX, &text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_sys(e, r, "cannot read .dockerignore");
    for (char *line = text, *next; line < text + len; line = next) {
        next = line + strcspn(line, "\n");
        *next++ = 0;
        line += strspn(line, " \t\r");
        size_t n = strlen(line);
        while (n > 0 && strchr(" \t\r", line[n - 1]))
            line[--n] = 0;
        if (n == 0 || *line == '#')
            continue;
        bool negated = *line == '!';
        char *clean = path_clean(line + negated);
        strings_add(patterns, xasprintf("%s%s", negated ? "!" : "", clean + 1));
        free(clean);
    }
    free(text);
    return 0;
}

// One component of a pattern against one of a path.
static bool match_component(const char *pattern, size_t n, const char *path, size_t m)
{
    char want[256], have[256];
    if (n >= sizeof(want) || m >= sizeof(have) || m == 0)
        return false;
    memcpy(want, pattern, n);
    want[n] = 0;
    memcpy(have, path, m);
    have[m] = 0;
    return fnmatch(want, have, 0) == 0;
}

static const char *next_component(const char *s)
{
    s += strcspn(s, "/");
    return s + strspn(s, "/");
}

// Whether the pattern fits all of `path`. Only the last `**` is tried again: what earlier ones
// took cannot matter any more, so the work is at most pattern times path.
static bool match(const char *pattern, const char *path)
{
    const char *again_pattern = NULL, *again_path = NULL;
    for (;;) {
        size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
        if (n == 2 && pattern[0] == '*' && pattern[1] == '*') {
            pattern = next_component(pattern);
            if (*pattern == 0)
                return true;
            again_pattern = pattern;
            again_path = path;
            continue;
        }
        if (n == 0 && m == 0)
            return true;
        if (n > 0 && match_component(pattern, n, path, m)) {
            pattern = next_component(pattern);
            path = next_component(path);
            continue;
        }
        if (again_pattern == NULL || *again_path == 0)
            return false;
        again_path = next_component(again_path);
        pattern = again_pattern;
        path = again_path;
    }
}

// The pattern fits the path or one of the folders above it.
static bool match_any_parent(const char *pattern, const char *path)
{
    char *prefix = xstrdup(path);
    bool fits = false;
    for (char *slash = prefix; !fits && slash != NULL;) {
        slash = strchr(slash, '/');
        if (slash != NULL)
            *slash = 0;
        fits = match(pattern, prefix);
        if (slash != NULL)
            *slash++ = '/';
    }
    free(prefix);
    return fits;
}

bool ignore_match(const struct strings *patterns, const char *path)
{
    bool ignored = false;
    while (*path == '/')
        path++;
    if (*path == 0)
        return false;
    for (size_t i = 0; i < patterns->n; i++) {
        const char *p = patterns->v[i];
        bool negated = *p == '!';
        if (ignored == negated && match_any_parent(p + negated, path))
            ignored = !negated;
    }
    return ignored;
}
