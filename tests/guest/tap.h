// SPDX-License-Identifier: ISC
// Guest tests are ordinary Linux programs that print "ok - name" or "not ok - name", and pass
// natively too.
#ifndef LITH_TESTS_GUEST_TAP_H
#define LITH_TESTS_GUEST_TAP_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int tap_failed, tap_count;

#define OK(cond, name) tap_ok((cond), (name), __LINE__)
// The call fails with exactly this errno.
#define FAILS(call, err, name) tap_ok((errno = 0, (call) == -1 && errno == (err)), (name), __LINE__)

static inline int tap_ok(int good, const char *name, int line)
{
    int e = errno;
    tap_count++;
    tap_failed += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", tap_count, name);
    if (!good)
        printf("# line %d, errno %d (%s)\n", line, e, strerror(e));
    fflush(stdout);
    return good;
}

static inline int tap_end(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif
