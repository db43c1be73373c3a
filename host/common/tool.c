// SPDX-License-Identifier: ISC
// What `lith` and its helper program share: how they fail, and what this host can do.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/common.h"

int tool_fail(const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "lith: %s\n", e->text);
    return EXIT_TOOL;
}

int tool_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("lith: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nSee `lith help%s%s`.\n", *command ? " " : "", command);
    return EXIT_TOOL;
}

void std_fds(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            _exit(EXIT_TOOL);
}

const char *tool_option(int argc, char *argv[])
{
    static char letter[3] = "-";
    // A letter may stand among others (-it), or its value be missing: optind says little then.
    if (optopt > 0 && optopt < 256) {
        letter[1] = (char)optopt;
        return letter;
    }
    return argv[(optind < argc ? optind : argc) - 1];
}

bool process_usable(const char **why)
{
    char text[24] = "";
    int fd = open("/proc/sys/vm/mmap_min_addr", O_RDONLY | O_CLOEXEC);
    *why = NULL;
    if (!(getauxval(AT_HWCAP2) & 2)) // HWCAP2_FSGSBASE
        *why = "the CPU or the kernel has no FSGSBASE instructions for programs";
    else if (prctl(PR_GET_SECCOMP) < 0)
        *why = "the kernel has no seccomp";
    else if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && atol(text) > 65536)
        *why = "vm.mmap_min_addr is above 65536";
    if (fd >= 0)
        close(fd);
    return *why == NULL;
}

bool kvm_usable(const char **why)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        *why = errno == ENOENT   ? "this host has no /dev/kvm"
               : errno == EACCES ? "no permission for /dev/kvm (add yourself to the group kvm)"
                                 : "/dev/kvm cannot be opened";
        return false;
    }
    int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    close(fd);
    *why = "/dev/kvm speaks another version";
    return version == KVM_API_VERSION;
}
