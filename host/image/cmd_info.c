// SPDX-License-Identifier: ISC
// `lith info`: where things are and what this host can do, the first thing to ask for when
// something does not work.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/private.h"

static void print_program(const char *label, const char *name)
{
    const char *path = getenv("PATH");
    char *dirs = xstrdup(path ? path : "/usr/bin:/bin"), *save = NULL, *found = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir && !found; dir = strtok_r(NULL, ":", &save)) {
        found = xasprintf("%s/%s", dir, name);
        if (access(found, X_OK) < 0) {
            free(found);
            found = NULL;
        }
    }
    printf("%-14s %s\n", label, found ? found : "not installed");
    free(found);
    free(dirs);
}

int cmd_info(int argc, char *argv[])
{
    (void)argv;
    if (argc > 1)
        return tool_usage("info", "info takes no arguments");
    struct store s;
    struct err e;
    struct store_image *list = NULL;
    size_t n = 0;
    printf("%-14s %s\n", "Version:", LITH_VERSION);
    if (store_open(&s, false, &e) == 0) {
        store_list(&s, &list, &n, NULL, NULL);
        printf("%-14s %s\n", "Store:", s.path);
        store_close(&s);
    } else {
        printf("%-14s %s\n", "Store:", e.text);
    }
    printf("%-14s %zu\n", "Images:", n);
    free(list);
    const char *why = "";
    bool kvm = kvm_usable(&why);
    printf("%-14s %s%s\n", "KVM:", kvm ? "works" : "no: ", kvm ? "" : why);
    bool process = process_usable(&why);
    printf("%-14s %s%s\n", "Process:", process ? "works" : "no: ", process ? "" : why);
    printf("%-14s %s\n", "Platform:", kvm ? "kvm" : process ? "process" : "qemu");
    char *relative = xasprintf("%s/../kernel/lith", exe_dir());
    char *kernel = realpath(relative, NULL);
    if (kernel == NULL)
        kernel = xstrdup(relative);
    const char *env = getenv("LITH_KERNEL");
    const char *used = env && *env ? env : kernel;
    printf("%-14s %s%s\n", "Kernel:", used, access(used, R_OK) == 0 ? "" : " (missing)");
    free(relative);
    free(kernel);
    print_program("QEMU:", "qemu-system-x86_64");
    print_program("passt:", "passt");
    print_program("mkfs.erofs:", "mkfs.erofs");
    return 0;
}
