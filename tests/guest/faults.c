// SPDX-License-Identifier: ISC
// Must-fault programs, one a name: each breaks one rule and must not live to tell. Run by
// tests/guest/faults.sh, which knows the report that each must give. Exit status 99: it survived.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char read_only[] = "constant";
static uint8_t data_code[16] = {0xc3};
static volatile int zero, limit = 1 << 30;

static void call(const void *p)
{
    void (*fn)(void);
    memcpy(&fn, &p, sizeof(fn));
    fn();
}

static void null_call(void)
{
    call((const void *)(uintptr_t)zero);
}
static void write_text(void)
{
    void (*fn)(void) = null_call;
    volatile uint8_t *p;
    memcpy(&p, &fn, sizeof(p));
    *p = 0xcc;
}
static void write_rodata(void)
{
    volatile char *p = (volatile char *)(uintptr_t)read_only;
    *p = 'x';
}
static void run_data(void)
{
    call(data_code);
}
static void run_stack(void)
{
    volatile uint8_t code[16] = {0xc3};
    call((const void *)(uintptr_t)code);
}
static void run_heap(void)
{
    uint8_t *code = malloc(64);
    *code = 0xc3;
    call(code);
}
static void run_mmap(void)
{
    uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *code = 0xc3;
    call(code);
}
static void null_read(void)
{
    volatile int *p = (volatile int *)(uintptr_t)zero;
    zero = *p;
}
static void null_write(void)
{
    volatile int *p = (volatile int *)(uintptr_t)(zero + 8);
    *p = 1;
}
__attribute__((noinline)) static int recurse(int depth)
{
    volatile char frame[512];
    frame[depth & 511] = (char)depth;
    return depth < limit ? recurse(depth + 1) + frame[depth & 511] : 0;
}
static void stack_overflow(void)
{
    zero = recurse(0);
}
__attribute__((noinline)) static void overflow(size_t n)
{
    char small[8];
    memset(small, 'A', n);
    __asm__ volatile("" ::"r"(small) : "memory");
}
static void stack_smash(void)
{
    overflow(64 + (size_t)zero);
}
static void write_gate_table(void)
{
    *(volatile uint64_t *)0x10000 = 0;
}
static void write_kernel_text(void)
{
    // The gate table holds addresses of kernel text: readable, so a program can find it, and must
    // not change it.
    volatile uint8_t *text = *(volatile uint8_t **)0x10000;
    *text = 0xcc;
}
static void read_beyond(void)
{
    volatile uint8_t *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    zero = *p;
}
static void divide(void)
{
    zero = 100 / zero;
}
static void illegal(void)
{
    __asm__ volatile("ud2");
}
static void privileged(void)
{
    __asm__ volatile("mov %%rax, %%dr0; mov %0, %%cr8" ::"r"(0ul) : "rax");
}
static void write_exec(void)
{
    // Not a fault: memory that is writable and executable at once is refused when it is asked for.
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED)
        exit(42);
}

static const struct {
    const char *name;
    void (*fn)(void);
} cases[] = {
    {"write_text", write_text},
    {"write_rodata", write_rodata},
    {"run_data", run_data},
    {"run_stack", run_stack},
    {"run_heap", run_heap},
    {"run_mmap", run_mmap},
    {"null_read", null_read},
    {"null_write", null_write},
    {"null_call", null_call},
    {"stack_overflow", stack_overflow},
    {"stack_smash", stack_smash},
    {"write_gate_table", write_gate_table},
    {"write_kernel_text", write_kernel_text},
    {"no_access", read_beyond},
    {"divide", divide},
    {"illegal", illegal},
    {"privileged", privileged},
    {"write_exec", write_exec},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 1 && !strcmp(argv[1], cases[i].name)) {
            cases[i].fn();
            printf("survived %s\n", argv[1]);
            return 99;
        }
        if (argc < 2)
            puts(cases[i].name);
    }
    return argc < 2 ? 0 : 98;
}
