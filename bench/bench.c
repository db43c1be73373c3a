// SPDX-License-Identifier: ISC
// The benchmark driver (docs/performance.md): every group of cases on every platform in turns,
// native first, round after round, so that all of them meet the same machine.
//
//   bench [--quick|--smoke] [--platforms "process kvm qemu"] [--cases "nginx redis ..."]
//         [--rounds N] [--seconds S] [--nice N] --out build/bench [--tree TREE]
//
// native is always among the platforms; qemu brings linux-guest with it. --tree is the tree whose
// build/bin/lith is measured. --nice -15 puts client and servers before what else the machine does.
#include "bench/bench.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *const platform_names[PLATFORMS] = {"native", "process", "kvm", "qemu", "linux-guest"};

struct options options = {
    .mode = "full",
    .rounds = 7,
    .limit_s = 3600,
    .seconds = 3,
    .starts = 5,
    .instances = 50,
    .speed_size = 20,
    .call_s = 1,
};

// A group is what shares a server, or a program.
static const struct group {
    const char *name;
    int (*turn)(enum platform platform);
    enum { EACH_ROUND, ONCE, ASKED } when; // ASKED: once, and only if named
} groups[] = {
    {"nginx", load_nginx, EACH_ROUND},
    {"redis", load_redis, EACH_ROUND},
    {"udp", load_udp, EACH_ROUND},
    {"speedtest1", alone_speedtest, EACH_ROUND},
    {"calls", alone_calls, EACH_ROUND},
    {"start", alone_start, EACH_ROUND},
    {"memory", alone_memory_one, EACH_ROUND},
    {"memory", alone_memory_many, ONCE},
    {"sizes", alone_sizes, ONCE},
    {"profile", load_profile_nginx, ASKED},
    {"profile-redis", load_profile_redis, ASKED},
};

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ' || at[-1] == ',') &&
            (at[length] == 0 || at[length] == ' ' || at[length] == ','))
            return true;
    return false;
}

static void set_platforms(const char *words)
{
    for (int p = 0; p < PLATFORMS; p++)
        options.wanted[p] = p == NATIVE || has_word(words, platform_names[p]);
    options.wanted[LINUX_GUEST] |= options.wanted[QEMU];
}

static int parse(int argc, char *argv[])
{
    static const struct option long_options[] = {
        {"quick", no_argument, NULL, 'q'},           {"smoke", no_argument, NULL, 'x'},
        {"platforms", required_argument, NULL, 'p'}, {"cases", required_argument, NULL, 'c'},
        {"rounds", required_argument, NULL, 'r'},    {"seconds", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'},       {"tree", required_argument, NULL, 't'},
        {"nice", required_argument, NULL, 'n'},      {NULL, 0, NULL, 0},
    };
    int option;
    set_platforms("process kvm");
    options.tree = ".";
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'q':
            options.mode = "quick";
            options.limit_s = 300;
            options.rounds = 3;
            options.seconds = 1;
            options.starts = 3;
            options.speed_size = 5;
            options.call_s = 0.1;
            break;
        case 'x':
            options.mode = "smoke";
            options.limit_s = 200;
            options.rounds = 1;
            options.seconds = 0.2;
            options.starts = 1;
            options.instances = 2;
            options.speed_size = 1;
            options.call_s = 0.02;
            break;
        case 'p':
            set_platforms(optarg);
            break;
        case 'c':
            options.cases = optarg;
            break;
        case 'r':
            options.rounds = atoi(optarg);
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'o':
            options.out = realpath(optarg, NULL);
            break;
        case 'n':
            options.nice = atoi(optarg);
            break;
        case 't':
            options.tree = optarg;
            break;
        default:
            return -1;
        }
    }
    options.tree = realpath(options.tree, NULL);
    if (optind != argc || !options.out || !options.tree || options.rounds < 1 ||
        options.rounds > ROUNDS_MAX || !(options.seconds > 0) || options.seconds > 60)
        return -1;
    return 0;
}

static void set_environment(void)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/../tests/store", options.out); // bench/prepare.sh filled it
    setenv("XDG_DATA_HOME", path, 1);
    snprintf(path, sizeof(path), "%s/build/kernel/lith", options.tree);
    setenv("LITH_KERNEL", path, 1);
    setenv("LITH_QEMU_ACCEL", "tcg", 1);
    setlinebuf(stdout);
}

static void introduce(void)
{
    double load[3] = {0};
    char date[32];
    time_t now = time(NULL);
    getloadavg(load, 3);
    options.busy_before = -core_busy_s(SERVER_CORE) - core_busy_s(CLIENT_CORE);
    sleep(1);
    options.busy_before += core_busy_s(SERVER_CORE) + core_busy_s(CLIENT_CORE);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime(&now));
    printf("bench (%s): %d rounds, loads of %g s, server on core %d, client on core %d; load %.2f, "
           "%s\n",
           options.mode, options.rounds, options.seconds, SERVER_CORE, CLIENT_CORE, load[0], date);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        note("one core only: client and server share it");
    if (options.nice)
        note("client and servers ran at nice %d", options.nice);
    if (options.busy_before > 0.1)
        note("this machine does something else too: %.0f %% of two cores before the start, load "
             "%.2f",
             options.busy_before * 50, load[0]);
    for (int p = 0; p < PLATFORMS; p++) {
        const char *why = options.wanted[p] ? world_missing((enum platform)p) : NULL;
        if (why) {
            note("%s skipped: %s", platform_names[p], why);
            options.wanted[p] = false;
        }
    }
}

int main(int argc, char *argv[])
{
    static bool given_up[PLATFORMS][sizeof(groups) / sizeof(groups[0])];
    int64_t start = now_ns();
    int failed_turns = 0;
    if (parse(argc, argv) < 0) {
        fprintf(stderr, "usage: bench [--quick|--smoke] [--platforms WORDS] [--cases WORDS] "
                        "[--rounds N] [--seconds S] [--nice N] [--tree TREE] --out FOLDER\n");
        return 2;
    }
    set_environment();
    if (world_enter() < 0)
        return 1;
    if (options.nice && setpriority(PRIO_PROCESS, 0, options.nice) < 0)
        perror("bench: nice");
    introduce();
    for (int round = 0; round < options.rounds; round++) {
        fprintf(stderr, "bench: round %d of %d, %.0f s so far\n", round + 1, options.rounds,
                (double)(now_ns() - start) / 1e9);
        for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
            if ((groups[g].when != EACH_ROUND && round + 1 < options.rounds) ||
                (options.cases ? !has_word(options.cases, groups[g].name)
                               : groups[g].when == ASKED))
                continue;
            for (int p = 0; p < PLATFORMS; p++) {
                if (!options.wanted[p] || given_up[p][g] || groups[g].turn((enum platform)p) == 0)
                    continue;
                note("%s on %s failed in round %d and was not tried again", groups[g].name,
                     platform_names[p], round + 1);
                given_up[p][g] = true;
                failed_turns++;
            }
        }
    }
    if (report() < 0)
        return 1;
    printf("%.0f s\n", (double)(now_ns() - start) / 1e9);
    return failed_turns ? 1 : 0;
}
