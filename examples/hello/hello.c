// SPDX-License-Identifier: ISC
// The smallest program worth booting: one line on the console.
#include <stdio.h>

int main(void)
{
    puts("Hello from a unikernel.");
    return 0;
}
