// SPDX-License-Identifier: ISC
// Files, folders, mappings, pipes, sockets, waiting for them.
#define _GNU_SOURCE
#include "tap.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void descriptors(void)
{
    struct stat st;
    int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0640);
    tap(fd >= 0 && write(fd, "0123456789", 10) == 10, "open and write");
    char text[16] = "";
    tap(lseek(fd, 3, SEEK_SET) == 3 && read(fd, text, 4) == 4 && !strcmp(text, "3456"),
        "lseek and read");
    tap(pread(fd, text, 2, 8) == 2 && !memcmp(text, "89", 2), "pread");
    tap(!fstat(fd, &st) && st.st_size == 10 && (st.st_mode & 0777) == 0640, "fstat");
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    tap(map != MAP_FAILED && !memcmp(map, "0123", 4), "mmap");
    map[0] = 'x';
    tap(!munmap(map, 4096) && pread(fd, text, 1, 0) == 1 && text[0] == 'x', "munmap");
    tap(fcntl(fd, F_GETFL) != -1 && !ftruncate(fd, 5) && !close(fd), "fcntl, ftruncate, close");
    tap(!stat("data", &st) && st.st_size == 5 && !rename("data", "moved") && access("data", F_OK) &&
            !unlink("moved"),
        "stat, rename, access, unlink");
}

static void streams(void)
{
    FILE *f = fopen("lines", "w+");
    for (int i = 0; i < 10000; i++)
        fprintf(f, "line %d\n", i);
    rewind(f);
    char line[32];
    int count = 0;
    while (fgets(line, sizeof(line), f))
        count++;
    tap(count == 10000 && !strcmp(line, "line 9999\n"), "a stream written and read");
    tap(!fseek(f, 0, SEEK_END) && ftell(f) == 98890, "fseek and ftell");
    fclose(f);
    mkdir("folder", 0755);
    fclose(fopen("folder/a", "w"));
    fclose(fopen("folder/b", "w"));
    DIR *d = opendir("folder");
    int entries = 0;
    while (readdir(d))
        entries++;
    closedir(d);
    tap(entries == 4, "readdir");
    tap(!remove("folder/a") && !remove("folder/b") && !rmdir("folder") && !remove("lines"),
        "remove");
}

static void waiting(void)
{
    int p[2];
    char c;
    tap(!pipe2(p, O_CLOEXEC), "pipe2");
    struct pollfd pfd = {.fd = p[0], .events = POLLIN};
    tap(poll(&pfd, 1, 10) == 0, "poll times out");
    if (write(p[1], "x", 1) != 1)
        tap(0, "write to a pipe");
    tap(poll(&pfd, 1, 1000) == 1 && pfd.revents == POLLIN, "poll");
    fd_set set;
    FD_ZERO(&set);
    FD_SET(p[0], &set);
    tap(select(p[0] + 1, &set, 0, 0, &(struct timeval){.tv_sec = 1}) == 1, "select");
    int e = epoll_create1(0), n = eventfd(3, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = n};
    tap(!epoll_ctl(e, EPOLL_CTL_ADD, n, &event) && epoll_wait(e, &event, 1, 1000) == 1 &&
            event.data.fd == n,
        "epoll and eventfd");
    tap(read(p[0], &c, 1) == 1 && c == 'x', "read from a pipe");
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    tap((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 20000000,
        "nanosleep");
}

static void sockets(void)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;
    tap(!getaddrinfo("127.0.0.1", "0", &hints, &found) && found->ai_family == AF_INET,
        "getaddrinfo");
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    tap(!bind(server, found->ai_addr, found->ai_addrlen) && !listen(server, 5) &&
            !getsockname(server, (struct sockaddr *)&address, &len),
        "bind and listen");
    freeaddrinfo(found);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    tap(!connect(client, (struct sockaddr *)&address, len), "connect");
    int peer = accept(server, 0, 0);
    char text[8];
    tap(peer >= 0 && send(client, "hello", 5, 0) == 5 && recv(peer, text, sizeof(text), 0) == 5 &&
            !memcmp(text, "hello", 5),
        "accept, send, recv");
    struct iovec v = {.iov_base = text, .iov_len = 5};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    tap(sendmsg(peer, &m, 0) == 5 && recvmsg(client, &m, 0) == 5, "sendmsg and recvmsg");
}

int main(void)
{
    char folder[] = "/tmp/lith-link-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder))
        return 1;
    descriptors();
    streams();
    waiting();
    sockets();
    tap(!rmdir(folder), "rmdir");
    return tap_failed;
}
