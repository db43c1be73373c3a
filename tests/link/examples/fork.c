// SPDX-License-Identifier: ISC
// A program that wants a second process: refused, and the console says by which call. Status 3 if
// it went on and was told ENOSYS.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    pid_t child = fork();
    if (child >= 0)
        return 1;
    puts("still here");
    return errno == ENOSYS ? 3 : 2;
}
