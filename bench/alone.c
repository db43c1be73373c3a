// SPDX-License-Identifier: ISC
// What needs no load from outside: kernel calls, SQLite's speedtest1, starts, memory, sizes.
#include "bench/bench.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// The command of a program of the image bench-tools: natively, in an instance, in the guest.
static void tool_command(struct command *c, enum platform platform, const char *program,
                         const char *words)
{
    char argv[256];
    snprintf(argv, sizeof(argv), "/%s %s", program, words);
    if (platform == NATIVE) {
        bool sqlite = strcmp(program, "speedtest1") == 0;
        command_add(c, "%s/%s%s", options.out, sqlite ? "sqlite/" : "", program);
        command_words(c, words);
    } else if (platform == LINUX_GUEST) {
        command_linux_guest(c, NULL, argv);
    } else {
        command_instance(c, platform, NULL, NULL, "bench-tools", argv);
    }
}

static bool emulated(enum platform platform)
{
    return platform == QEMU || platform == LINUX_GUEST;
}

int alone_calls(enum platform platform)
{
    struct command c = {0};
    char text[8192], words[32], *at, *end;
    int count = 0;
    snprintf(words, sizeof(words), "%.2f", options.call_s);
    tool_command(&c, platform, "calls", words);
    capture(c.argv, SERVER_CORE, false, options.call_s * 20 + 60, text, sizeof(text));
    for (at = text; (at = strstr(at, "call-")) != NULL; at = end) {
        char name[40];
        size_t n = strcspn(at, " \n");
        end = at + n;
        if (n >= sizeof(name) || *end != ' ')
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)n, at);
        sample(platform, name, "time", "ns", true, strtod(end, &end));
        count++;
    }
    if (count == 0)
        note("calls on %s printed no figures: %.150s", platform_names[platform], text);
    return count > 0 ? 0 : -1;
}

int alone_speedtest(enum platform platform)
{
    struct command c = {0};
    char text[32768], words[64], *at;
    double limit = emulated(platform) ? 400 : 100;
    snprintf(words, sizeof(words), "--size %d --memdb :memory:", options.speed_size);
    snprintf(text, sizeof(text), "%s/sqlite/speedtest1", options.out);
    if (access(text, X_OK) != 0) {
        note("no speedtest1 (its sources could not be fetched): skipped");
        return -1;
    }
    tool_command(&c, platform, "speedtest1", words);
    capture(c.argv, SERVER_CORE, false, limit, text, sizeof(text));
    at = strstr(text, "TOTAL");
    at = at ? strpbrk(at, "0123456789") : NULL;
    if (!at) {
        note("speedtest1 on %s printed no total: %.150s", platform_names[platform], text);
        return -1;
    }
    sample(platform, "speedtest1", "time", "s", true, atof(at));
    return 0;
}

// ---- starts ----

// Milliseconds from exec to the first thing that main() does.
static double start_main(enum platform platform)
{
    struct command c = {0};
    char seen[512] = "";
    size_t used = 0;
    struct pollfd p = {.events = POLLIN};
    int64_t start, end;
    double ms = -1;
    pid_t pid;
    tool_command(&c, platform, "calls", "first");
    start = now_ns();
    end = start + (emulated(platform) ? 60 : 10) * 1000000000ll;
    pid = spawn(c.argv, SERVER_CORE, false, NULL, &p.fd);
    while (ms < 0 && now_ns() < end) {
        ssize_t n;
        if (poll(&p, 1, 1000) != 1)
            continue;
        n = read(p.fd, seen + used, sizeof(seen) - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
        seen[used] = 0;
        if (strstr(seen, "main\n") || strstr(seen, "main\r\n"))
            ms = (double)(now_ns() - start) / 1e6;
        if (used == sizeof(seen) - 1)
            used = 0;
    }
    for (ssize_t n = 1; n > 0 && ms >= 0 && now_ns() < end;)
        n = poll(&p, 1, 1000) == 1 ? read(p.fd, seen, sizeof(seen)) : 1;
    close(p.fd);
    end_process(pid, 1);
    return ms;
}

// Where an instance's start spends its time, by its boot chart: when the monitor was done, and when
// the program was about to start, in milliseconds from the monitor's exec.
static void start_chart(enum platform platform)
{
    static const char *const phases[] = {"  monitor ", "  process 1 "};
    struct command c = {0};
    char text[8192];
    command_instance(&c, platform, NULL, NULL, "--boot-chart bench-tools", "/calls first");
    if (capture(c.argv, SERVER_CORE, false, 60, text, sizeof(text)) != 0)
        return;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        char *at = strstr(text, phases[i]);
        if (at)
            sample(platform, "start-chart", i == 0 ? "monitor" : "program", "ms", true,
                   atof(at + strlen(phases[i])));
    }
}

