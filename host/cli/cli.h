// SPDX-License-Identifier: ISC
// The commands of `lith`: one file per command (or per pair that belongs together), one table.
// A command's function gets argv with its own name first and returns the exit status: EXIT_TOOL
// when the tool itself failed, else 0 or, for `run`, the program's.
#ifndef LITH_HOST_CLI_CLI_H
#define LITH_HOST_CLI_CLI_H

#include <stdint.h>

#include "common/common.h"

struct command {
    const char *name;
    int (*run)(int argc, char *argv[]); // NULL: lith-image does it
    const char *usage;                  // behind "lith NAME "
    const char *summary;
    const char *help; // option lines and whatever else `lith help NAME` says; "" for none
};
extern const struct command commands[];

int cmd_help(int argc, char *argv[]);
int cmd_run(int argc, char *argv[]);
int cmd_stats(int argc, char *argv[]);
int cmd_version(int argc, char *argv[]);

// Everything that starting an instance needs, decided and checked.
#define RUN_PORTS_MAX 64
#define RUN_DNS_MAX   4

struct port {
    char host_ip[16]; // "" = all addresses
    uint16_t host, guest;
    bool udp;
};

enum net_mode { NET_USER, NET_TAP, NET_NONE };
enum platform { PLATFORM_AUTO, PLATFORM_KVM, PLATFORM_PROCESS, PLATFORM_QEMU };

struct instance {
    enum platform platform; // never AUTO once started
    enum net_mode net;
    char tap[16]; // interface name
    uint8_t mac[6];
    uint32_t ip, gateway; // host byte order; 0: not given
    unsigned prefix;
    struct port ports[RUN_PORTS_MAX];
    unsigned port_count;
    uint64_t mem_bytes;
    bool boot_chart, allow_jit, stats; // stats: its counters are printed at its end
    const char *label;                 // image or program, as the user named it
    char *kernel, *root;               // files; root NULL: none
    uint64_t root_size;
    pid_t passt; // 0: not started
    struct bootconfig config;
};

// What the store says about an image (store/store.h, launch texts).
struct words {
    char **v;
    size_t n;
};
void words_add(struct words *w, char *owned);

struct launch {
    char *dir, *home, *cwd; // cwd may be NULL
    uint64_t root_size, uid, gid;
    struct words entrypoint, cmd, env;
    bool linked; // the image's kernel is the program (link mode); flags: LITH_PROGRAM_*
    uint64_t flags;
};
// `user`: whom to resolve instead of the image's USER, or NULL.
int launch_load(const char *image, const char *user, struct launch *l, struct err *e);

// Does the argument behind `run` name a file, and not an image? "./x", "/x", and "x/y" where that
// is a linked program.
bool program_named(const char *arg);
// What to run when it does: a program of link mode, which is its own kernel. `user`: numbers only.
int program_load(const char *path, const char *user, struct launch *l, struct err *e);

// Starts passt for this instance. *fd is our end of its stream, close-on-exec. `has_dns`: give the
// guest a name server at 10.0.2.3 that forwards to this host's.
int passt_start(struct instance *in, bool has_dns, int *fd, struct err *e);
// Whether the ports can be bound; the error names the one that cannot.
int ports_check(const struct instance *in, struct err *e);

// Notes a moment on the TSC and CLOCK_MONOTONIC, early: platform process measures the TSC's rate
// from there.
void start_note_clocks(void);
// Becomes lith-monitor (platforms kvm and process). Returns only on failure.
int start_monitor(struct instance *in, int net_fd, struct err *e);
// Runs QEMU to its end. *status is the exit status for our caller.
int start_qemu(struct instance *in, int net_fd, int *status, struct err *e);

#endif
