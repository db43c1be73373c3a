// SPDX-License-Identifier: ISC
// `lith run`: flags and image become the boot configuration.
#include <errno.h>
#include <string.h>

#include "cli/run.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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
            run_env_add(&env, l->env.v[i]);
    for (size_t i = 0; i < o->env.n; i++)
        run_env_add(&env, o->env.v[i]);
    if (!run_env_has(&env, "PATH"))
        run_env_add(&env, "PATH=" DEFAULT_PATH);
    if (!run_env_has(&env, "HOSTNAME"))
        words_add(&env, xasprintf("HOSTNAME=%s", o->hostname ? o->hostname : "lith"));
    if (!run_env_has(&env, "HOME"))
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

int run_config_compose(struct run_options *o, const struct launch *l, char *args[], struct err *e)
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
