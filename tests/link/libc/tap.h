// SPDX-License-Identifier: ISC
// One TAP line a check.
#ifndef LITH_TESTS_LINK_TAP_H
#define LITH_TESTS_LINK_TAP_H

#include <stdio.h>

static int tap_failed;

static inline int tap(int good, const char *name)
{
    printf("%sok - %s\n", good ? "" : "not ", name);
    fflush(stdout);
    tap_failed |= !good;
    return good;
}

#endif
