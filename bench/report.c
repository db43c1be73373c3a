// SPDX-License-Identifier: ISC
// The table, results.json, a line of history and what changed since the last one, and the data of
// the plots (bench/plots.gp), all below the output folder.
#include "bench/bench.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CHANGE_TOLD 0.10 // since the previous run
#define LINE_MAX_   65536

static FILE *output(const char *name, const char *how)
{
    char path[512];
    FILE *f;
    snprintf(path, sizeof(path), "%s/%s", options.out, name);
    f = fopen(path, how);
    if (!f)
        perror(path);
    return f;
}

// Counts per request have a table of their own.
static bool is_count(const struct series *s)
{
    return strcmp(s->unit, "1/request") == 0;
}

// A value as a person reads it.
static void human(char *text, size_t size, double value, const char *unit)
{
    if (strcmp(unit, "bytes") == 0)
        snprintf(text, size, "%.2f MiB", value / 1048576);
    else if (strcmp(unit, "1/request") == 0)
        snprintf(text, size, "%.4f", value);
    else
        snprintf(text, size, "%.*f %s",
                 value < 100     ? 2
                 : value < 10000 ? 1
                                 : 0,
                 value, strcmp(unit, "1/s") == 0 ? "/s" : unit);
}

static void print_cell(const struct series *s, int p)
{
    char value[40];
    double spread = spread_of(s->value[p], s->count[p]);
    human(value, sizeof(value), median_of(s->value[p], s->count[p]), s->unit);
    printf(" %s", value);
    if (isfinite(spread))
        printf(" (%.0f %%)", spread * 100);
    fputs(" |", stdout);
}

// What happened less often than once in 10,000 requests is in results.json.
static void print_counts(void)
{
    bool first = true;
    for (const struct series *s = series; s < series + series_count; s++)
        for (int p = 0; p < PLATFORMS && is_count(s); p++) {
            if (s->count[p] == 0 || !(median_of(s->value[p], s->count[p]) >= 0.0001))
                continue;
            if (first)
                printf("\n\n| case | counted | per request |\n|---|---|---:|");
            first = false;
            printf("\n| %s | %s |", s->name, s->metric);
            print_cell(s, p);
        }
}

// Under emulation, native says little: what counts is the Linux guest under the same.
static void print_emulated(void)
{
    bool first = true;
    for (const struct series *s = series; s < series + series_count; s++) {
        struct series pair = *s; // the guest in native's place
        double ratio;
        memcpy(pair.value[NATIVE], s->value[LINUX_GUEST], sizeof(s->value[LINUX_GUEST]));
        pair.count[NATIVE] = s->count[LINUX_GUEST];
        if (s->count[QEMU] == 0 || s->count[LINUX_GUEST] == 0 || strcmp(s->unit, "bytes") == 0)
            continue;
        if (first)
            printf("\n\n| case | metric | qemu by linux-guest |\n|---|---|---:|");
        first = false;
        printf("\n| %s | %s |", s->name, s->metric);
        if (ratio_of(&pair, QEMU, &ratio))
            printf(" %.2f |", ratio);
        else
            fputs(" refused |", stdout);
    }
}

static void print_table(void)
{
    bool any[PLATFORMS] = {false};
    for (const struct series *s = series; s < series + series_count; s++)
        for (int p = 0; p < PLATFORMS; p++)
            any[p] |= s->count[p] > 0;
    fputs("\n| case | metric |", stdout);
    for (int p = 0; p < PLATFORMS; p++)
        if (any[p])
            printf(p == NATIVE ? " %s |" : " %s | ratio |", platform_names[p]);
    fputs("\n|---|---|", stdout);
    for (int p = 0; p < PLATFORMS; p++)
        if (any[p])
            fputs(p == NATIVE ? "---:|" : "---:|---:|", stdout);
    for (const struct series *s = series; s < series + series_count; s++) {
        if (is_count(s))
            continue;
        printf("\n| %s | %s |", s->name, s->metric);
        for (int p = 0; p < PLATFORMS; p++) {
            double ratio;
            if (!any[p])
                continue;
            if (s->count[p] == 0) {
                fputs(p == NATIVE ? " - |" : " - | - |", stdout);
                continue;
            }
            print_cell(s, p);
            if (p == NATIVE)
                continue;
            if (ratio_of(s, (enum platform)p, &ratio))
                printf(" **%.2f** |", ratio);
            else
                fputs(s->count[NATIVE] > 0 ? " refused |" : " - |", stdout);
        }
    }
    print_emulated();
    print_counts();
    printf("\n\nEach cell: the median of the rounds, and in brackets the spread: the distance of "
           "the quartiles by\n"
           "the median. Ratio: to native, higher is better, the median of the rounds' own ratios. "
           "It is refused\n"
           "where there are fewer than %d rounds (sizes and memory in bytes need only one), or "
           "where either\n"
           "side's spread is above %.0f %%.\n",
           ROUNDS_RATIO, SPREAD_MAX * 100);
    for (int i = 0; i < notes_count; i++)
        printf("%s- %s\n", i == 0 ? "\nLeft out or wrong:\n" : "", notes[i]);
}

