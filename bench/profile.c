// SPDX-License-Identifier: ISC
// Where a server's time goes under nginx-small: `make bench CASES=profile` leaves
// build/bench/profile.PLATFORM.txt, by perf's samples of the server's own processes: first by file
// (their text, libraries, the host's kernel), then by function with all that it calls.
#include "bench/bench.h"
#include <string.h>
#include <unistd.h>

#define PROFILE_S 3

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

int load_profile(enum platform platform)
{
    struct server server;
    struct command c = {0};
    char path[512], list[512] = "";
    pid_t pids[32], perf;
    int count, bad;
    FILE *f;
    if (access("/usr/bin/perf", X_OK) != 0) {
        note("profile skipped: no perf");
        return -1;
    }
    if (server_start(&server, platform, &app_nginx) < 0)
        return -1;
    bad = load_wrk_small(&server, 1);
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
    bad |= load_wrk_small(&server, PROFILE_S);
    sleep(1);
    end_process(perf, 5);
    snprintf(path, sizeof(path), "%s/profile.%s.txt", options.out, platform_names[platform]);
    f = fopen(path, "we");
    // While the server lives: its symbols may be in a map of its own.
    if (!f || report_by(f, "--no-children -s dso") < 0 ||
        report_by(f, "--no-children -s dso,symbol") < 0 || report_by(f, "--children -s symbol") < 0)
        bad = -1;
    if (f)
        fclose(f);
    server_stop(&server);
    printf("profile: %s\n", path);
    return bad;
}
