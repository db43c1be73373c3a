// SPDX-License-Identifier: ISC
// Servers on the server's core: start, readiness, end, their processes.
#include "bench/bench.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const struct app app_nginx = {
    .name = "nginx",
    .image = "test-nginx",
    .port = 80,
    .guest_argv = "/usr/sbin/nginx",
    .native_argv = "/usr/sbin/nginx -c @/native/nginx.conf -p @/native",
};
const struct app app_redis = {
    .name = "redis",
    .image = "test-redis",
    .port = 6379,
    .guest_argv = "/usr/bin/redis-server /etc/redis.conf",
    .native_argv = "/usr/bin/redis-server @/native/redis.conf --dir @/native",
};
const struct app app_udp = {
    .name = "udp_echo",
    .image = "bench-tools",
    .guest_argv = "/udp_echo",
    .native_argv = "@/udp_echo",
};

// Words in which @ stands for the output folder.
static void command_native(struct command *command, const char *words)
{
    char text[1024];
    size_t n = 0;
    for (; *words && n + strlen(options.out) + 1 < sizeof(text); words++) {
        if (*words == '@')
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", options.out);
        else
            text[n++] = *words;
    }
    text[n] = 0;
    command_words(command, text);
}

static bool udp_answers(const char *address, int port, int limit_ms)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct pollfd p = {.events = POLLIN};
    char byte = 0;
    bool got;
    inet_pton(AF_INET, address, &to.sin_addr);
    p.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    got = connect(p.fd, (struct sockaddr *)&to, sizeof(to)) == 0 && send(p.fd, &byte, 1, 0) == 1 &&
          poll(&p, 1, limit_ms) == 1 && recv(p.fd, &byte, 1, 0) == 1;
    close(p.fd);
    return got;
}

static void show_log(const struct server *server)
{
    char line[256], last[3][256] = {"", "", ""};
    FILE *f = fopen(server->log, "re");
    while (f && fgets(line, sizeof(line), f)) {
        memmove(last[0], last[1], sizeof(last) - sizeof(last[0]));
        memcpy(last[2], line, sizeof(line));
    }
    if (f)
        fclose(f);
    for (int i = 0; i < 3; i++)
        if (last[i][0])
            fprintf(stderr, "bench: %s: | %s", server->name, last[i]);
}

int server_start(struct server *server, enum platform platform, const struct app *app)
{
    struct command c = {0};
    bool emulated = platform == QEMU || platform == LINUX_GUEST;
    int64_t end = now_ns() + (emulated ? 120 : 20) * 1000000000ll;

    *server = (struct server){.platform = platform, .name = app->name};
    snprintf(server->address, sizeof(server->address), "%s",
             platform == NATIVE ? NATIVE_IP : INSTANCE_IP);
    snprintf(server->log, sizeof(server->log), "%s/log.%s.%s", options.out, app->name,
             platform_names[platform]);
    if (platform == NATIVE)
        command_native(&c, app->native_argv);
    else if (platform == LINUX_GUEST)
        command_linux_guest(&c, TAP, app->guest_argv);
    else
        command_instance(&c, platform, TAP, INSTANCE_IP, app->image, app->guest_argv);
    if (platform != NATIVE)
        tap_wait(TAP, false, 5);
    server->pid = spawn(c.argv, SERVER_CORE, platform == NATIVE, server->log, NULL);
    while (server->pid > 0 && now_ns() < end) {
        if (app->port ? tcp_answers(server->address, app->port, 250)
                      : udp_answers(server->address, 7, 250))
            return 0;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            server->pid = 0;
        usleep(5000);
    }
    note("%s on %s does not answer (%s)", app->name, platform_names[platform], server->log);
    show_log(server);
    server_stop(server);
    return -1;
}

void server_stop(struct server *server)
{
    if (server->pid > 0)
        end_process(server->pid, server->platform == LINUX_GUEST ? 0.5 : 12);
    server->pid = 0;
    if (server->platform != NATIVE)
        tap_wait(TAP, false, 5);
}

int server_processes(const struct server *server, pid_t *pids, int max)
{
    int count = 1;
    bool grew = true;
    pids[0] = server->pid;
    while (grew) {
        struct dirent *entry;
        DIR *proc = opendir("/proc");
        grew = false;
        while (proc && (entry = readdir(proc)) != NULL && count < max) {
            char path[64], text[512], *at;
            pid_t pid = atoi(entry->d_name), parent;
            bool ours = false, known = false;
            FILE *f;
            if (pid <= 0)
                continue;
            snprintf(path, sizeof(path), "/proc/%d/stat", pid);
            f = fopen(path, "re");
            if (!f)
                continue;
            at = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
            fclose(f);
            if (!at || sscanf(at + 1, " %*c %d", &parent) != 1)
                continue;
            for (int i = 0; i < count; i++) {
                ours |= pids[i] == parent;
                known |= pids[i] == pid;
            }
            if (ours && !known) {
                pids[count++] = pid;
                grew = true;
            }
        }
        if (proc)
            closedir(proc);
    }
    return count;
}

double server_cpu_s(const struct server *server)
{
    pid_t pids[64];
    int count = server_processes(server, pids, 64);
    double ns = 0;
    for (int i = 0; i < count; i++) {
        struct dirent *entry;
        char path[400];
        DIR *tasks;
        snprintf(path, sizeof(path), "/proc/%d/task", pids[i]);
        tasks = opendir(path);
        while (tasks && (entry = readdir(tasks)) != NULL) {
            double ran;
            FILE *f;
            snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pids[i], entry->d_name);
            f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
            if (f && fscanf(f, "%lf", &ran) == 1)
                ns += ran;
            if (f)
                fclose(f);
        }
        if (tasks)
            closedir(tasks);
    }
    return ns / 1e9;
}
