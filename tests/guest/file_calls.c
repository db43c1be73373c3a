// SPDX-License-Identifier: ISC
// Files: what do open, read, write and their relatives give, and which errors?
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tap.h"

static char dir[] = "/tmp/lith-file-XXXXXX";
static void *volatile bad_pointer = (void *)8;

static void opening(void)
{
    struct stat st;
    int fd = open("a", O_CREAT | O_EXCL | O_RDWR, 0640);
    OK(fd >= 0, "create");
    umask(027);
    int fd2 = open("masked", O_CREAT | O_WRONLY, 0666);
    OK(fstat(fd2, &st) == 0 && (st.st_mode & 0777) == 0640, "umask applies to new files");
    umask(022);
    close(fd2);
    FAILS(open("a", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST, "O_EXCL on what exists");
    FAILS(open("nothing", O_RDONLY), ENOENT, "missing file");
    FAILS(open("a/b", O_RDONLY), ENOTDIR, "file used as directory");
    FAILS(open(".", O_WRONLY), EISDIR, "writing a directory");
    FAILS(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY on a file");
    FAILS(open("", O_RDONLY), ENOENT, "empty path");
    FAILS(open(bad_pointer, O_RDONLY), EFAULT, "bad pointer as path");
    char longname[300];
    memset(longname, 'x', sizeof(longname) - 1);
    longname[sizeof(longname) - 1] = 0;
    FAILS(open(longname, O_RDONLY), ENAMETOOLONG, "name too long");
    FAILS(close(999), EBADF, "closing nothing");
    FAILS(read(999, longname, 1), EBADF, "reading nothing");
    close(fd);
}

static void reading(void)
{
    char buf[64];
    int fd = open("a", O_RDWR);
    OK(write(fd, "hello world", 11) == 11, "write");
    OK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, buf, 5) == 5 && !memcmp(buf, "hello", 5), "read");
    OK(pread(fd, buf, 5, 6) == 5 && !memcmp(buf, "world", 5), "pread");
    OK(lseek(fd, 0, SEEK_CUR) == 5, "pread leaves the position");
    OK(pwrite(fd, "W", 1, 6) == 1 && pread(fd, buf, 64, 0) == 11 && !memcmp(buf, "hello World", 11),
       "pwrite");
    OK(pread(fd, buf, 5, 11) == 0, "end of file");
    FAILS(pread(fd, buf, 5, -1), EINVAL, "negative offset");
    FAILS(read(fd, bad_pointer, 1), EFAULT, "reading to a bad pointer");
    FAILS(write(fd, bad_pointer, 1), EFAULT, "writing from a bad pointer");
    struct iovec iov[3] = {{buf, 3}, {buf + 10, 0}, {buf + 20, 30}};
    OK(lseek(fd, 0, SEEK_SET) == 0 && readv(fd, iov, 3) == 11 && !memcmp(buf, "hel", 3) &&
           !memcmp(buf + 20, "lo World", 8),
       "readv");
    struct iovec out[2] = {{buf, 3}, {buf + 20, 2}};
    OK(pwritev(fd, out, 2, 20) == 5 && pread(fd, buf, 9, 11) == 9 &&
           !memcmp(buf, "\0\0\0\0\0\0\0\0\0", 9),
       "a hole reads as zeros");
    FAILS(syscall(SYS_writev, fd, iov, -1L), EINVAL, "negative vector");
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL, "seek before the start");
    OK(lseek(fd, -5, SEEK_END) == 20, "seek from the end");
    int ap = open("a", O_WRONLY | O_APPEND);
    OK(write(ap, "!", 1) == 1 && lseek(ap, 0, SEEK_CUR) == 26, "O_APPEND writes at the end");
    FAILS(read(ap, buf, 1), EBADF, "reading a write-only file");
    close(ap);
    close(fd);
}

static void sizes(void)
{
    struct stat st;
    struct statfs sfs;
    char buf[16];
    int fd = open("size", O_CREAT | O_RDWR, 0600);
    OK(write(fd, "abcdef", 6) == 6 && ftruncate(fd, 3) == 0 && fstat(fd, &st) == 0 &&
           st.st_size == 3,
       "shrink");
    OK(ftruncate(fd, 8) == 0 && pread(fd, buf, 8, 0) == 8 && !memcmp(buf, "abc\0\0\0\0\0", 8),
       "what was cut off stays cut off");
    OK(truncate("size", 5) == 0 && stat("size", &st) == 0 && st.st_size == 5, "truncate");
    FAILS(ftruncate(fd, -1), EINVAL, "negative size");
    int ro = open("size", O_RDONLY);
    FAILS(ftruncate(ro, 0), EINVAL, "truncating what is open for reading");
    OK(fallocate(fd, 0, 0, 10000) == 0 && fstat(fd, &st) == 0 && st.st_size == 10000,
       "fallocate grows");
    OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000) == 0 && fstat(fd, &st) == 0 &&
           st.st_size == 10000,
       "fallocate keeps the size");
    OK(fsync(fd) == 0 && fdatasync(fd) == 0, "fsync");
    OK(statfs(".", &sfs) == 0 && sfs.f_bsize > 0, "statfs");
    close(ro);
    close(fd);
}