static int write_results(void)
{
    FILE *f = output("results.json.new", "we");
    char from[512], to[512];
    const char *comma = "";
    if (!f)
        return -1;
    fputs("{\"results\": [", f);
    for (const struct series *s = series; s < series + series_count; s++) {
        for (int p = 0; p < PLATFORMS; p++) {
            double spread = spread_of(s->value[p], s->count[p]), ratio = 1;
            if (s->count[p] == 0)
                continue;
            fprintf(
                f,
                "%s\n{\"case\": \"%s\", \"platform\": \"%s\", \"metric\": \"%s\", \"value\": %.8g, "
                "\"unit\": \"%s\", ",
                comma, s->name, platform_names[p], s->metric, median_of(s->value[p], s->count[p]),
                s->unit);
            if (isfinite(spread))
                fprintf(f, "\"spread\": %.4f, ", spread);
            else
                fputs("\"spread\": null, ", f);
            if (p == NATIVE || ratio_of(s, (enum platform)p, &ratio))
                fprintf(f, "\"ratio\": %.4f}", ratio);
            else
                fputs("\"ratio\": null}", f);
            comma = ",";
        }
    }
    fputs("\n]}\n", f);
    if (fclose(f) != 0)
        return -1;
    snprintf(from, sizeof(from), "%s/results.json.new", options.out);
    snprintf(to, sizeof(to), "%s/results.json", options.out);
    return rename(from, to);
}

// ---- history ----

static void first_line(char *text, size_t size, const char *command)
{
    FILE *f = popen(command, "re");
    text[0] = 0;
    if (f && fgets(text, (int)size, f))
        text[strcspn(text, "\n")] = 0;
    if (f)
        pclose(f);
}

// Says what differs from the last run of the same kind, which `line` is.
static void compare_with(const char *line)
{
    const char *date = strstr(line, "\"date\": \"");
    int told = 0;
    printf("\nSince the run before (%.16s), medians that changed by more than %.0f %% and their "
           "spread:\n",
           date ? date + 9 : "?", CHANGE_TOLD * 100);
    for (const struct series *s = series; s < series + series_count; s++) {
        for (int p = 0; p < PLATFORMS; p++) {
            char key[160], before_text[40], now_text[40];
            const char *at;
            double spread = spread_of(s->value[p], s->count[p]);
            double least = spread > CHANGE_TOLD ? spread : CHANGE_TOLD;
            double now = median_of(s->value[p], s->count[p]), before;
            snprintf(key, sizeof(key), "\"%s/%s/%s\": ", s->name, platform_names[p], s->metric);
            at = strstr(line, key);
            before = at ? atof(at + strlen(key)) : 0;
            if (s->count[p] == 0 || !(before > 0) || fabs(now / before - 1) <= least)
                continue;
            human(before_text, sizeof(before_text), before, s->unit);
            human(now_text, sizeof(now_text), now, s->unit);
            printf("- %s, %s, %s: %s, was %s (%s)\n", s->name, platform_names[p], s->metric,
                   now_text, before_text, (now > before) == s->lower_better ? "worse" : "better");
            told++;
        }
    }
    if (told == 0)
        puts("- none");
}

static int write_history(void)
{
    static char line[LINE_MAX_], last[LINE_MAX_];
    char date[32], commit[64], command[512], mode[64];
    const char *comma = "";
    struct utsname machine;
    double load[3] = {0};
    time_t now = time(NULL);
    FILE *f = output("history.jsonl", "a+e");
    if (!f)
        return -1;
    snprintf(mode, sizeof(mode), "\"mode\": \"%s\"", options.mode);
    rewind(f);
    while (fgets(line, sizeof(line), f))
        if (strstr(line, mode))
            memcpy(last, line, strlen(line) + 1);
    if (last[0])
        compare_with(last);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%MZ", gmtime(&now));
    snprintf(command, sizeof(command), "git -C %s describe --always --dirty 2>/dev/null",
             options.tree);
    first_line(commit, sizeof(commit), command);
    uname(&machine);
    getloadavg(load, 3);
    fprintf(f,
            "{\"date\": \"%s\", \"commit\": \"%s\", \"machine\": \"%s, %ld CPUs\", \"load\": %.2f, "
            "\"busy_before\": %.2f, %s, "
            "\"medians\": {",
            date, commit, machine.release, sysconf(_SC_NPROCESSORS_ONLN), load[0],
            options.busy_before, mode);
    for (const struct series *s = series; s < series + series_count; s++) {
        for (int p = 0; p < PLATFORMS; p++) {
            if (s->count[p] == 0)
                continue;
            fprintf(f, "%s\"%s/%s/%s\": %.6g", comma, s->name, platform_names[p], s->metric,
                    median_of(s->value[p], s->count[p]));
            comma = ", ";
        }
    }
    fputs("}}\n", f);
    return fclose(f);
}

