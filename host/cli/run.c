// SPDX-License-Identifier: ISC
// `lith run`: the image's configuration and the flags become a boot configuration and a machine.
// Nothing is done here that is not needed before the machine starts: this path is part of every
// instance's start time.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/boot.h"
#include "cli/cli.h"

#define MEM_DEFAULT  (128ull << 20)
#define MEM_MIN      (4ull << 20) // the kernel and its tables do not fit below
#define MEM_LINKED   (1ull << 20) // a linked program's may
#define MEM_MAX      (1ull << 40)
#define USER_IP      0x0a00020fu // 10.0.2.15, as QEMU's user networking has it
#define USER_GATEWAY 0x0a000202u
#define USER_DNS     0x0a000203u
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_FILE_MAX (1u << 20)

struct run_options {
    bool allow_jit; // programs may make memory writable and executable at once
    struct instance in;
    struct words env; // NAME=VALUE from -e and --env-file, in order
    const char *workdir, *user, *hostname, *entrypoint, *log;
    uint32_t dns[RUN_DNS_MAX];
    unsigned dns_count;
    bool has_mac;
};

// Adds NAME=VALUE, or NAME with this process's value (nothing if it has none), replacing an older
// one.
static void env_add(struct words *env, const char *entry)
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

static bool env_has(const struct words *env, const char *name)
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
            env_add(env, line);
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
    if (r < 0 || *bytes < MEM_LINKED || *bytes > MEM_MAX)
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
        return port_parse(value, &in->ports[in->port_count++], e);
    case 'e':
        if (*value == 0 || *value == '=')
            return err_set(e, -EINVAL, "-e '%.40s': not NAME=VALUE", value);
        env_add(&o->env, value);
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

static int options_parse(struct run_options *o, int argc, char *argv[])
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

// What networks need that flags did not say.
static int net_defaults(struct run_options *o, struct err *e)
{
    struct instance *in = &o->in;
    // A privileged user's TUNSETIFF would make a device that leads nowhere.
    if (in->net == NET_TAP && if_nametoindex(in->tap) == 0)
        return err_set(e, -ENODEV,
                       "there is no tap device %s; make it with: ip tuntap add %s mode tap, "
                       "ip link set %s up",
                       in->tap, in->tap, in->tap);
    if (!o->has_mac) {
        static const uint8_t oui[3] = {0x52, 0x54, 0x00};
        memcpy(in->mac, oui, 3);
        if (getrandom(in->mac + 3, 3, 0) != 3)
            return err_sys(e, -errno, "no random numbers");
    }
    if (in->net == NET_USER) {
        if (in->ip == 0) {
            in->ip = USER_IP;
            in->prefix = 24;
        }
        uint32_t mask = in->prefix == 32 ? UINT32_MAX : ~(UINT32_MAX >> in->prefix);
        if (in->gateway == 0)
            in->gateway =
                (in->ip & mask) == (USER_GATEWAY & mask) ? USER_GATEWAY : (in->ip & mask) + 1;
        if (in->gateway == in->ip)
            in->gateway++;
    }
    return 0;
}

// A linked program is the only one that its image can start.
static int linked_check(const struct run_options *o, const struct launch *l, char *args[],
                        struct err *e)
{
    const struct words *from = l->entrypoint.n ? &l->entrypoint : &l->cmd;
    const char *program = from->n ? from->v[0] : "", *wanted = program;
    if (o->entrypoint != NULL)
        wanted = *o->entrypoint ? o->entrypoint : *args ? *args : "";
    else if (l->entrypoint.n == 0 && *args != NULL)
        wanted = *args;
    return strcmp(program, wanted) == 0
               ? 0
               : err_set(e, -EINVAL,
                         "cannot start %.200s: %.200s is linked with the kernel and is the only "
                         "program there is%s",
                         *wanted ? wanted : "nothing", program,
                         o->entrypoint ? "; leave out --entrypoint"
                                       : "; an image whose program takes arguments names it in "
                                         "ENTRYPOINT, not CMD");
}

