// SPDX-License-Identifier: ISC
// Collects argv and envp of a new program in one growing buffer, from the kernel's own start-up or
// from the program that calls execve. Bounded: each string and the sum.
#include <asm-generic/errno.h>
#include "linux/exec_args.h"
#include "linux/process.h"

static int grow(struct exec_args *a, size_t room)
{
    if (room > EXEC_ARGS_MAX || a->len > EXEC_ARGS_MAX - room)
        return -E2BIG;
    if (a->len + room <= a->size)
        return 0;
    size_t size = MAX(a->size * 2, ALIGN_UP(a->len + room, 1024));
    char *p = krealloc(a->strings, size);
    if (!p)
        return -ENOMEM;
    a->strings = p;
    a->size = size;
    return 0;
}

static int add_kernel(struct exec_args *a, const char *s)
{
    size_t n = strlen(s) + 1;
    int err = grow(a, n);
    if (err)
        return err;
    memcpy(a->strings + a->len, s, n);
    a->len += n;
    return 0;
}

static int add_user(struct exec_args *a, const char *s)
{
    for (size_t room = 256; room <= EXEC_STRING_MAX; room *= 2) {
        int err = grow(a, room);
        if (err && a->size > a->len) // near the limit: what is left
            room = a->size - a->len;
        else if (err)
            return err;
        ssize_t_k n = strncpy_in(a->strings + a->len, s, room);
        if (n >= 0) {
            a->len += (size_t)n + 1;
            return 0;
        }
        if (n != -ENAMETOOLONG || err)
            return n == -ENAMETOOLONG ? -E2BIG : (int)n;
    }
    return -E2BIG;
}

static int add_user_vector(struct exec_args *a, char *const *v, unsigned *count)
{
    for (;; v++) {
        char *s;
        int err = v ? copy_in(&s, v, sizeof(s)) : 0;
        if (err)
            return err;
        if (!v || !s) // Linux takes a null vector as an empty one
            return 0;
        err = add_user(a, s);
        if (err)
            return err;
        ++*count;
    }
}

static int begin(struct exec_args *a, const char *filename)
{
    *a = (struct exec_args){.filename = kstrdup(filename)};
    return a->filename ? 0 : -ENOMEM;
}

int exec_args_kernel(struct exec_args *a, const char *filename, const char *const argv[],
                     const char *const envp[])
{
    int err = begin(a, filename);
    for (; !err && argv[a->argc]; a->argc++)
        err = add_kernel(a, argv[a->argc]);
    a->argv_len = a->len;
    for (; !err && envp[a->envc]; a->envc++)
        err = add_kernel(a, envp[a->envc]);
    if (err)
        exec_args_free(a);
    return err;
}

int exec_args_user(struct exec_args *a, const char *filename, char *const *argv, char *const *envp)
{
    int err = begin(a, filename);
    if (!err)
        err = add_user_vector(a, argv, &a->argc);
    if (!err && a->argc == 0) { // as Linux: a program always has an argv[0]
        err = add_kernel(a, "");
        a->argc = 1;
    }
    a->argv_len = a->len;
    if (!err)
        err = add_user_vector(a, envp, &a->envc);
    if (err)
        exec_args_free(a);
    return err;
}

int exec_args_script(struct exec_args *a, const char *interp, const char *arg, const char *script)
{
    const char *words[3] = {interp, arg ? arg : script, script};
    unsigned count = arg ? 3 : 2;
    size_t add = 0, drop = a->argc ? strlen(a->strings) + 1 : 0;
    for (unsigned i = 0; i < count; i++)
        add += strlen(words[i]) + 1;
    int err = grow(a, add);
    if (err)
        return err;
    memmove(a->strings + add, a->strings + drop, a->len - drop);
    char *at = a->strings;
    for (unsigned i = 0; i < count; i++) {
        size_t n = strlen(words[i]) + 1;
        memcpy(at, words[i], n);
        at += n;
    }
    a->len += add - drop;
    a->argv_len += add - drop;
    a->argc += count - (a->argc ? 1 : 0);
    return 0;
}

void exec_args_free(struct exec_args *a)
{
    kfree(a->filename);
    kfree(a->strings);
    *a = (struct exec_args){0};
}
