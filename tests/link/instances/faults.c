// SPDX-License-Identifier: ISC
// What must fault in a linked program, by name; tests/link/instances.sh has the status and the
// report that each must end in. "threads" must not: threads that never call share the CPU, keep
// their own variables, and do not hold up who sleeps.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void null(void)
{
    *(volatile int *)(uintptr_t)8 = 1;
}
static void text(void)
{
    *(volatile char *)(uintptr_t)text = 0;
}
static void constant(void)
{
    static const char word[] = "constant";
    *(volatile char *)(uintptr_t)word = 0;
}
// A function in memory that may be written.
static void call(void *at)
{
    void (*fn)(void);
    memcpy(&fn, &at, sizeof(fn));
    fn();
}
static void data(void)
{
    static char code[16] = {(char)0xc3};
    call(code);
}
static void heap(void)
{
    char *code = malloc(16);
    code[0] = (char)0xc3;
    call(code);
}
// The image's text where the kernel's map of all RAM shows it: small images lie at 64 KiB.
static void text_in_ram(void)
{
    *(volatile char *)(0x780000000000 + 0x10000) = 1;
}
static volatile int depth = 1 << 30;
static int deep(volatile char *above)
{
    volatile char here[4096];
    here[0] = above ? *above : 0;
    return depth-- ? deep(here) + here[0] : 0;
}
static void stack(void)
{
    deep(NULL);
}
static void *stack_of_thread(void *arg)
{
    deep(arg);
    return NULL;
}
static void thread_stack(void)
{
    pthread_t t;
    pthread_create(&t, NULL, stack_of_thread, NULL);
    pthread_join(t, NULL);
}
static void instruction(void)
{
    __asm__ volatile("ud2");
}
static void divide(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" ::: "eax", "ecx", "edx");
}
// Linked programs call; this instruction leads nowhere, on no machine.
static void raw_call(void)
{
    __asm__ volatile("syscall" ::"a"(39) : "rcx", "r11", "memory");
}
static void memory(void)
{
    for (;;)
        memset(malloc(1 << 20), 1, 1 << 20);
}
static void write_and_execute(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
}

static volatile int stop;
static __thread int mine;
static void *spin(void *arg)
{
    mine = *(int *)arg;
    volatile long turns = 0;
    while (!stop)
        turns++;
    return turns > 0 && mine == *(int *)arg ? arg : NULL;
}
static void threads(void)
{
    enum { THREADS = 4 };
    pthread_t t[THREADS];
    int number[THREADS], good = 0;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < THREADS; i++) {
        number[i] = i + 1;
        pthread_create(&t[i], NULL, spin, &number[i]);
    }
    usleep(200000);
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(t[i], &result);
        good += result == &number[i];
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    long ms = (long)(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
    printf("%d threads ran, %s, wall clock %s\n", good, ms >= 200 ? "not early" : "early",
           time(NULL) > 1600000000 ? "set" : "not set");
    exit(good == THREADS && ms < 5000 ? 7 : 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } cases[] = {{"null", null},
                 {"text", text},
                 {"constant", constant},
                 {"data", data},
                 {"heap", heap},
                 {"text-in-ram", text_in_ram},
                 {"stack", stack},
                 {"thread-stack", thread_stack},
                 {"instruction", instruction},
                 {"divide", divide},
                 {"raw-call", raw_call},
                 {"memory", memory},
                 {"write-and-execute", write_and_execute},
                 {"threads", threads},
                 {"sleep", (void (*)(void))pause}};
    for (unsigned i = 0; argc > 1 && i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        printf("case %s\n", argv[1]);
        fflush(stdout);
        cases[i].fn();
        printf("survived\n");
        return 0;
    }
    return 2;
}