static int config_argv(struct run_options *o, const struct launch *l, char *args[],
                       struct bootconfig *b, struct err *e)
{
    unsigned words = 0;
    if (l->linked && linked_check(o, l, args, e) < 0)
        return -EINVAL;
    if (o->entrypoint == NULL) {
        for (size_t i = 0; i < l->entrypoint.n; i++, words++)
            bootconfig_add(b, "arg", l->entrypoint.v[i]);
    } else if (*o->entrypoint) { // an empty one takes the image's away
        bootconfig_add(b, "arg", o->entrypoint);
        words++;
    }
    if (*args == NULL && o->entrypoint == NULL)
        for (size_t i = 0; i < l->cmd.n; i++, words++)
            bootconfig_add(b, "arg", l->cmd.v[i]);
    for (; *args != NULL; args++, words++)
        bootconfig_add(b, "arg", *args);
    return words ? 0
                 : err_set(e, -EINVAL,
                           "no command specified: the image has neither ENTRYPOINT nor CMD; name a "
                           "program "
                           "behind the image");
}

static void config_env(struct run_options *o, const struct launch *l, struct bootconfig *b)
{
    struct words env = {0};
    for (size_t i = 0; i < l->env.n; i++)
        if (strchr(l->env.v[i], '=') != NULL)
            env_add(&env, l->env.v[i]);
    for (size_t i = 0; i < o->env.n; i++)
        env_add(&env, o->env.v[i]);
    if (!env_has(&env, "PATH"))
        env_add(&env, "PATH=" DEFAULT_PATH);
    if (!env_has(&env, "HOSTNAME"))
        words_add(&env, xasprintf("HOSTNAME=%s", o->hostname ? o->hostname : "lith"));
    if (!env_has(&env, "HOME"))
        words_add(&env, xasprintf("HOME=%s", l->home));
    for (size_t i = 0; i < env.n; i++)
        bootconfig_add(b, "env", env.v[i]);
}

