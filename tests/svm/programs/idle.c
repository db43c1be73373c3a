// SPDX-License-Identifier: ISC
// Sleeps 50 ms by the clock, then until SIGTERM; ends with status 5. What the network answers
// meanwhile is the kernel's own doing.
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int number)
{
    told = number;
}

int main(void)
{
    struct timespec from, to, pause_time = {.tv_nsec = 50000000};
    clock_gettime(CLOCK_MONOTONIC, &from);
    nanosleep(&pause_time, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    long ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
    printf("slept %s\n", ms >= 50 && ms < 5000 ? "well" : "badly");
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    puts("ready");
    fflush(stdout);
    while (!told)
        sleep(1);
    printf("told %d\n", (int)told);
    return 5;
}
