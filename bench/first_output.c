// SPDX-License-Identifier: ISC
// Measures the time from exec of commands to the first byte they write, in turns, so that all of
// them meet the same load:
//
//   first_output [-3 FILE] RUNS COMMAND [ARG...] [-- COMMAND [ARG...]]...
//
// With -3, FILE is open for reading as their descriptor 3. Prints one line per command, "MEDIAN MIN
// P95" in microseconds. A command that writes nothing, or ends with a status other than 0, ends the
// measurement.
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8
#define RUNS_MAX     1000

extern char **environ;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static const char *third; // file of descriptor 3, or NULL

static int64_t run(char **argv)
{
    posix_spawn_file_actions_t actions;
    char buffer[4096];
    int ends[2], status = -1, error;
    int64_t start, first;
    pid_t pid;
    ssize_t n;

    if (pipe(ends) < 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    if (third)
        posix_spawn_file_actions_addopen(&actions, 3, third, 0, 0);
    start = now_ns();
    error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error) {
        fprintf(stderr, "first_output: %s: %s\n", argv[0], strerror(error));
        close(ends[0]);
        return -1;
    }
    n = read(ends[0], buffer, sizeof(buffer));
    first = now_ns();
    for (ssize_t more = n; more > 0;)
        more = read(ends[0], buffer, sizeof(buffer));
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (n <= 0 || status != 0) {
        fprintf(stderr, "first_output: %s: %s, status %d\n", argv[0],
                n <= 0 ? "no output" : "output", status);
        return -1;
    }
    return first - start;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static int64_t times[COMMANDS_MAX][RUNS_MAX];
    char **command[COMMANDS_MAX];
    int count = 0, runs;

    if (argc > 2 && strcmp(argv[1], "-3") == 0) {
        third = argv[2];
        argc -= 2;
        argv += 2;
    }
    runs = argc > 1 ? atoi(argv[1]) : 0;
    if (argc < 3 || runs < 1 || runs > RUNS_MAX) {
        fputs("usage: first_output [-3 FILE] RUNS COMMAND [ARG...] [-- COMMAND [ARG...]]...\n",
              stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        if (count == COMMANDS_MAX)
            return 2;
        command[count++] = &argv[i];
        while (i < argc && strcmp(argv[i], "--") != 0)
            i++;
        argv[i] = NULL; // argv[argc] is NULL already
    }
    for (int r = 0; r < runs; r++) {
        for (int c = 0; c < count; c++) {
            times[c][r] = run(command[c]);
            if (times[c][r] < 0)
                return 1;
        }
    }
    for (int c = 0; c < count; c++) {
        qsort(times[c], (size_t)runs, sizeof(times[c][0]), compare);
        printf("%.0f %.0f %.0f\n", (double)times[c][runs / 2] / 1e3, (double)times[c][0] / 1e3,
               (double)times[c][runs * 95 / 100] / 1e3);
    }
    return 0;
}
