// SPDX-License-Identifier: ISC
// Process 1: made from the boot configuration, in a thread of its own, with the console as
// descriptors 0 to 2. A program that cannot be started ends the instance with the shell's statuses:
// 127 where it was not found, 126 where it cannot be run.
#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include "linux/process.h"

#define EXIT_NOT_RUNNABLE 126
#define EXIT_NOT_FOUND    127
#define DEFAULT_PATH      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A name without '/' is looked up in PATH as a shell does: the first file that is executable, else
// -EACCES if there was a file, else -ENOENT.
static int find_program(struct process *p, const char *name, char *out, size_t size)
{
    if (strchr(name, '/'))
        return lib_strlcpy(out, name, size) < size ? 0 : -ENAMETOOLONG;
    const char *path = DEFAULT_PATH;
    for (unsigned i = 0; i < boot_config.envc; i++)
        if (strncmp(boot_config.envp[i], "PATH=", 5) == 0)
            path = boot_config.envp[i] + 5;
    int result = -ENOENT;
    while (name[0]) {
        const char *end = strchr(path, ':');
        size_t len = end ? (size_t)(end - path) : strlen(path);
        struct stat st;
        size_t n =
            (size_t)lib_snprintf(out, size, "%.*s%s%s", (int)len, path, len ? "/" : "./", name);
        if (n < size && vfs_stat(p->fs, NULL, out, 0, &st) == 0 && S_ISREG(st.st_mode)) {
            if (st.st_mode & 0111)
                return 0;
            result = -EACCES;
        }
        if (!end)
            break;
        path = end + 1;
    }
    return result;
}

static void fail_start(const char *name, int err) __attribute__((noreturn));
static void fail_start(const char *name, int err)
{
    const char *why = err == -ENOENT    ? "not found"
                      : err == -EACCES  ? "not an executable file"
                      : err == -ENOEXEC ? "not a program that can be run"
                      : err == -ELIBBAD ? "its interpreter is not a valid ELF file"
                      : err == -ENOMEM  ? "memory is short"
                                        : "error";
    log_error("cannot start %s: %s (errno %d)", name, why, -err);
    plat_exit(err == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE);
}

// Standard output and standard error are streams of their own where the machine tells them apart.
static void fail_cwd(const char *path, int err) __attribute__((noreturn));
static void fail_cwd(const char *path, int err)
{
    log_error("cannot start in the working directory %s: %s (errno %d)", path,
              err == -ENOENT    ? "not found"
              : err == -ENOTDIR ? "not a directory"
                                : "error",
              -err);
    plat_exit(err == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE);
}

static int open_console(struct process *p)
{
    for (int fd = 0; fd < 3; fd++) {
        struct file *f;
        int err =
            vfs_open(p->fs, NULL, fd == 2 ? "/dev/console-err" : "/dev/console", O_RDWR, 0, &f);
        if (err)
            return err;
        int got = fd_install(p->fds, f, fd, false, 3);
        if (got < 0)
            return got;
    }
    return 0;
}

static void start_thread(void *arg)
{
    struct process *p = arg;
    const char *name = boot_config.argc ? boot_config.argv[0] : "";
    static char
        path[PATH_MAX]; // not on this small stack, and exec_start does not come back to free it
    int err = open_console(p);
    if (err)
        fail_start("/dev/console", err);
    if (boot_config.cwd && (err = vfs_chdir(p->fs, NULL, boot_config.cwd)))
        fail_cwd(boot_config.cwd, err);
    if (!boot_config.argc) {
        log_error("the boot configuration names no program (arg=...)");
        plat_exit(EXIT_NOT_FOUND);
    }
    err = find_program(p, name, path, PATH_MAX);
    if (err)
        fail_start(name, err);
    fail_start(path, exec_start(p, path, boot_config.argv, boot_config.envp));
}

int linux_start(void)
{
    struct process *p = process_create();
    struct linux_thread *t;
    if (!p)
        return -ENOMEM;
    process_init = p;
    int err = linux_thread_create(p, &t, start_thread, p);
    if (err)
        return err;
    thread_start(t->thread);
    sched_take_outside_signal();
    return 0;
}

// The last step of start-up (core/main.c): process 1, the scheduler.
static void run(void)
{
    int err = linux_start();
    if (err)
        panic("process 1 cannot be made (error %d)", -err);
    chart_mark("process 1");
    sched_run();
}

int start_init(void);
int start_init(void)
{
    kernel_run = run;
    return syscall_table_install();
}
INIT_RECORD(INIT_LINUX, start_init, start_init);
