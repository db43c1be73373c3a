// SPDX-License-Identifier: ISC
// The price of a kernel call that does nothing: nanoseconds per getppid() (which only reads a
// field) and per close(-1) (which goes all the way in and out), the best of a hundred short rounds.
// Prints "GETPPID CLOSE". The same source is an ordinary Linux program and a linked one.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 100
#define CALLS  100000 // each kind and round

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void)
{
    double best_getppid = 1e9, best_close = 1e9;
    long sum = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns(), mid, end;
        for (int i = 0; i < CALLS; i++)
            sum += getppid();
        mid = now_ns();
        for (int i = 0; i < CALLS; i++)
            sum += close(-1);
        end = now_ns();
        if ((mid - start) / CALLS < best_getppid)
            best_getppid = (mid - start) / CALLS;
        if ((end - mid) / CALLS < best_close)
            best_close = (end - mid) / CALLS;
    }
    printf("%.2f %.2f\n", best_getppid, best_close);
    return sum == 1; // used, so that the loops stay
}
