// SPDX-License-Identifier: ISC
// Image references by docker's grammar (distribution/reference): [HOST[:PORT]/]path[/path][:TAG].
// Path components are lower-case letters and digits, joined by one of '.', '_', '__' or dashes.
#include "store/store.h"

#include <errno.h>
#include <string.h>

static bool lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool tag_char(char c, bool first)
{
    return lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && (c == '.' || c == '-'));
}

// One path component of `len` bytes.
static bool component_valid(const char *s, size_t len)
{
    if (len == 0 || !lower_alnum(s[0]) || !lower_alnum(s[len - 1]))
        return false;
    for (size_t i = 0; i < len;) {
        if (lower_alnum(s[i])) {
            i++;
            continue;
        }
        size_t run = 1;
        while (s[i + run] == s[i])
            run++;
        if (!(s[i] == '-' || (s[i] == '.' && run == 1) || (s[i] == '_' && run <= 2)) ||
            !lower_alnum(s[i + run]))
            return false;
        i += run;
    }
    return true;
}

// A registry's host: has a dot or a port, or is localhost (else it is a path component).
static bool host_valid(const char *s, size_t len)
{
    const char *colon = memchr(s, ':', len);
    size_t name = colon ? (size_t)(colon - s) : len;
    if (name == 0 || s[0] == '.' || s[0] == '-' || s[name - 1] == '.' || s[name - 1] == '-')
        return false;
    for (size_t i = 0; i < name; i++)
        if (!lower_alnum(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z') && s[i] != '.' && s[i] != '-')
            return false;
    if (colon == NULL)
        return memchr(s, '.', len) != NULL || (len == 9 && memcmp(s, "localhost", 9) == 0);
    size_t digits = len - name - 1;
    if (digits == 0 || digits > 5)
        return false;
    for (size_t i = name + 1; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return true;
}

int ref_parse(const char *s, char ref[STORE_REF_MAX], struct err *e)
{
    size_t len = strlen(s);
    if (len == 0 || len > STORE_REF_MAX - sizeof(":latest"))
        goto invalid;
    const char *slash = strrchr(s, '/');
    const char *colon = strchr(slash ? slash : s, ':');
    size_t name = colon ? (size_t)(colon - s) : len;
    if (colon != NULL) {
        size_t tag = len - name - 1;
        if (tag == 0 || tag > 128)
            goto invalid;
        for (size_t i = 0; i < tag; i++)
            if (!tag_char(colon[1 + i], i == 0))
                goto invalid;
    }
    for (size_t i = 0, start = 0; i <= name; i++) {
        if (i < name && s[i] != '/')
            continue;
        bool first = start == 0 && i < name;
        if (!component_valid(s + start, i - start) && !(first && host_valid(s, i)))
            goto invalid;
        start = i + 1;
    }
    memcpy(ref, s, len + 1);
    if (colon == NULL)
        memcpy(ref + len, ":latest", sizeof(":latest"));
    return 0;
invalid:
    return err_set(e, -EINVAL,
                   "invalid reference format: '%.200s'; a name is lower-case letters, digits and "
                   "single . _ - between them, with :TAG behind it if you like (example: web:1.0)",
                   s);
}