static void add_ipv4(struct bootconfig *b, const char *key, uint32_t a)
{
    bootconfig_addf(b, key, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void config_net(struct run_options *o, struct bootconfig *b)
{
    const struct instance *in = &o->in;
    if (in->net == NET_NONE)
        return;
    if (in->ip == 0)
        bootconfig_add(b, "ip", "dhcp");
    else
        bootconfig_addf(b, "ip", "%u.%u.%u.%u/%u", in->ip >> 24, in->ip >> 16 & 255,
                        in->ip >> 8 & 255, in->ip & 255, in->prefix);
    if (in->gateway)
        add_ipv4(b, "gw", in->gateway);
    for (unsigned i = 0; i < o->dns_count; i++)
        add_ipv4(b, "dns", o->dns[i]);
}

static int config_compose(struct run_options *o, const struct launch *l, char *args[],
                          struct err *e)
{
    struct bootconfig *b = &o->in.config;
    const char *workdir = o->workdir ? o->workdir : l->cwd;
    int r = config_argv(o, l, args, b, e);
    if (r < 0)
        return r;
    config_env(o, l, b);
    if (workdir != NULL && strcmp(workdir, "/") != 0)
        bootconfig_add(b, "cwd", workdir);
    if (l->uid)
        bootconfig_addf(b, "uid", "%u", (unsigned)l->uid);
    if (l->gid)
        bootconfig_addf(b, "gid", "%u", (unsigned)l->gid);
    if (o->hostname)
        bootconfig_add(b, "hostname", o->hostname);
    config_net(o, b);
    if (o->in.boot_chart)
        bootconfig_add(b, "chart", "1");
    o->in.allow_jit = o->allow_jit;
    if (o->allow_jit)
        bootconfig_add(b, "wx", "1");
    if (o->log)
        bootconfig_add(b, "log", o->log);
    return bootconfig_finish(b, e);
}

// The image's two files; the root file system's size checked against what the image says.
static int files_check(struct instance *in, const struct launch *l, struct err *e)
{
    const char *kernel = l->linked ? NULL : getenv("LITH_KERNEL");
    struct stat st;
    if (l->dir == NULL) { // a program by itself
        in->kernel = xstrdup(l->entrypoint.v[0]);
        return 0;
    }
    in->root = xasprintf("%s/root.erofs", l->dir);
    in->kernel = kernel && *kernel ? xstrdup(kernel) : xasprintf("%s/kernel", l->dir);
    if (stat(in->root, &st) < 0 || (uint64_t)st.st_size != l->root_size || st.st_size == 0)
        return err_set(
            e, -EBADMSG,
            "the image is damaged: %s is missing or has another size; remove the image with "
            "`lith rmi` and make it again",
            in->root);
    in->root_size = l->root_size;
    if (access(in->kernel, R_OK) < 0)
        return err_sys(e, -errno, "cannot read the kernel %s", in->kernel);
    if (l->linked && !(l->flags & LITH_PROGRAM_FILES)) { // it could not look at it
        free(in->root);
        in->root = NULL;
        in->root_size = 0;
    }
    return 0;
}

// What the program cannot use is not started; what cannot work is an error now.
static int program_check(struct run_options *o, const struct launch *l, int *net_fd, struct err *e)
{
    struct instance *in = &o->in;
    if (!l->linked && in->mem_bytes < MEM_MIN)
        return err_set(e, -ERANGE,
                       "-m: memory must be at least 4M for programs that are not linked with the "
                       "kernel");
    if (!l->linked || (l->flags & LITH_PROGRAM_NETWORK))
        return 0;
    if (in->port_count)
        return err_set(e, -EINVAL, "-p: %.200s uses no network: its kernel has none linked",
                       l->entrypoint.n ? l->entrypoint.v[0] : "the program");
    in->net = NET_NONE;
    if (*net_fd >= 0)
        close(*net_fd); // passt ends by itself; it is not missed
    *net_fd = -1;
    in->passt = 0;
    return 0;
}

// Without KVM the launch text is read first (`l`): programs that were linked with the kernel before
// it could be a process do not run as one.
static int platform_choose(struct instance *in, const struct launch *l, struct err *e)
{
    const char *why;
    if (in->platform == PLATFORM_KVM && !kvm_usable(&why))
        return err_set(e, -ENODEV,
                       "KVM is not usable here (%s); --platform process and qemu work without",
                       why);
    bool old = l->linked && !(l->flags & LITH_PROGRAM_PROCESS);
    if (in->platform == PLATFORM_PROCESS && old)
        return err_set(e, -ENOTSUP,
                       "--platform process: the program was linked by an older lith-cc, for kvm "
                       "and qemu only; link it again");
    if (in->platform == PLATFORM_PROCESS && !process_usable(&why))
        return err_set(e, -ENODEV, "--platform process does not work here: %s", why);
    if (in->platform == PLATFORM_AUTO)
        in->platform = !old && process_usable(&why) ? PLATFORM_PROCESS : PLATFORM_QEMU;
    return 0;
}

int cmd_run(int argc, char *argv[])
{
    static struct run_options o = {.in = {.mem_bytes = MEM_DEFAULT}};
    struct err e = {""};
    start_note_clocks();
    int status = options_parse(&o, argc, argv);
    if (status != 0)
        return status;
    bool forward_dns = false, program = program_named(argv[optind]);
    int net_fd = -1, r = 0;
    struct launch l = {0};
    o.in.label = argv[optind];
    if (program) {
        r = program_load(argv[optind], o.user, &l, &e);
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = net_defaults(&o, &e);
    if (r == 0 && o.in.net == NET_USER && o.dns_count == 0) {
        forward_dns = true;
        o.dns[o.dns_count++] = USER_DNS;
    }
    const char *why;
    if (o.in.platform == PLATFORM_AUTO && kvm_usable(&why))
        o.in.platform = PLATFORM_KVM;
    bool loaded = program;
    if (r == 0 && !loaded && o.in.platform != PLATFORM_KVM) {
        r = launch_load(argv[optind], o.user, &l, &e);
        loaded = true;
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = platform_choose(&o.in, &l, &e);
    // passt first: it takes longest to start. It ends with this process if something else fails.
    if (r == 0 && o.in.net == NET_USER) {
        r = ports_check(&o.in, &e);
        if (r == 0)
            r = passt_start(&o.in, forward_dns, &net_fd, &e);
    }
    if (r == 0 && !loaded) {
        r = launch_load(argv[optind], o.user, &l, &e);
        if (r == 0)
            r = program_check(&o, &l, &net_fd, &e);
    }
    if (r == 0)
        r = files_check(&o.in, &l, &e);
    if (r == 0)
        r = config_compose(&o, &l, argv + optind + 1, &e);
    if (r == 0 && o.in.platform != PLATFORM_QEMU)
        r = start_monitor(&o.in, net_fd, &e);
    else if (r == 0)
        r = start_qemu(&o.in, net_fd, &status, &e);
    return r < 0 ? tool_fail(&e) : status;
}
