// SPDX-License-Identifier: ISC
// `lith run`: its flags.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"

#define MEM_MAX      (1ull << 40)
#define ENV_FILE_MAX (1u << 20)

void run_env_add(struct words *env, const char *entry)
{
    size_t name = strcspn(entry, "=");
    char *full;
    if (entry[name] == '=') {
        full = xstrdup(entry);
    } else {
        const char *value = getenv(entry);
        if (value == NULL)
            return;
        full = xasprintf("%s=%s", entry, value);
    }
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->v[i], full, name + 1) == 0) {
            free(env->v[i]);
            env->v[i] = full;
            return;
        }
    }
    words_add(env, full);
}

bool run_env_has(const struct words *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, len) == 0 && env->v[i][len] == '=')
            return true;
    return false;
}

static int env_file(struct words *env, const char *path, struct err *e)
{
    char *text;
    size_t len;
    int r = file_read(AT_FDCWD, path, ENV_FILE_MAX, &text, &len);
    if (r < 0)
        return err_sys(e, r, "cannot read the environment file %s", path);
    unsigned number = 0;
    for (char *line = text, *next; r == 0 && line < text + len; line = next) {
        next = line + strcspn(line, "\n");
        *next++ = 0;
        number++;
        line += strspn(line, " \t");
        line[strcspn(line, "\r")] = 0;
        if (*line == 0 || *line == '#')
            continue;
        if (*line == '=' || strcspn(line, " \t") < strcspn(line, "="))
            r = err_set(e, -EINVAL, "%s:%u: not NAME=VALUE: %.60s", path, number, line);
        else
            run_env_add(env, line);
    }
    free(text);
    return r;
}

// [IP:]HOST:GUEST[/tcp|/udp]
static int port_parse(const char *s, struct port *p, struct err *e)
{
    char text[64];
    uint64_t host, guest;
    uint32_t addr;
    *p = (struct port){0};
    if (strlen(s) >= sizeof(text))
        goto invalid;
    strcpy(text, s);
    char *proto = strchr(text, '/');
    if (proto != NULL) {
        *proto++ = 0;
        p->udp = strcmp(proto, "udp") == 0;
        if (!p->udp && strcmp(proto, "tcp") != 0)
            goto invalid;
    }
    char *last = strrchr(text, ':');
    if (last == NULL)
        return err_set(e, -EINVAL, "-p %.60s: name the port of this host too: -p HOST:%.20s", s,
                       text);
    *last++ = 0;
    char *first = strrchr(text, ':');
    const char *host_text = first ? first + 1 : text;
    if (first != NULL) {
        *first = 0;
        if (parse_ipv4(text, &addr) < 0 || strlen(text) >= sizeof(p->host_ip))
            goto invalid;
        if (addr != 0)
            strcpy(p->host_ip, text);
    }
    if (parse_uint(host_text, 1, 65535, &host) < 0 || parse_uint(last, 1, 65535, &guest) < 0)
        goto invalid;
    p->host = (uint16_t)host;
    p->guest = (uint16_t)guest;
    return 0;
invalid:
    return err_set(e, -EINVAL,
                   "-p %.60s: not [IP:]HOST:GUEST[/tcp|/udp]; example: -p 127.0.0.1:8080:80", s);
}

static int port_add(struct instance *in, const char *value, struct err *e)
{
    struct port *p = &in->ports[in->port_count];
    int r = port_parse(value, p, e);
    if (r < 0)
        return r;
    for (const struct port *q = in->ports; q < p; q++)
        if (q->host == p->host && q->udp == p->udp &&
            (!*q->host_ip || !*p->host_ip || strcmp(q->host_ip, p->host_ip) == 0))
            return err_set(e, -EADDRINUSE, "-p %.60s: port %u of this host is given twice", value,
                           p->host);
    in->port_count++;
    return 0;
}

static int net_parse(const char *s, struct instance *in, struct err *e)
{
    if (strcmp(s, "user") == 0) {
        in->net = NET_USER;
    } else if (strcmp(s, "none") == 0) {
        in->net = NET_NONE;
    } else if (strncmp(s, "tap:", 4) == 0 && s[4] != 0 && strlen(s + 4) < sizeof(in->tap) &&
               strpbrk(s + 4, "/, ") == NULL) {
        in->net = NET_TAP;
        strcpy(in->tap, s + 4);
    } else {
        return err_set(e, -EINVAL, "--net %.60s: not user, tap:NAME or none", s);
    }
    return 0;
}

static int memory_parse(const char *s, uint64_t *bytes, struct err *e)
{
    int r = parse_size(s, bytes);
    if (r == -EINVAL)
        return err_set(e, r, "-m %.40s: not a size; examples: 64M, 1G", s);
    if (r < 0 || *bytes < RUN_MEM_LINKED || *bytes > MEM_MAX)
        return err_set(e, -ERANGE,
                       "-m %.40s: memory must be between 4M (linked programs: 1M) and 1T", s);
    *bytes = (*bytes + 4095) & ~4095ull;
    return 0;
}

enum {
    OPT_ENV_FILE = 256,
    OPT_HOSTNAME,
    OPT_ENTRYPOINT,
    OPT_NET,
    OPT_IP,
    OPT_MAC,
    OPT_GATEWAY,
    OPT_DNS,
    OPT_PLATFORM,
    OPT_BOOT_CHART,
    OPT_ALLOW_JIT,
    OPT_RM,
    OPT_STATS,
    OPT_LOG
};

