// SPDX-License-Identifier: ISC
// `make bench`: the same programs natively, in instances and (if asked for) in an emulated Linux
// guest, in turns. This header is the contract between the driver's files:
//   world.c   namespaces, wires, cores, starting and ending of servers and clients
//   load.c    the loads of servers: nginx, redis, UDP echo
//   alone.c   programs without a network, starts, memory, sizes
//   exits.c   what a request costs in exits and wake-ups
//   profile.c where a server spends its time, by perf
//   stats.c   samples, medians, the rule for ratios
//   report.c  table, results.json, history, data for the plots
// Functions return 0 or -1 (the reason was printed) where nothing else is said.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum platform { NATIVE, PROCESS, KVM, QEMU, LINUX_GUEST, PLATFORMS };

#define SERVER_CORE 0
#define CLIENT_CORE 1
#define ROUNDS_MAX  64
#define SAMPLES_MAX 64 // of one platform and metric
#define ADDRESS_MAX 20

struct options {
    bool wanted[PLATFORMS];
    const char *cases; // groups: words, or NULL for all
    const char *mode;  // "full", "quick", "smoke"
    int rounds;
    int limit_s;        // of the whole run
    double seconds;     // one load's
    int starts;         // starts per turn
    int nice;           // of client and servers
    int instances;      // of memory-50
    int speed_size;     // speedtest1 --size
    double call_s;      // one kind of call
    double busy_before; // of both cores, of 2, while nothing of ours ran
    const char *out;    // build/bench
    const char *tree;   // whose build/bin/lith is measured
};
extern struct options options;
extern const char *const platform_names[PLATFORMS];

// ---- world.c ----

struct server {
    pid_t pid; // 0: none
    enum platform platform;
    const char *name;
    char address[ADDRESS_MAX];
    char log[256];
};

// What can be started as a server, on every platform.
struct app {
    const char *name;
    const char *image;
    int port;               // TCP that tells when it is ready; 0: the log's first line does
    const char *guest_argv; // in the image, words; NULL: the image's own command
    const char *native_argv;
};

// Goes on in namespaces that vanish with this process. Only for root; to be called first.
int world_enter(void);
// Why a platform cannot be used here, or NULL.
const char *world_missing(enum platform platform);
int64_t now_ns(void);
double core_busy_s(int core);
void pin(int core);

// Starts an app pinned to the server's core and waits till it answers.
int server_start(struct server *server, enum platform platform, const struct app *app);
void server_stop(struct server *server);
// Its process and all descendants; returns how many (at most max).
int server_processes(const struct server *server, pid_t *pids, int max);
// Seconds that their threads have run so far.
double server_cpu_s(const struct server *server);

// The command (NULL-terminated) of an instance or a native program on this platform. `words` is
// scratch space for the strings. Returns the number of arguments.
#define ARGS_MAX 64
struct command {
    char *argv[ARGS_MAX];
    char text[4096];
    size_t used;
    int argc;
};
void command_add(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void command_words(struct command *command, const char *words);
// An instance on tap `tap` (NULL: no network) with address `address`; `image` may have
// options of run before it.
void command_instance(struct command *command, enum platform platform, const char *tap,
                      const char *address, const char *image, const char *argv);
void command_linux_guest(struct command *command, const char *tap, const char *argv);

// Runs a command on a core, in the native server's network namespace if `inside`. Standard error
// goes where standard output goes: to `log` if given, else to the returned pipe end *out.
pid_t spawn(char *const argv[], int core, bool inside, const char *log, int *out);
// Runs a command to its end; its output is in `text`. Returns its status, or -1 when time was up.
int capture(char *const argv[], int core, bool inside, double limit_s, char *text, size_t size);
void end_process(pid_t pid, double patience_s);
bool tcp_answers(const char *address, int port, int limit_ms);
// Waits till the monitor that ended has let go of the tap, or for its carrier to be up.
void tap_wait(const char *tap, bool carrier, double limit_s);

extern char world_native_ns[64]; // a path, for other programs
#define TAP         "bench0"
#define HOST_IP     "10.42.0.1"
#define INSTANCE_IP "10.42.0.2"
#define NATIVE_IP   "10.43.0.2"
#define MAC         "52:54:00:4c:49:54"

// ---- load.c, alone.c ----

extern const struct app app_nginx, app_redis, app_udp;
// One turn of a group on one platform.
int load_nginx(enum platform platform);
int load_redis(enum platform platform);
int load_udp(enum platform platform);
int load_profile_nginx(enum platform platform);
int load_profile_redis(enum platform platform);
// nginx-small's load without a figure: how many requests were answered.
int load_wrk_small(const struct server *server, double seconds, double *requests);
// redis-get-p1's likewise.
int load_redis_get(const struct server *server, double seconds, double *requests);
int alone_calls(enum platform platform);
int alone_speedtest(enum platform platform);
int alone_start(enum platform platform);
int alone_memory_one(enum platform platform);
int alone_memory_many(enum platform platform); // once in a run, not in each round
int alone_sizes(enum platform platform);       // once
// The answer times of one UDP echo so far: sorted, microseconds.
size_t load_udp_times(enum platform platform, const float **times);

// ---- exits.c ----

// The counters of an instance (`lith stats`); false where there are none.
struct exits {
    char text[16384];
};
bool exits_read(const struct server *server, struct exits *out);
// What they grew by during a load, per request.
void exits_sample(const struct server *server, const char *load, const struct exits *before,
                  const struct exits *after, double requests);

// ---- stats.c ----

struct series {
    char name[40]; // the case
    char metric[32];
    char unit[16];
    bool lower_better;
    double value[PLATFORMS][SAMPLES_MAX];
    int count[PLATFORMS];
};
// One value of one turn.
void sample(enum platform platform, const char *name, const char *metric, const char *unit,
            bool lower_better, double value);
// Something that was left out or went wrong: printed at once and again below the table.
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern struct series series[];
extern int series_count;
extern char notes[64][256];
extern int notes_count;

// The spread of a series is the distance of its quartiles by its median. A ratio is the median of
// the ratios of each round's pair of values, where all rounds have both.
#define SPREAD_MAX   0.20 // of either, for a ratio to be printed
#define ROUNDS_RATIO 3    // that have to be there
double median_of(const double *values, int count);
double spread_of(const double *values, int count); // NaN below three
// True and *ratio (higher is better) where a ratio to native may be told.
bool ratio_of(const struct series *s, enum platform platform, double *ratio);

// ---- report.c ----
int report(void);
