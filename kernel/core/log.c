// SPDX-License-Identifier: ISC
// The log: formatted lines to the console's stderr stream. The level comes from the boot
// configuration.
#include "core/core.h"

enum log_level log_level = LOG_WARN;

void log_write(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    char line[400];
    va_list ap;
    if (level > log_level)
        return;
    int n = lib_snprintf(line, sizeof(line), "lith: %s", names[level]);
    va_start(ap, fmt);
    n += lib_vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n = MIN(n, (int)sizeof(line) - 2);
    line[n++] = '\n';
    plat_console_write(line, (size_t)n, 2);
}
