// SPDX-License-Identifier: ISC
// For the native proof: libgomp inlines futex calls among branches and RIP-relative loads, the
// rewriter's hardest case.
#include <stdio.h>

int main(void)
{
    long sum = 0;
    int steps = 0;
#pragma omp parallel for reduction(+ : sum) schedule(dynamic, 7)
    for (int i = 0; i < 100000; i++)
        sum += i;
    for (int round = 0; round < 200; round++) {
#pragma omp parallel num_threads(4)
        {
#pragma omp barrier
#pragma omp critical
            steps++;
#pragma omp barrier
#pragma omp single
            steps += 10;
        }
    }
    printf("%ld %d\n", sum, steps);
    return 0;
}
