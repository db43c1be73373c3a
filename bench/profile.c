// SPDX-License-Identifier: ISC
// Where a server's time goes under nginx-small and under redis-get-p1: `make bench CASES=profile`
// (`profile-redis`) leaves build/bench/profile.APP.PLATFORM.txt, by perf's samples of the server's
// own processes: first by file (their text, libraries, the host's kernel), then by function with
// all that it calls.
#include "bench/bench.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROFILE_S 3

struct profiled {
    const struct app *app;
    int (*load)(const struct server *server, double seconds, double *requests);
};

static int report_by(FILE *f, const char *sort)
{
    static char text[1 << 17];
    struct command c = {0};
    command_words(&c, "perf report --stdio -q -g none --percent-limit 0.7");
    command_words(&c, sort);
    command_add(&c, "-i");
    command_add(&c, "%s/perf.data", options.out);
    if (capture(c.argv, CLIENT_CORE, false, 100, text, sizeof(text)) != 0)
        return -1;
    return fprintf(f, "%s\n%s\n", sort, text) < 0 ? -1 : 0;
}

// Tracepoints of the host's KVM while the load runs once more. Which exist, and which are hit,
// depends on the host: KVM-PVM has no kvm_exit.
static int count_exits(FILE *f, const struct profiled *what, const struct server *server,
                       const char *pids)
{
    static char text[1 << 14];
    struct command c = {0};
    char path[512];
    double requests = 0, events;
    pid_t perf;
    FILE *log;
    snprintf(path, sizeof(path), "%s/perf.stat", options.out);
    command_words(&c,
                  "perf stat -x, -e "
                  "kvm:kvm_exit,kvm:kvm_userspace_exit,kvm:kvm_vcpu_wakeup,kvm:kvm_hypercall -p");
    command_add(&c, "%s", pids);
    command_add(&c, "-o");
    command_add(&c, "%s", path);
    command_words(&c, "sleep");
    command_add(&c, "%d", PROFILE_S + 1); // all of the load
    perf = spawn(c.argv, CLIENT_CORE, false, NULL, NULL);
    usleep(500000);
    if (what->load(server, PROFILE_S, &requests) != 0)
        requests = 0;
    sleep(2);
    end_process(perf, 5);
    log = fopen(path, "re");
    fprintf(f, "tracepoints of KVM per request (%.0f requests)\n", requests);
    while (log && requests > 0 && fgets(text, sizeof(text), log)) {
        char *name = strstr(text, "kvm:");
        if (!name || text[0] < '0' || text[0] > '9')
            continue;
        events = atof(text);
        fprintf(f, "  %8.4f  %.*s\n", events / requests, (int)strcspn(name, ","), name);
    }
    if (log)
        fclose(log);
    return requests > 0 ? 0 : -1;
}

static int profile(const struct profiled *what, enum platform platform)
{
    struct server server;
    struct command c = {0};
    char path[512], list[512] = "";
    pid_t pids[32], perf;
    double requests;
    int count, bad;
    FILE *f;
    if (access("/usr/bin/perf", X_OK) != 0) {
        note("profile skipped: no perf");
        return -1;
    }
    // The kernel with its symbols: on the process machine they are then perf's, too.
    snprintf(path, sizeof(path), "%s/build/kernel/lith.debug", options.tree);
    if (access(path, R_OK) == 0)
        setenv("LITH_KERNEL", path, 1);
    if (server_start(&server, platform, what->app) < 0)
        return -1;
    bad = what->load(&server, 1, &requests);
    count = server_processes(&server, pids, 32);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%d", i ? "," : "", pids[i]);
    }
    command_words(&c, "perf record -q -g -e cpu-clock -F 2000 -o");
    command_add(&c, "%s/perf.data", options.out);
    command_add(&c, "-p");
    command_add(&c, "%s", list);
    command_add(&c, "sleep");
    command_add(&c, "%d", PROFILE_S - 1);
    snprintf(path, sizeof(path), "%s/perf.log", options.out);
    perf = spawn(c.argv, CLIENT_CORE, false, path, NULL);
    bad |= what->load(&server, PROFILE_S, &requests);
    sleep(1);
    end_process(perf, 5);
    snprintf(path, sizeof(path), "%s/profile.%s.%s.txt", options.out, what->app->name,
             platform_names[platform]);
    f = fopen(path, "we");
    // While the server lives: its symbols may be in a map of its own.
    if (!f || report_by(f, "--no-children -s dso") < 0 ||
        report_by(f, "--no-children -s dso,symbol") < 0 || report_by(f, "--children -s symbol") < 0)
        bad = -1;
    if (f && platform == KVM)
        bad |= count_exits(f, what, &server, list);
    if (f)
        fclose(f);
    server_stop(&server);
    printf("profile: %s\n", path);
    return bad;
}

int load_profile_nginx(enum platform platform)
{
    return profile(&(struct profiled){&app_nginx, load_wrk_small}, platform);
}

int load_profile_redis(enum platform platform)
{
    return profile(&(struct profiled){&app_redis, load_redis_get}, platform);
}