static int option_set(struct run_options *o, int opt, const char *value, struct err *e)
{
    struct instance *in = &o->in;
    static const char *const platforms[] = {"auto", "kvm", "process", "qemu"};
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    switch (opt) {
    case 'p':
        if (in->port_count == RUN_PORTS_MAX)
            return err_set(e, -E2BIG, "more than %d ports", RUN_PORTS_MAX);
        return port_add(in, value, e);
    case 'e':
        if (*value == 0 || *value == '=')
            return err_set(e, -EINVAL, "-e '%.40s': not NAME=VALUE", value);
        run_env_add(&o->env, value);
        return 0;
    case OPT_ENV_FILE:
        return env_file(&o->env, value, e);
    case 'm':
        return memory_parse(value, &in->mem_bytes, e);
    case 'w':
        o->workdir = value;
        return value[0] == '/'
                   ? 0
                   : err_set(e, -EINVAL, "-w %.60s: the working directory must be absolute", value);
    case 'u':
        o->user = value;
        return 0;
    case OPT_HOSTNAME:
        o->hostname = value;
        if (strlen(value) > 64 ||
            strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") !=
                strlen(value) ||
            *value == 0)
            return err_set(e, -EINVAL,
                           "--hostname %.70s: letters, digits, '-' and '.' only, at most 64",
                           value);
        return 0;
    case OPT_ENTRYPOINT:
        o->entrypoint = value;
        return 0;
    case OPT_NET:
        return net_parse(value, in, e);
    case OPT_IP:
        if (parse_ipv4_prefix(value, &in->ip, &in->prefix) < 0)
            return err_set(e, -EINVAL, "--ip %.40s: not ADDR/PREFIX; example: 10.0.0.2/24", value);
        // 0/8, 224/4 and the broadcast address are nobody's.
        return in->ip >> 24 == 0 || in->ip >> 28 == 14 || in->ip == UINT32_MAX
                   ? err_set(e, -EINVAL, "--ip %.40s: no machine can have this address", value)
                   : 0;
    case OPT_GATEWAY:
        return parse_ipv4(value, &in->gateway) < 0
                   ? err_set(e, -EINVAL, "--gateway %.40s: not an IPv4 address", value)
                   : 0;
    case OPT_DNS:
        if (o->dns_count == RUN_DNS_MAX)
            return err_set(e, -E2BIG, "more than %d name servers", RUN_DNS_MAX);
        return parse_ipv4(value, &o->dns[o->dns_count++]) < 0
                   ? err_set(e, -EINVAL, "--dns %.40s: not an IPv4 address", value)
                   : 0;
    case OPT_MAC:
        o->has_mac = true;
        return parse_mac(value, in->mac) < 0 ? err_set(e, -EINVAL,
                                                       "--mac-address %.40s: not a unicast MAC "
                                                       "address; example: 52:54:00:12:34:56",
                                                       value)
                                             : 0;
    case OPT_PLATFORM:
        for (unsigned i = 0; i < 4; i++)
            if (strcmp(value, platforms[i]) == 0) {
                in->platform = (enum platform)i;
                return 0;
            }
        return err_set(e, -EINVAL, "--platform %.40s: not auto, kvm, process or qemu", value);
    case OPT_LOG:
        o->log = value;
        for (unsigned i = 0; i < 4; i++)
            if (strcmp(value, levels[i]) == 0)
                return 0;
        return err_set(e, -EINVAL, "--log %.40s: not error, warn, info or debug", value);
    case OPT_BOOT_CHART:
        in->boot_chart = true;
        return 0;
    case OPT_ALLOW_JIT:
        o->allow_jit = true;
        return 0;
    case OPT_STATS:
        in->stats = true;
        return 0;
    default: // --rm
        return 0;
    }
}

int run_options_parse(struct run_options *o, int argc, char *argv[])
{
    static const struct option options[] = {
        {"publish", required_argument, NULL, 'p'},
        {"env", required_argument, NULL, 'e'},
        {"env-file", required_argument, NULL, OPT_ENV_FILE},
        {"memory", required_argument, NULL, 'm'},
        {"workdir", required_argument, NULL, 'w'},
        {"user", required_argument, NULL, 'u'},
        {"hostname", required_argument, NULL, OPT_HOSTNAME},
        {"entrypoint", required_argument, NULL, OPT_ENTRYPOINT},
        {"net", required_argument, NULL, OPT_NET},
        {"network", required_argument, NULL, OPT_NET},
        {"ip", required_argument, NULL, OPT_IP},
        {"mac-address", required_argument, NULL, OPT_MAC},
        {"gateway", required_argument, NULL, OPT_GATEWAY},
        {"dns", required_argument, NULL, OPT_DNS},
        {"platform", required_argument, NULL, OPT_PLATFORM},
        {"boot-chart", no_argument, NULL, OPT_BOOT_CHART},
        {"allow-jit", no_argument, NULL, OPT_ALLOW_JIT},
        {"rm", no_argument, NULL, OPT_RM},
        {"stats", no_argument, NULL, OPT_STATS},
        {"log", required_argument, NULL, OPT_LOG},
        {0},
    };
    struct err e;
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "+:p:e:m:w:u:h:", options, NULL)) != -1) {
        if (opt == 'h')
            opt = OPT_HOSTNAME;
        if (opt == ':')
            return tool_usage("run", "run: %s needs a value", tool_option(argc, argv));
        if (opt == '?')
            return tool_usage(
                "run",
                "run: %s is not an option of lith (instances run in the foreground, without a "
                "terminal; volumes are not there yet)",
                tool_option(argc, argv));
        if (option_set(o, opt, optarg, &e) < 0)
            return tool_usage("run", "run: %s", e.text);
    }
    if (optind >= argc)
        return tool_usage("run", "run needs the name of an image or the path of a program");
    if (o->in.port_count && o->in.net != NET_USER)
        return tool_usage(
            "run",
            "run: -p needs --net user; on a tap, clients reach the instance by its own address");
    return 0;
}
