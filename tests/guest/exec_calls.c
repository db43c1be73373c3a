// SPDX-License-Identifier: ISC
// Program start: what does a program find on its stack and in /proc/self; does execve replace it?
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tap.h"

extern char **environ;
static char bss[100000];
static void *volatile bad_pointer = (void *)16;
static int data_word = 4711;
static __thread int tls_word = 17;

static void start_state(char **argv)
{
    OK((uintptr_t)argv % 8 == 0 && argv[0] && argv[0][0], "argv");
    OK(getauxval(AT_PAGESZ) == 4096, "AT_PAGESZ");
    OK(getauxval(AT_ENTRY) != 0 && getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 3,
       "AT_ENTRY, AT_PHDR, AT_PHNUM");
    const ElfW(Phdr) *ph = (const void *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned i = 0; i < getauxval(AT_PHNUM); i++)
        loads += ph[i].p_type == PT_LOAD;
    OK(loads >= 2, "the program headers are in memory");
    const unsigned char *random = (const void *)getauxval(AT_RANDOM);
    int zeros = 0;
    for (int i = 0; random && i < 16; i++)
        zeros += random[i] == 0;
    OK(random && zeros < 8, "AT_RANDOM");
    OK(getauxval(AT_SECURE) == 0 && getauxval(AT_CLKTCK) == 100, "AT_SECURE, AT_CLKTCK");
    OK(getauxval(AT_EXECFN) && strstr((const char *)getauxval(AT_EXECFN), "exec_calls"),
       "AT_EXECFN");
    OK(!strcmp((const char *)getauxval(AT_PLATFORM), "x86_64"), "AT_PLATFORM");
    int dirty = 0;
    for (size_t i = 0; i < sizeof(bss); i++)
        dirty |= bss[i];
    OK(!dirty && data_word == 4711 && tls_word == 17, "bss is zero, data and TLS are set");
    void *heap = malloc(3000000);
    OK(heap != NULL && sbrk(4096) != (void *)-1, "heap");
    free(heap);
}

static void proc_self(void)
{
    char buf[4096];
    ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf) - 1);
    OK(n > 0 && (buf[n] = 0, strstr(buf, "exec_calls")), "/proc/self/exe");
    int fd = open("/proc/self/cmdline", O_RDONLY);
    n = read(fd, buf, sizeof(buf));
    OK(n > 0 && buf[n - 1] == 0 && strstr(buf, "exec_calls"), "/proc/self/cmdline");
    close(fd);
    fd = open("/proc/self/maps", O_RDONLY);
    n = read(fd, buf, sizeof(buf) - 1);
    OK(n > 0 && (buf[n] = 0, strstr(buf, "exec_calls")), "/proc/self/maps");
    close(fd);
    fd = open("/proc/self/stat", O_RDONLY);
    n = read(fd, buf, sizeof(buf) - 1);
    OK(n > 0 && (buf[n] = 0, atoi(buf) == getpid()), "/proc/self/stat");
    close(fd);
    OK(access("/proc/self/status", R_OK) == 0 && access("/proc/self/limits", R_OK) == 0,
       "/proc/self/status, limits");
    char link[64], fdname[64];
    fd = open("/dev/null", O_RDWR);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, fdname, sizeof(fdname) - 1);
    OK(n == 9 && !memcmp(fdname, "/dev/null", 9), "/proc/self/fd");
    close(fd);
}

static void refusals(void)
{
    char *args[] = {(char *)(uintptr_t) "x", NULL};
    FAILS(execve("/nonexistent/program", args, environ), ENOENT, "execve of nothing");
    FAILS(execve("/dev/null", args, environ), EACCES, "execve of a device");
    FAILS(execve("/tmp", args, environ), EACCES, "execve of a directory");
    int fd = open("/tmp/lith-notelf", O_CREAT | O_TRUNC | O_WRONLY, 0755);
    write(fd, "\177ELFgarbage", 11);
    close(fd);
    FAILS(execve("/tmp/lith-notelf", args, environ), ENOEXEC, "execve of garbage");
    chmod("/tmp/lith-notelf", 0644);
    FAILS(execve("/tmp/lith-notelf", args, environ), EACCES, "execve without the x bit");
    unlink("/tmp/lith-notelf");
    fd = open("/tmp/lith-script", O_CREAT | O_TRUNC | O_WRONLY, 0755);
    write(fd, "#!/nonexistent/interpreter\n", 27);
    close(fd);
    FAILS(execve("/tmp/lith-script", args, environ), ENOENT, "a script without its interpreter");
    unlink("/tmp/lith-script");
    FAILS(execve(bad_pointer, args, environ), EFAULT, "bad path");
    FAILS(execve("/proc/self/exe", bad_pointer, environ), EFAULT, "bad argv");
}

// Third stage: the script's interpreter is this program; argv is [program, "as-script", script,
// ...].
static int script_stage(int argc, char **argv)
{
    tap_count = atoi(getenv("TAP_COUNT"));
    OK(argc == 4 && !strcmp(argv[1], "as-script") && !strcmp(argv[2], "/tmp/lith-self") &&
           !strcmp(argv[3], "last"),
       "a script's arguments");
    unlink("/tmp/lith-self");
    return tap_end() | atoi(getenv("TAP_FAILED"));
}

static void pass_on(char *count, char *failed)
{
    sprintf(count, "TAP_COUNT=%d", tap_count);
    sprintf(failed, "TAP_FAILED=%d", tap_failed);
}

static int second_stage(int argc, char **argv)
{
    char exe[512], count[32], failed[32];
    struct sigaction sa;
    tap_count = atoi(getenv("TAP_COUNT"));
    tap_failed = atoi(getenv("TAP_FAILED"));
    OK(argc == 3 && !strcmp(argv[2], "word with spaces"), "execve passes argv");
    OK(getenv("TAP_COUNT") && !getenv("PATH"), "and only the new environment");
    OK(fcntl(100, F_GETFD) == 0 && fcntl(101, F_GETFD) == -1, "close-on-exec");
    sigaction(SIGUSR1, NULL, &sa);
    OK(sa.sa_handler == SIG_DFL, "handlers are reset");
    sigaction(SIGUSR2, NULL, &sa);
    OK(sa.sa_handler == SIG_IGN, "ignored signals stay ignored");
    OK(data_word == 4711, "data is fresh");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n] = 0;
    FILE *f = fopen("/tmp/lith-self", "w");
    fprintf(f, "#! %s as-script\n", exe);
    fclose(f);
    chmod("/tmp/lith-self", 0755);
    pass_on(count, failed);
    char *args[] = {(char *)(uintptr_t) "replaced", (char *)(uintptr_t) "last", NULL},
         *env[] = {count, failed, NULL};
    execve("/tmp/lith-self", args, env);
    OK(0, "execve of a script");
    return 1;
}

static void handler(int sig)
{
    (void)sig;
}

int main(int argc, char **argv)
{
    char count[32], failed[32];
    if (argc > 1 && !strcmp(argv[1], "second"))
        return second_stage(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "as-script"))
        return script_stage(argc, argv);
    start_state(argv);
    proc_self();
    refusals();
    int fd = open("/dev/null", O_RDWR);
    dup2(fd, 100);
    dup3(fd, 101, O_CLOEXEC);
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    data_word = 0;
    pass_on(count, failed);
    char *args[] = {argv[0], (char *)(uintptr_t) "second", (char *)(uintptr_t) "word with spaces",
                    NULL};
    char *env[] = {count, failed, NULL};
    execve("/proc/self/exe", args, env);
    OK(0, "execve of itself");
    return tap_end();
}
