// SPDX-License-Identifier: ISC
// Says hello with its argument and the environment, and ends with a status of its own.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    printf("hello, %s, from a program; X=%s\n", argc > 1 ? argv[1] : "?", getenv("X"));
    return 42;
}
