// SPDX-License-Identifier: ISC
// The parts of `lith run`: flags (run_options.c), the boot configuration (run_config.c), and what
// is done with them (run.c).
#ifndef LITH_HOST_CLI_RUN_H
#define LITH_HOST_CLI_RUN_H

#include "cli/cli.h"

#define RUN_MEM_LINKED (1ull << 20) // the least memory; only for a linked program

struct run_options {
    bool allow_jit; // programs may make memory writable and executable at once
    struct instance in;
    struct words env; // NAME=VALUE from -e and --env-file, in order
    const char *workdir, *user, *hostname, *entrypoint, *log;
    uint32_t dns[RUN_DNS_MAX];
    unsigned dns_count;
    bool has_mac;
};

// Reads the flags; argv[optind] is then the image or program. 0, or an exit status after a message.
int run_options_parse(struct run_options *o, int argc, char *argv[]);
// Writes o->in.config from flags, image and the words behind it. 0 or -errno.
int run_config_compose(struct run_options *o, const struct launch *l, char *args[], struct err *e);

// Adds NAME=VALUE, or NAME with this process's value (nothing if it has none), replacing an older
// one.
void run_env_add(struct words *env, const char *entry);
bool run_env_has(const struct words *env, const char *name);

#endif
