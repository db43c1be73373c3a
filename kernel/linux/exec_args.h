// SPDX-License-Identifier: ISC
// The words that a new program gets: its file name, argv and envp, copied into the kernel before
// the old program goes.
#ifndef LITH_LINUX_EXEC_ARGS_H
#define LITH_LINUX_EXEC_ARGS_H

#include "lib/lib.h"

#define EXEC_STRING_MAX 131072u    // one string with its NUL, as Linux
#define EXEC_ARGS_MAX   (2u << 20) // all of them: a quarter of the usual stack, as Linux

struct exec_args {
    char *filename;
    char *strings;    // argv's strings, then envp's, each with its NUL
    size_t len, size; // bytes used, bytes allocated
    size_t argv_len;  // bytes that belong to argv
    unsigned argc, envc;
};

// All three: 0 or -errno; on failure nothing is left to free.
int exec_args_kernel(struct exec_args *a, const char *filename, const char *const argv[],
                     const char *const envp[]);
int exec_args_user(struct exec_args *a, const char *filename, char *const *argv, char *const *envp);
// Replaces argv[0] by: interpreter, its argument if there is one, the script.
int exec_args_script(struct exec_args *a, const char *interp, const char *arg, const char *script);
void exec_args_free(struct exec_args *a);

#endif
