// SPDX-License-Identifier: ISC
// Directories and names: make, list, rename, link, remove; the current directory; the errors of
// each.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tap.h"

static char dir[] = "/tmp/lith-dir-XXXXXX";

static int count_entries(const char *path, const char *want)
{
    DIR *d = opendir(path);
    int n = 0, found = 0;
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));) {
        n++;
        if (want && !strcmp(e->d_name, want))
            found++;
    }
    closedir(d);
    return want ? found : n;
}

static void touch(const char *path)
{
    close(open(path, O_CREAT | O_WRONLY, 0644));
}

static void making(void)
{
    struct stat st;
    OK(mkdir("d", 0755) == 0 && stat("d", &st) == 0 && S_ISDIR(st.st_mode) && st.st_nlink >= 1,
       "mkdir");
    FAILS(mkdir("d", 0755), EEXIST, "mkdir twice");
    FAILS(mkdir("no/d", 0755), ENOENT, "mkdir below nothing");
    FAILS(rmdir("no"), ENOENT, "rmdir of nothing");
    touch("d/f");
    FAILS(rmdir("d"), ENOTEMPTY, "rmdir of a full directory");
    FAILS(unlink("d"), EISDIR, "unlink of a directory");
    FAILS(rmdir("d/f"), ENOTDIR, "rmdir of a file");
    FAILS(unlink("d/f/x"), ENOTDIR, "unlink below a file");
    OK(unlink("d/f") == 0 && rmdir("d") == 0 && access("d", F_OK) == -1, "unlink, rmdir");
    FAILS(rmdir("."), EINVAL, "rmdir of the current directory");
    OK(mkfifo("fifo", 0600) == 0 && stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode) &&
           unlink("fifo") == 0,
       "mkfifo");
}

static void listing(void)
{
    char name[300], buf[64];
    mkdir("many", 0755);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "many/entry-%d", i);
        touch(name);
    }
    OK(count_entries("many", NULL) == 502, "500 entries and the two dots");
    OK(count_entries("many", "entry-499") == 1, "each once");
    DIR *d = opendir("many");
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            snprintf(name, sizeof(name), "many/%s", e->d_name);
            n += unlink(name) == 0;
        }
    closedir(d);
    OK(n == 500 && rmdir("many") == 0, "removing while listing");
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    FAILS(syscall(SYS_getdents64, fd, buf, 8), EINVAL, "getdents64 with no room");
    OK(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0, "getdents64");
    close(fd);
    touch("plain");
    fd = open("plain", O_RDONLY);
    FAILS(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOTDIR, "getdents64 of a file");
    close(fd);
}

static void renaming(void)
{
    struct stat a, b;
    touch("r1");
    stat("r1", &a);
    OK(rename("r1", "r2") == 0 && access("r1", F_OK) == -1 && stat("r2", &b) == 0 &&
           a.st_ino == b.st_ino,
       "rename");
    touch("r3");
    OK(rename("r2", "r3") == 0 && stat("r3", &b) == 0 && a.st_ino == b.st_ino, "rename replaces");
    touch("r4");
    FAILS(syscall(SYS_renameat2, AT_FDCWD, "r3", AT_FDCWD, "r4", 1), EEXIST, "RENAME_NOREPLACE");
    FAILS(rename("nothing", "x"), ENOENT, "rename of nothing");
    mkdir("rd", 0755);
    mkdir("rd/sub", 0755);
    FAILS(rename("rd", "rd/sub/x"), EINVAL, "a directory into itself");
    FAILS(rename("r3", "rd"), EISDIR, "a file onto a directory");
    FAILS(rename("rd", "r3"), ENOTDIR, "a directory onto a file");
    OK(rename("rd", "re") == 0 && access("re/sub", F_OK) == 0, "rename of a directory");
    OK(rename("r3", "re/r3") == 0 && access("re/r3", F_OK) == 0, "into another directory");
}

static void linking(void)
{
    struct stat st;
    char buf[64];
    touch("l1");
    OK(link("l1", "l2") == 0 && stat("l1", &st) == 0 && st.st_nlink == 2, "hard link");
    FAILS(link("l1", "l2"), EEXIST, "onto what exists");
    OK(unlink("l1") == 0 && stat("l2", &st) == 0 && st.st_nlink == 1, "the other name stays");
    OK(symlink("l2", "s") == 0 && lstat("s", &st) == 0 && S_ISLNK(st.st_mode), "symbolic link");
    OK(readlink("s", buf, sizeof(buf)) == 2 && !memcmp(buf, "l2", 2), "readlink");
    OK(readlink("s", buf, 1) == 1 && buf[0] == 'l', "readlink cuts off");
    OK(stat("s", &st) == 0 && S_ISREG(st.st_mode), "stat follows");
    FAILS(readlink("l2", buf, sizeof(buf)), EINVAL, "readlink of a file");
    FAILS(open("s", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW");
    symlink("loop2", "loop1");
    symlink("loop1", "loop2");
    FAILS(open("loop1", O_RDONLY), ELOOP, "a ring of links");
    symlink("nowhere", "dangling");
    FAILS(open("dangling", O_RDONLY), ENOENT, "a dangling link");
    OK(open("dangling", O_CREAT | O_WRONLY, 0600) >= 0 && access("nowhere", F_OK) == 0,
       "creating through it");
    int fd = open("l2", O_RDWR);
    OK(unlink("l2") == 0 && write(fd, "x", 1) == 1 && fstat(fd, &st) == 0 && st.st_nlink == 0,
       "an open file outlives its name");
    close(fd);
}

static void current(void)
{
    char buf[256], tiny[2];
    mkdir("cwd", 0755);
    OK(chdir("cwd") == 0 && getcwd(buf, sizeof(buf)) && strstr(buf, "/cwd"), "chdir, getcwd");
    errno = 0;
    OK(!getcwd(tiny, sizeof(tiny)) && errno == ERANGE, "getcwd with no room");
    OK(chdir("..") == 0 && getcwd(buf, sizeof(buf)) && !strcmp(buf, dir), "up again");
    FAILS(chdir("plain"), ENOTDIR, "chdir to a file");
    FAILS(chdir("nothing-here"), ENOENT, "chdir to nothing");
    int fd = open("cwd", O_RDONLY | O_DIRECTORY);
    OK(mkdirat(fd, "below", 0755) == 0 && access("cwd/below", F_OK) == 0, "mkdirat");
    int f = openat(fd, "below/f", O_CREAT | O_RDWR, 0600);
    OK(f >= 0 && access("cwd/below/f", F_OK) == 0, "openat");
    OK(unlinkat(fd, "below/f", 0) == 0 && unlinkat(fd, "below", AT_REMOVEDIR) == 0, "unlinkat");
    OK(fchdir(fd) == 0 && chdir("..") == 0, "fchdir");
    FAILS(openat(f, "x", O_RDONLY), ENOTDIR, "openat below a file");
    close(f);
    close(fd);
    OK(access("/../../tmp", F_OK) == 0, "the root's parent is the root");
}

int main(void)
{
    if (!OK(mkdtemp(dir) && chdir(dir) == 0, "a directory of its own"))
        return tap_end();
    making();
    listing();
    renaming();
    linking();
    current();
    return tap_end();
}
