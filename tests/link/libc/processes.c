// SPDX-License-Identifier: ISC
// Ids of all threads, other processes, calls by number.
#define _GNU_SOURCE
#include "tap.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static pthread_barrier_t barrier;
static uid_t thread_uid;

static void *report_uid(void *arg)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); // the ids changed in between
    thread_uid = (uid_t)syscall(SYS_getuid);
    return arg;
}

// In a child, because it does not come back from this.
static int change_ids(void)
{
    pthread_t t;
    pthread_barrier_init(&barrier, 0, 2);
    pthread_create(&t, 0, report_uid, 0);
    pthread_barrier_wait(&barrier);
    if (setgid(65534) || setuid(65534))
        return 1;
    pthread_barrier_wait(&barrier);
    pthread_join(t, 0);
    if (thread_uid != 65534 || getuid() != 65534 || getegid() != 65534)
        return 2;
    return setuid(0) == -1 && errno == EPERM ? 0 : 3;
}

static int wait_for(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The child overwrites what lies below this frame, the return address of vfork among it.
static __attribute__((noinline)) int vfork_child(int status)
{
    pid_t pid = vfork();
    if (pid == 0) {
        char sh[] = "sh", c[] = "-c", script[] = "exit $STATUS", *argv[] = {sh, c, script, 0};
        char text[16], *env[] = {text, 0};
        snprintf(text, sizeof(text), "STATUS=%d", status);
        execve("/bin/sh", argv, env);
        _exit(127);
    }
    return wait_for(pid);
}

int main(void)
{
    alarm(30);
    tap(syscall(SYS_gettid) == getpid() && syscall(SYS_getpid) == getpid(), "syscall()");
    char *map = (char *)syscall(SYS_mmap, 0L, 4096L, (long)(PROT_READ | PROT_WRITE),
                                (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);
    tap(map != MAP_FAILED && map[4095] == 0, "syscall() with six arguments");
    tap(syscall(SYS_close, -1) == -1 && errno == EBADF, "syscall() sets errno");

    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    tap(wait_for(pid) == 5, "fork");
    tap(vfork_child(6) == 6 && vfork_child(9) == 9, "vfork");
    char sh[] = "sh", c[] = "-c", script[] = "exit 7", *argv[] = {sh, c, script, 0};
    tap(!posix_spawn(&pid, "/bin/sh", 0, 0, argv, environ) && wait_for(pid) == 7, "posix_spawn");
    tap(posix_spawn(&pid, "/no/such", 0, 0, argv, environ) == ENOENT, "posix_spawn of nothing");
    tap(WEXITSTATUS(system("exit 8")) == 8, "system");
    FILE *p = popen("echo out", "r");
    char line[16] = "";
    tap(p && fgets(line, sizeof(line), p) && !strcmp(line, "out\n") && !pclose(p), "popen");

    if (getuid()) {
        puts("ok - setuid of all threads # SKIP needs root");
        return tap_failed;
    }
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(change_ids());
    int status = wait_for(pid);
    if (!tap(status == 0, "setuid of all threads"))
        printf("# status %d\n", status);
    return tap_failed;
}
