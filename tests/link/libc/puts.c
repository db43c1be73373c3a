// SPDX-License-Identifier: ISC
// What does a line of output bring?
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
