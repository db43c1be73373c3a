// SPDX-License-Identifier: ISC
// fcntl, flock, ioctl: flags, duplicates, locks.
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "tap.h"

static char dir[] = "/tmp/lith-fcntl-XXXXXX";

static int set_lock(int fd, int cmd, int type, int start, int len)
{
    struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, cmd, &fl);
}

int main(void)
{
    int p[2], n = -1, on = 1;
    struct termios tio;
    if (!OK(mkdtemp(dir) && chdir(dir) == 0, "a directory of its own"))
        return tap_end();
    int fd = open("f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    OK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_SETFD, 0) == 0 && fcntl(fd, F_GETFD) == 0,
       "F_GETFD, F_SETFD");
    int d = fcntl(fd, F_DUPFD, 50);
    OK(d >= 50 && fcntl(d, F_GETFD) == 0, "F_DUPFD");
    int e = fcntl(fd, F_DUPFD_CLOEXEC, 50);
    OK(e > d && fcntl(e, F_GETFD) == FD_CLOEXEC, "F_DUPFD_CLOEXEC");
    FAILS(fcntl(fd, F_DUPFD, -1), EINVAL, "F_DUPFD below zero");
    OK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR, "F_GETFL");
    OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK) == 0 &&
           (fcntl(d, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK),
       "F_SETFL is seen through duplicates");
    OK(fcntl(fd, F_SETFL, O_WRONLY) == 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR,
       "F_SETFL does not change the access mode");
    FAILS(fcntl(fd, 12345), EINVAL, "an unknown command");
    FAILS(fcntl(999, F_GETFD), EBADF, "no descriptor");
    OK(pipe(p) == 0 && fcntl(p[0], F_SETPIPE_SZ, 65536) >= 65536 &&
           fcntl(p[0], F_GETPIPE_SZ) >= 65536,
       "pipe size");
    FAILS(fcntl(fd, F_GETPIPE_SZ), EBADF, "pipe size of a file");
    OK(ioctl(p[0], FIONREAD, &n) == 0 && n == 0, "FIONREAD of an empty pipe");
    OK(write(p[1], "abc", 3) == 3 && ioctl(p[0], FIONREAD, &n) == 0 && n == 3,
       "FIONREAD of a pipe");
    OK(ioctl(p[0], FIONBIO, &on) == 0 && (fcntl(p[0], F_GETFL) & O_NONBLOCK), "FIONBIO");
    OK(ioctl(p[0], FIOCLEX) == 0 && fcntl(p[0], F_GETFD) == FD_CLOEXEC &&
           ioctl(p[0], FIONCLEX) == 0 && fcntl(p[0], F_GETFD) == 0,
       "FIOCLEX, FIONCLEX");
    FAILS(ioctl(fd, TCGETS, &tio), ENOTTY, "a file is no terminal");

    OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 100) == 0, "record lock");
    OK(set_lock(d, F_SETLK, F_RDLCK, 50, 10) == 0, "a process does not lock itself out");
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    OK(fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type == F_UNLCK, "F_GETLK");
    OK(set_lock(fd, F_SETLK, F_UNLCK, 0, 0) == 0, "unlock");
    int other = open("f", O_RDWR);
    OK(set_lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10) == 0, "open file description lock");
    FAILS(set_lock(other, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN,
          "another description is locked out");
    OK(set_lock(other, F_OFD_SETLK, F_WRLCK, 10, 10) == 0, "but not beside it");
    set_lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
    set_lock(other, F_OFD_SETLK, F_UNLCK, 0, 0);
    OK(flock(fd, LOCK_EX) == 0, "flock");
    FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK, "held by another open file");
    OK(flock(d, LOCK_SH) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0, "shared by a duplicate");
    OK(flock(other, LOCK_UN) == 0, "flock unlock");
    return tap_end();
}
