// SPDX-License-Identifier: ISC
// `lith stats`: what the running instances do. Rates need two looks, so an answer takes a second,
// unless rates since the start are good enough.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/stats.h"

#define INTERVAL_S 1.0

struct stats_options {
    bool json, since_start, watch;
    double interval_s;
    const char *which; // a pid, or a name; NULL: all
};

struct look {
    struct stats_instance *list;
    size_t count;
};

// "4711", or the name of the only instance that has it.
static int pid_find(const char *which, pid_t *pid, struct err *e)
{
    uint64_t number;
    struct look l;
    size_t matches = 0;
    struct buf pids = {0};
    if (parse_uint(which, 1, INT32_MAX, &number) == 0) {
        *pid = (pid_t)number;
        return 0;
    }
    int r = stats_find(0, false, &l.list, &l.count, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < l.count; i++) {
        const char *label = l.list[i].host.label, *slash = strrchr(label, '/');
        if (strcmp(label, which) != 0 && (slash == NULL || strcmp(slash + 1, which) != 0))
            continue;
        *pid = l.list[i].pid;
        matches++;
        buf_printf(&pids, " %d", *pid);
    }
    if (matches == 0)
        r = err_set(e, -ESRCH, "no running instance is named %.200s; `lith stats` lists them",
                    which);
    else if (matches > 1)
        r = err_set(e, -EEXIST, "%zu instances are named %.200s: take the process of one:%.300s",
                    matches, which, pids.data);
    buf_free(&pids);
    free(l.list);
    return r;
}

static const struct stats_instance *look_find(const struct look *l, const struct stats_instance *i)
{
    // The same process only: pids are used again.
    for (size_t n = 0; n < l->count; n++)
        if (l->list[n].pid == i->pid && l->list[n].up_ns <= i->up_ns)
            return &l->list[n];
    return NULL;
}

static void print(const struct stats_options *o, const struct look *before, const struct look *now)
{
    struct stats_change *changes = xcalloc(now->count + 1, sizeof(*changes));
    struct buf out = {0};
    for (size_t i = 0; i < now->count; i++)
        changes[i] = stats_change(&now->list[i], look_find(before, &now->list[i]));
    if (o->json)
        stats_json(&out, changes, now->count);
    else if (o->which)
        stats_detail(&out, changes);
    else
        stats_table(&out, changes, now->count);
    if (o->watch && !o->json)
        buf_puts(&out, "\n");
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    free(changes);
}

static int options_parse(struct stats_options *o, int argc, char *argv[])
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"since-start", no_argument, NULL, 's'},
        {"watch", optional_argument, NULL, 'w'},
        {"no-stream", no_argument, NULL, 'n'},
        {0},
    };
    int opt;
    char *end;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":w", options, NULL)) != -1) {
        if (opt == '?' || opt == ':')
            return tool_usage("stats", "stats: bad option %s", tool_option(argc, argv));
        o->json |= opt == 'j';
        o->since_start |= opt == 's';
        o->watch |= opt == 'w';
        if (opt != 'w' || optarg == NULL)
            continue;
        o->interval_s = strtod(optarg, &end);
        if (end == optarg || *end || !(o->interval_s >= 0.01 && o->interval_s <= 86400))
            return tool_usage("stats", "stats: --watch=%.40s: seconds from 0.01 to 86400", optarg);
    }
    if (argc - optind > 1)
        return tool_usage("stats", "stats takes one process or name");
    o->which = argv[optind];
    return 0;
}

static void sleep_s(double seconds)
{
    time_t whole = (time_t)seconds;
    struct timespec t = {whole, (long)((seconds - (double)whole) * 1e9)};
    nanosleep(&t, NULL);
}

int cmd_stats(int argc, char *argv[])
{
    struct stats_options o = {.interval_s = INTERVAL_S};
    struct look before = {0}, now = {0};
    struct err e = {""};
    pid_t pid = 0;
    int status = options_parse(&o, argc, argv), r = 0;
    if (status != 0)
        return status;
    if (o.which)
        r = pid_find(o.which, &pid, &e);
    // The first look is only for the rates.
    if (r == 0 && !o.since_start) {
        r = stats_find(pid, false, &before.list, &before.count, &e);
        if (r == 0 && before.count)
            sleep_s(o.interval_s);
    }
    for (bool again = false; r == 0; again = true) {
        r = stats_find(pid, true, &now.list, &now.count, &e);
        if (r < 0 && again) // what was watched has ended
            return 0;
        if (r < 0)
            break;
        print(&o, &before, &now);
        if (!o.watch || fflush(stdout) != 0)
            break;
        free(before.list);
        before = now;
        sleep_s(o.interval_s);
    }
    free(before.list);
    if (now.list != before.list)
        free(now.list);
    return r < 0 ? tool_fail(&e) : 0;
}