static void attributes(void)
{
    struct stat st;
    struct statx sx;
    int fd = open("attr", O_CREAT | O_RDWR, 0600);
    OK(fchmod(fd, 0751) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0751, "fchmod");
    OK(S_ISREG(st.st_mode) && st.st_nlink == 1, "type and links");
    struct timespec ts[2] = {{1000000000, 5}, {1100000000, 7}};
    OK(utimensat(AT_FDCWD, "attr", ts, 0) == 0 && stat("attr", &st) == 0 &&
           st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_nsec == 7,
       "utimensat");
    ts[0].tv_nsec = UTIME_OMIT;
    ts[1].tv_nsec = UTIME_NOW;
    OK(futimens(fd, ts) == 0 && fstat(fd, &st) == 0 && st.st_atim.tv_sec == 1000000000 &&
           st.st_mtim.tv_sec > 1100000000,
       "UTIME_OMIT, UTIME_NOW");
    OK(statx(AT_FDCWD, "attr", 0, STATX_BASIC_STATS, &sx) == 0 && sx.stx_ino == st.st_ino &&
           sx.stx_mode == st.st_mode && sx.stx_size == 0,
       "statx");
    OK(access("attr", R_OK | W_OK) == 0, "access");
    FAILS(access("attr/x", F_OK), ENOTDIR, "access below a file");
    FAILS(access("attr", 64), EINVAL, "access with a bad mode");
    FAILS(stat("", &st), ENOENT, "stat of an empty path");
    OK(fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISREG(st.st_mode),
       "fstatat of the descriptor");
    FAILS(fstatat(999, "x", &st, 0), EBADF, "fstatat of no descriptor");
    close(fd);
}

static void descriptors(void)
{
    char buf[8];
    int p[2];
    int fd = open("a", O_RDWR);
    int d = dup(fd);
    OK(d > fd && lseek(fd, 4, SEEK_SET) == 4 && lseek(d, 0, SEEK_CUR) == 4,
       "duplicates share the position");
    OK(dup2(fd, 100) == 100 && dup2(fd, fd) == fd, "dup2");
    FAILS(dup2(999, 5), EBADF, "dup2 of nothing");
    FAILS(dup3(fd, fd, 0), EINVAL, "dup3 onto itself");
    OK(dup3(fd, 101, O_CLOEXEC) == 101 && fcntl(101, F_GETFD) == FD_CLOEXEC &&
           fcntl(100, F_GETFD) == 0,
       "close-on-exec of dup3");
    OK(syscall(SYS_close_range, 100u, 101u, 0) == 0 && fcntl(100, F_GETFD) == -1 &&
           fcntl(101, F_GETFD) == -1,
       "close_range");
    OK(pipe2(p, O_NONBLOCK) == 0, "pipe2");
    FAILS(read(p[0], buf, 1), EAGAIN, "empty pipe, nonblocking");
    OK(write(p[1], "pipe", 4) == 4 && read(p[0], buf, 8) == 4 && !memcmp(buf, "pipe", 4),
       "through a pipe");
    FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE, "seek on a pipe");
    FAILS(pread(p[0], buf, 1, 0), ESPIPE, "pread on a pipe");
    close(p[1]);
    OK(read(p[0], buf, 1) == 0, "writer gone: end of file");
    close(p[0]);
    OK(pipe(p) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR, "pipe");
    close(p[0]);
    FAILS(write(p[1], "x", 1), EPIPE, "reader gone: EPIPE");
    close(p[1]);
    close(d);
    close(fd);
}

static void copying(void)
{
    char data[200000], back[200000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    int in = open("in", O_CREAT | O_RDWR | O_TRUNC, 0600),
        out = open("out", O_CREAT | O_RDWR | O_TRUNC, 0600);
    OK(write(in, data, sizeof(data)) == (ssize_t)sizeof(data), "a large write");
    off_t off = 0;
    OK(sendfile(out, in, &off, sizeof(data)) == (ssize_t)sizeof(data) && off == (off_t)sizeof(data),
       "sendfile to a file");
    OK(pread(out, back, sizeof(back), 0) == (ssize_t)sizeof(back) &&
           !memcmp(data, back, sizeof(back)),
       "its data");
    loff_t from = 10, to = 0;
    OK(ftruncate(out, 0) == 0 && copy_file_range(in, &from, out, &to, 1000, 0) == 1000 &&
           pread(out, back, 1000, 0) == 1000 && !memcmp(data + 10, back, 1000),
       "copy_file_range");
    int mfd = memfd_create("mem", MFD_CLOEXEC);
    OK(mfd >= 0 && write(mfd, data, 4096) == 4096, "memfd_create");
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    OK(map != MAP_FAILED && !memcmp(map, data + 10, 1000), "a mapped file");
    map[3] = 'Z';
    OK(pread(out, back, 4, 0) == 4 && back[3] == 'Z', "a shared mapping writes the file");
    munmap(map, 8192);
    close(mfd);
    close(in);
    close(out);
}

int main(void)
{
    if (!OK(mkdtemp(dir) && chdir(dir) == 0, "a directory of its own"))
        return tap_end();
    opening();
    reading();
    sizes();
    attributes();
    descriptors();
    copying();
    return tap_end();
}
