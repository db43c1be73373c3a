// SPDX-License-Identifier: ISC
// Decodes the boot configuration (abi/bootconfig.h) in place. It comes from outside: bounded, and
// every mistake names its word.
#include <asm/errno.h>
#include "core/core.h"
#include "abi/bootconfig.h"

struct boot_config boot_config = {.ring = -1, .cwd = "/", .hostname = "lith"};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// Decodes %XX in place; false: not hexadecimal, or %00.
static bool percent_decode(char *s)
{
    char *w = s;
    for (; *s; s++) {
        if (*s != '%') {
            *w++ = *s;
            continue;
        }
        int h = hex_digit(s[1]), l = h < 0 ? -1 : hex_digit(s[2]);
        if (l < 0 || (h | l) == 0)
            return false;
        *w++ = (char)(h << 4 | l);
        s += 2;
    }
    *w = 0;
    return true;
}

static bool parse_number(const char *v, uint64_t max, uint64_t *out)
{
    const char *end;
    return lib_parse_u64(v, 10, out, &end) && !*end && *out <= max;
}

static bool parse_hex(const char *v, struct boot_config *c)
{
    unsigned n = 0;
    for (; *v; v += 2, n++) {
        int h = hex_digit(v[0]), l = h < 0 ? -1 : hex_digit(v[1]);
        if (l < 0)
            return false;
        if (n < sizeof(c->entropy))
            c->entropy[n] = (uint8_t)(h << 4 | l);
    }
    c->entropy_len = MIN(n, (unsigned)sizeof(c->entropy));
    return true;
}

static bool parse_log(const char *v)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (!strcmp(v, names[i])) {
            log_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool parse_word(const char *key, const char *v, struct boot_config *c)
{
    uint64_t n;
    if (!strcmp(key, "cwd"))
        return (c->cwd = v)[0] == '/';
    if (!strcmp(key, "hostname"))
        return strnlen(c->hostname = v, 65) <= 64;
    if (!strcmp(key, "ip"))
        return (c->ip = v)[0];
    if (!strcmp(key, "gw"))
        return (c->gw = v)[0];
    if (!strcmp(key, "dns"))
        return c->dns_count < ARRAY_LEN(c->dns) ? (c->dns[c->dns_count++] = v)[0] : true;
    if (!strcmp(key, "uid") && parse_number(v, 0xfffffffe, &n)) {
        c->uid = (uint32_t)n;
        return true;
    }
    if (!strcmp(key, "gid") && parse_number(v, 0xfffffffe, &n)) {
        c->gid = (uint32_t)n;
        return true;
    }
    if (!strcmp(key, "clock"))
        return parse_number(v, UINT64_MAX, &c->clock_ns);
    if (!strcmp(key, "chart") && parse_number(v, 1, &n)) {
        c->chart = (int)n;
        return true;
    }
    if (!strcmp(key, "ring") && parse_number(v, 3, &n) && (n == 0 || n == 3)) {
        c->ring = (int)n;
        return true;
    }
    if (!strcmp(key, "wx") && parse_number(v, 1, &n)) {
        c->allow_wx = n;
        return true;
    }
    if (!strcmp(key, "log"))
        return parse_log(v);
    if (!strcmp(key, "entropy"))
        return parse_hex(v, c);
    return strchr(key, '.') != NULL; // other software's
}

int bootconfig_parse(char *text, size_t len, struct boot_config *out, const char **storage,
                     size_t storage_len, const char **error)
{
    // argv grows from the front of the storage, envp from the back; both end with NULL.
    size_t argc = 0, envc = 0;
    *error = "the configuration is not NUL-terminated";
    if (!len || strnlen(text, len) == len || storage_len < 2)
        return -EINVAL;
    for (char *p = text; *p;) {
        char *word = p, *end = strchr(p, ' ');
        p = end ? end + 1 : word + strlen(word);
        if (end)
            *end = 0;
        if (!*word)
            continue;
        *error = word;
        char *eq = strchr(word, '=');
        if (!eq) {
            if (strchr(word, '.'))
                continue;
            return -EINVAL;
        }
        *eq = 0;
        bool arg = !strcmp(word, "arg"), env = !strcmp(word, "env");
        if (!percent_decode(eq + 1)) {
            *eq = '=';
            return -EINVAL;
        }
        if (arg || env) {
            if (argc + envc + 3 > storage_len) {
                *error = "too many words";
                return -E2BIG;
            }
            if (arg)
                storage[argc++] = eq + 1;
            else
                storage[storage_len - 2 - envc++] = eq + 1;
        } else if (!parse_word(word, eq + 1, out)) {
            *eq = '=';
            return -EINVAL;
        }
    }
    storage[argc] = NULL;
    storage[storage_len - 1] = NULL;
    // The environment was stored backwards: turn it round.
    const char **e = &storage[storage_len - 1 - envc];
    for (size_t i = 0; i < envc / 2; i++) {
        const char *t = e[i];
        e[i] = e[envc - 1 - i];
        e[envc - 1 - i] = t;
    }
    out->argv = storage;
    out->argc = (unsigned)argc;
    out->envp = e;
    out->envc = (unsigned)envc;
    return 0;
}
