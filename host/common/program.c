// SPDX-License-Identifier: ISC
// Runs a helper program (mkfs.erofs, apt-get, dpkg-deb) and turns its failure into one error text
// with the last lines that it said.
#include "common/common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUT_MAX  (16u << 20)
#define SAID_MAX 65536u

// The last few lines of what a program said, as one string.
static const char *last_lines(struct buf *said)
{
    if (said->data == NULL)
        return "it said nothing";
    while (said->len > 0 && said->data[said->len - 1] == '\n')
        said->data[--said->len] = 0;
    const char *p = said->data + said->len;
    for (int lines = 0; p > said->data; p--)
        if (p[-1] == '\n' && (++lines == 6 || said->data + said->len - p > 700))
            break;
    return p;
}

static void drain(struct pollfd *p, struct buf *b, size_t max)
{
    char chunk[16384];
    ssize_t n = read(p->fd, chunk, sizeof(chunk));
    if (n > 0) {
        if (b->len + (size_t)n <= max)
            buf_add(b, chunk, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        close(p->fd);
        p->fd = -1;
    }
}

int program_run(const char *const argv[], const char *package, struct buf *out, struct err *e)
{
    int outpipe[2], errpipe[2];
    if (pipe2(outpipe, O_CLOEXEC) < 0)
        return err_sys(e, -errno, "pipe");
    if (pipe2(errpipe, O_CLOEXEC) < 0) {
        int r = -errno;
        close(outpipe[0]);
        close(outpipe[1]);
        return err_sys(e, r, "pipe");
    }
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, outpipe[1], 1);
    posix_spawn_file_actions_adddup2(&fa, errpipe[1], 2);
    pid_t pid;
    // The mkfs and fsck programs live in sbin on some systems, which users do not have in PATH.
    const char *path = getenv("PATH");
    char *saved = path ? xstrdup(path) : NULL;
    char *wide = xasprintf("%s:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
    setenv("PATH", wide, 1);
    char **args = (char **)(uintptr_t)argv; // posix_spawnp does not change them
    int r = posix_spawnp(&pid, argv[0], &fa, NULL, args, environ);
    if (saved)
        setenv("PATH", saved, 1);
    free(saved);
    free(wide);
    posix_spawn_file_actions_destroy(&fa);
    close(outpipe[1]);
    close(errpipe[1]);
    if (r != 0) {
        close(outpipe[0]);
        close(errpipe[0]);
        if (r == ENOENT)
            return err_set(e, -ENOENT, "the program %s is not installed: apt-get install %s",
                           argv[0], package);
        return err_sys(e, -r, "cannot start %s", argv[0]);
    }
    struct pollfd p[2] = {{.fd = outpipe[0], .events = POLLIN},
                          {.fd = errpipe[0], .events = POLLIN}};
    struct buf said = {0};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            drain(&p[0], out ? out : &said, out ? OUT_MAX : SAID_MAX);
        if (p[1].revents)
            drain(&p[1], &said, SAID_MAX);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    r = 0;
    if (WIFSIGNALED(status))
        r = err_set(e, -EIO, "%s was ended by signal %d: %s", argv[0], WTERMSIG(status),
                    last_lines(&said));
    else if (WEXITSTATUS(status) != 0)
        r = err_set(e, -EIO, "%s failed with status %d: %s", argv[0], WEXITSTATUS(status),
                    last_lines(&said));
    buf_free(&said);
    return r;
}
