// SPDX-License-Identifier: ISC
// `lith stats`: how an instance's counters (abi/stats.h) get from its memory file to the screen.
//   stats_file.c    makes the file, for `lith run`
//   stats_find.c    the instances of this host that the user may look into, and what /proc says
//   stats_parse.c   what the bytes in their files mean; all of them are hostile
//   stats_print.c   table, list of all counters, JSON
//   stats_run.c     `lith run --stats`
// Functions return 0 or -errno where nothing else is said.
#ifndef LITH_HOST_CLI_STATS_H
#define LITH_HOST_CLI_STATS_H

#include <sys/types.h>

#include "abi/stats.h"
#include "common/common.h"

#define STATS_KVM_MAX  96 // counters of KVM's own; Linux 6.18 has 47
#define STATS_KVM_NAME 48
#define STATS_KVM_FILE 65536u // bytes of KVM's file that are looked at

struct stats_kvm {
    unsigned count; // 0: not there, or not ours to read
    struct {
        char name[STATS_KVM_NAME]; // [a-z0-9_]+
        uint64_t value;
    } item[STATS_KVM_MAX];
};

struct stats_instance {
    pid_t pid;
    uint64_t at_ns, up_ns;  // CLOCK_MONOTONIC of the look; how long it has run
    uint64_t cpu_ns;        // of its process and that one's children (passt, QEMU)
    uint64_t private_bytes; // memory of the same processes
    uint64_t pss_bytes;
    struct lith_stats host; // label: printable ASCII; platform: one that there is
    bool has_guest;
    struct lith_stats_guest guest;
    struct stats_kvm kvm;
};

// --- stats_file.c ---
// The file for an instance about to start; a descriptor that is closed by exec.
int stats_create(enum lith_stats_platform platform, const char *label, uint64_t mem_bytes,
                 struct err *e);

// --- stats_parse.c ---
// Takes the file's bytes (any). -EBADMSG: these are no counters, or of another version.
int stats_parse(const uint8_t *bytes, size_t len, struct stats_instance *out);
// KVM's binary statistics (Documentation/virt/kvm/api.rst, 4.133): only what counts up, once.
int stats_parse_kvm(const uint8_t *bytes, size_t len, struct stats_kvm *out);

// --- stats_find.c ---
// Those that run, by pid; *found is the caller's. `only`: this pid, or 0. `more` adds what takes
// longer to ask for (memory).
int stats_find(pid_t only, bool more, struct stats_instance **found, size_t *count, struct err *e);

// --- stats_print.c ---
// What was counted since `before`, or with NULL since the start.
struct stats_change {
    const struct stats_instance *now, *before;
    double seconds;
};
struct stats_change stats_change(const struct stats_instance *now,
                                 const struct stats_instance *before);
uint64_t stats_exits(const struct stats_instance *i); // of KVM_RUN; platform process: host calls
void stats_table(struct buf *out, const struct stats_change *changes, size_t count);
void stats_detail(struct buf *out, const struct stats_change *change);
void stats_json(struct buf *out, const struct stats_change *changes, size_t count);

// --- stats_run.c ---
// Goes on in a child, which becomes the instance; returns 0 there. The parent waits for its end,
// prints its counters to standard error and exits with its status.
int stats_run(int stats_fd, int net_fd, struct err *e);
// The same for a caller that has waited itself: prints the counters of the instance `pid`, which
// began at start_ns (CLOCK_MONOTONIC) and is a child of ours that has ended.
void stats_end(int stats_fd, pid_t pid, uint64_t start_ns);
uint64_t stats_now_ns(void); // CLOCK_MONOTONIC

#endif