static double last_line_number(char *text)
{
    char *end = text + strlen(text), *line;
    while (end > text && end[-1] == '\n')
        *--end = 0;
    line = strrchr(text, '\n');
    return atof(line ? line + 1 : text);
}

static double start_first_byte(enum platform platform)
{
    struct command c = {0};
    char text[1024];
    command_add(&c, "%s/first_byte", options.out);
    command_words(&c, "-n 1 -c 0");
    if (platform == NATIVE) {
        command_add(&c, "-N");
        command_add(&c, "%s", world_native_ns);
        command_words(&c, NATIVE_IP " 80 /usr/sbin/nginx -c");
        command_add(&c, "%s/native/nginx.conf", options.out);
        command_add(&c, "-p");
        command_add(&c, "%s/native", options.out);
    } else {
        command_words(&c, "-t " TAP " " INSTANCE_IP " 80");
        if (platform == LINUX_GUEST)
            command_linux_guest(&c, TAP, app_nginx.guest_argv);
        else
            command_instance(&c, platform, TAP, INSTANCE_IP, app_nginx.image, app_nginx.guest_argv);
        tap_wait(TAP, false, 5);
    }
    if (capture(c.argv, CLIENT_CORE, false, 60, text, sizeof(text)) != 0) {
        note("start-first-byte on %s: %.150s", platform_names[platform], text);
        return -1;
    }
    return last_line_number(text); // what the command itself said stands before it
}

int alone_start(enum platform platform)
{
    double main_ms[ROUNDS_MAX], byte_ms[ROUNDS_MAX];
    int starts = emulated(platform) ? 1 : options.starts;
    for (int i = 0; i < starts; i++) {
        main_ms[i] = start_main(platform);
        byte_ms[i] = start_first_byte(platform);
        if (!(main_ms[i] > 0) || !(byte_ms[i] > 0)) {
            note("start on %s failed", platform_names[platform]);
            return -1;
        }
    }
    if (platform != NATIVE && platform != LINUX_GUEST)
        start_chart(platform);
    // A turn's value is its median, as of everything else that is repeated within a turn.
    sample(platform, "start-main", "time", "ms", true, median_of(main_ms, starts));
    sample(platform, "start-first-byte", "time", "ms", true, median_of(byte_ms, starts));
    return 0;
}

// ---- memory ----

// Adds a process's memory, in bytes. The file's figures are in KiB.
static void add_memory(pid_t pid, double *private_bytes, double *shared_out_bytes)
{
    char path[64], line[128];
    double kib;
    FILE *f;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Private_Clean: %lf", &kib) == 1 ||
            sscanf(line, "Private_Dirty: %lf", &kib) == 1)
            *private_bytes += kib * 1024;
        if (sscanf(line, "Pss: %lf", &kib) == 1)
            *shared_out_bytes += kib * 1024;
    }
    if (f)
        fclose(f);
}

static void server_memory(const struct server *server, double *private_bytes, double *pss_bytes)
{
    pid_t pids[32];
    int count = server_processes(server, pids, 32);
    *private_bytes = *pss_bytes = 0;
    for (int i = 0; i < count; i++)
        add_memory(pids[i], private_bytes, pss_bytes);
}

int alone_memory_one(enum platform platform)
{
    struct server server;
    double private_bytes, pss_bytes;
    if (server_start(&server, platform, &app_nginx) < 0)
        return -1;
    usleep(300000); // what its start still had to do
    server_memory(&server, &private_bytes, &pss_bytes);
    server_stop(&server);
    sample(platform, "memory-1", "private", "bytes", true, private_bytes);
    sample(platform, "memory-1", "proportional", "bytes", true, pss_bytes);
    return 0;
}