// ---- plots ----

static const struct series *find(const char *name, const char *metric)
{
    for (const struct series *s = series; s < series + series_count; s++)
        if (strcmp(s->name, name) == 0 && strcmp(s->metric, metric) == 0)
            return s;
    return NULL;
}

static double median_at(const char *name, const char *metric, int platform)
{
    const struct series *s = find(name, metric);
    return s && s->count[platform] ? median_of(s->value[platform], s->count[platform]) : NAN;
}

static void cell(FILE *f, double value)
{
    if (isfinite(value))
        fprintf(f, " %.6g", value);
    else
        fputs(" ?", f);
}

static void write_plots(void)
{
    static const char *const percentile_files[PLATFORMS] = {
        "latency-native.dat", "latency-process.dat", "latency-kvm.dat", "latency-qemu.dat",
        "latency-linux-guest.dat"};
    int ratios = 0, starts = 0, memories = 0, latencies = 0;
    char command[1200];
    FILE *f = output("ratios.dat", "we");
    if (!f)
        return;
    fputs("case process kvm qemu linux-guest\n", f);
    for (const struct series *s = series; s < series + series_count; s++) {
        if (strcmp(s->metric, "rate") != 0 && strcmp(s->name, "speedtest1") != 0)
            continue;
        fputs(s->name, f);
        for (int p = PROCESS; p < PLATFORMS; p++) {
            double ratio;
            bool told = ratio_of(s, (enum platform)p, &ratio);
            cell(f, told ? ratio : NAN);
            ratios += told;
        }
        fputc('\n', f);
    }
    fclose(f);
    if ((f = output("start.dat", "we")) != NULL) {
        fputs("platform monitor kernel to-main to-first-byte\n", f);
        for (int p = 0; p < PLATFORMS; p++) {
            double to_main = median_at("start-main", "time", p);
            double to_byte = median_at("start-first-byte", "time", p);
            if (!isfinite(to_main) || !isfinite(to_byte))
                continue;
            double monitor = median_at("start-chart", "monitor", p);
            double program = median_at("start-chart", "program", p);
            if (!isfinite(monitor) || !isfinite(program))
                monitor = program = 0;
            fprintf(f, "%s %.4g %.4g %.4g %.4g\n", platform_names[p], monitor, program - monitor,
                    to_main - program, to_byte - to_main);
            starts++;
        }
        fclose(f);
    }
    if ((f = output("memory.dat", "we")) != NULL) {
        fputs("platform private-1 proportional-1 private-50 proportional-50\n", f);
        for (int p = 0; p < PLATFORMS; p++) {
            if (!isfinite(median_at("memory-1", "private", p)))
                continue;
            fputs(platform_names[p], f);
            cell(f, median_at("memory-1", "private", p) / 1048576);
            cell(f, median_at("memory-1", "proportional", p) / 1048576);
            cell(f, median_at("memory-50", "private", p) / 1048576);
            cell(f, median_at("memory-50", "proportional", p) / 1048576);
            fputc('\n', f);
            memories++;
        }
        fclose(f);
    }
    for (int p = 0; p < PLATFORMS; p++) {
        const float *times;
        size_t count = load_udp_times((enum platform)p, &times);
        latencies += count > 0;
        if ((f = output(percentile_files[p], "we")) == NULL)
            continue;
        for (int i = 1; i < 1000 && count > 0; i++)
            fprintf(f, "%.2f %.4f\n", (double)times[count * (size_t)i / 1000], i / 1000.0);
        fclose(f);
    }
    snprintf(command, sizeof(command),
             "cd %s && timeout 60 gnuplot -e 'ratios=%d; starts=%d; memories=%d; latencies=%d' "
             "plots.gp >plots.log 2>&1",
             options.out, ratios, starts, memories, latencies);
    if (access("/usr/bin/gnuplot", X_OK) != 0)
        printf("\nNo plots: gnuplot is not installed (make deps).\n");
    else if (system(command) != 0)
        note("gnuplot failed: %s/plots.log", options.out);
    else
        printf("\nPlots: %s/{ratios,latency,start,memory}.svg\n", options.out);
}

int report(void)
{
    int bad;
    print_table();
    bad = write_results();
    bad |= write_history();
    write_plots();
    printf("Figures: %s/results.json, history.jsonl\n", options.out);
    return bad ? -1 : 0;
}