// The Nth nginx: its own tap and address, or natively its own port.
static int start_nth(struct server *server, enum platform platform, int n, int *port)
{
    struct command c = {0};
    char command[1024], tap[16];
    *server = (struct server){.platform = platform, .name = "nginx"};
    snprintf(server->log, sizeof(server->log), "%s/log.many", options.out);
    if (platform == NATIVE) {
        *port = 8000 + n;
        snprintf(server->address, sizeof(server->address), NATIVE_IP);
        snprintf(command, sizeof(command),
                 "mkdir -p %1$s/native/%2$d && sed 's/listen 80/listen %3$d/; "
                 "s|native/nginx.pid|native/%2$d/nginx.pid|' "
                 "%1$s/native/nginx.conf >%1$s/native/%2$d/nginx.conf",
                 options.out, n, *port);
        if (system(command) != 0)
            return -1;
        command_words(&c, "/usr/sbin/nginx -c");
        command_add(&c, "%s/native/%d/nginx.conf", options.out, n);
        command_add(&c, "-p");
        command_add(&c, "%s/native/%d", options.out, n);
    } else {
        *port = 80;
        snprintf(tap, sizeof(tap), "many%d", n);
        snprintf(server->address, sizeof(server->address), "10.44.%d.2", n);
        snprintf(command, sizeof(command),
                 "ip tuntap add %1$s mode tap vnet_hdr && ip addr add 10.44.%2$d.1/24 dev %1$s && "
                 "ip link set %1$s up",
                 tap, n);
        if (system(command) != 0)
            return -1;
        command_instance(&c, platform, tap, server->address, app_nginx.image, app_nginx.guest_argv);
    }
    server->pid = spawn(c.argv, SERVER_CORE, platform == NATIVE, server->log, NULL);
    return server->pid > 0 ? 0 : -1;
}

int alone_memory_many(enum platform platform)
{
    static struct server servers[SAMPLES_MAX];
    int ports[SAMPLES_MAX], started = 0, answered = 0, left = 0;
    int64_t start = now_ns(), end = start + 120 * 1000000000ll;
    if (platform == QEMU || platform == LINUX_GUEST)
        return 0;
    while (started < options.instances &&
           start_nth(&servers[started], platform, started, &ports[started]) == 0)
        started++;
    for (int i = 0; i < started; i++) {
        while (!tcp_answers(servers[i].address, ports[i], 200) && now_ns() < end &&
               waitpid(servers[i].pid, NULL, WNOHANG) == 0)
            usleep(2000);
        answered += tcp_answers(servers[i].address, ports[i], 200);
    }
    sample(platform, "memory-50", "all-answer", "s", true, (double)(now_ns() - start) / 1e9);
    usleep(500000);
    for (int i = 0; i < started; i++) {
        double private_bytes, pss_bytes;
        server_memory(&servers[i], &private_bytes, &pss_bytes);
        sample(platform, "memory-50", "private", "bytes", true, private_bytes);
        sample(platform, "memory-50", "proportional", "bytes", true, pss_bytes);
    }
    for (int i = 0; i < started; i++)
        kill(servers[i].pid, 15);
    for (int i = 0; i < started; i++) {
        char command[64];
        end_process(servers[i].pid, 12);
        snprintf(command, sizeof(command), "ip link del many%d", i);
        if (platform != NATIVE && system(command) != 0)
            left++;
    }
    if (answered < options.instances || left)
        note("memory-50 on %s: %d of %d instances answered, %d taps left behind",
             platform_names[platform], answered, options.instances, left);
    return answered == options.instances ? 0 : -1;
}

// ---- sizes ----

static double file_bytes(const char *format, const char *folder)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), format, folder);
    return stat(path, &st) == 0 ? (double)st.st_size : -1;
}

int alone_sizes(enum platform platform)
{
    double kernel, image;
    if (platform == NATIVE)
        return 0;
    if (platform == LINUX_GUEST) {
        kernel = file_bytes("%s/linux/vmlinuz", options.out);
        image = file_bytes("%s/linux/initrd", options.out);
    } else {
        char text[4096], *at;
        struct command c = {0};
        kernel = file_bytes("%s/build/kernel/lith", options.tree);
        command_add(&c, "%s/build/bin/lith", options.tree);
        command_words(&c, "inspect test-nginx");
        image = -1;
        if (capture(c.argv, CLIENT_CORE, false, 20, text, sizeof(text)) == 0 &&
            (at = strstr(text, "\"root.erofs\":")) != NULL)
            image = atof(at + 13);
    }
    if (kernel > 0)
        sample(platform, "size-kernel", "size", "bytes", true, kernel);
    if (image > 0)
        sample(platform, "size-nginx-image", "size", "bytes", true, image);
    return 0;
}
