// SPDX-License-Identifier: ISC
// The KVM machine: creation in the order that is quick (memory slots before anything that registers
// an in-kernel device), the first register state of abi/boot.h, and the loop that answers exits.
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "abi/layout.h"
#include "monitor/monitor.h"

#define CR0_START    0x80050033ull
#define CR4_START    0x620ull // PAE, OSFXSR, OSXMMEXCPT
#define CR4_FSGSBASE (1ull << 16)
#define CR4_OSXSAVE  (1ull << 18)
#define EFER_START   0xd01ull // LME, LMA, NXE, SCE
#define XCR0_AVX     7ull
#define XCR0_AVX512  0xe0ull
#define APIC_BASE    0xfee00900ull // enabled, this is the boot CPU
#define MSI_ADDRESS  0xfee00000u   // physical, to APIC 0
#define CPUID_MAX    256
#define CONSOLE_MAX  65536u
#define IA32_TSC     0x10

// Not libc's ioctl(): musl's takes the request as an int.
static int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

enum virt host_virt(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 5))) // VMX
        return VIRT_VMX;
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d) && (c & (1u << 2))) // SVM
        return VIRT_SVM;
    return VIRT_NONE;
}

static void vm_ioctl(struct monitor *m, unsigned long request, void *arg, const char *what)
{
    if (kvm_ioctl(m->vm_fd, request, arg) < 0)
        fatal("KVM: %s: %s", what, strerror(errno));
}

static void vcpu_ioctl(struct monitor *m, unsigned long request, void *arg, const char *what)
{
    if (kvm_ioctl(m->vcpu_fd, request, arg) < 0)
        fatal("KVM: %s: %s", what, strerror(errno));
}

static int make_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        fatal("eventfd: %s", strerror(errno));
    return fd;
}

// Give the guest the CPU's features, and note those that need a control register.
static void set_cpuid(struct monitor *m)
{
    static union {
        struct kvm_cpuid2 head;
        uint8_t bytes[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
    } u;
    struct kvm_cpuid2 *list = &u.head;
    list->nent = CPUID_MAX;
    if (kvm_ioctl(m->kvm_fd, KVM_GET_SUPPORTED_CPUID, list) < 0)
        fatal("KVM: KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
    bool deadline = kvm_ioctl(m->kvm_fd, KVM_CHECK_EXTENSION,
                              (void *)(uintptr_t)KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    bool xsave = false;
    uint64_t xcr0 = 0;
    for (unsigned i = 0; i < list->nent; i++) {
        struct kvm_cpuid_entry2 *e = &list->entries[i];
        if (e->function == 1) {
            e->ebx = (e->ebx & 0x0000ffff) | 1u << 16; // one CPU, APIC id 0
            e->ecx |= deadline ? 1u << 24 : 0;
            xsave = e->ecx & (1u << 26);
        } else if (e->function == 7 && e->index == 0) {
            m->has_fsgsbase = e->ebx & 1;
        } else if (e->function == 0xb) {
            e->edx = 0; // x2APIC id
        } else if (e->function == 0xd && e->index == 0) {
            xcr0 = e->eax | (uint64_t)e->edx << 32;
        }
    }
    if (xsave && (xcr0 & XCR0_AVX) == XCR0_AVX)
        m->xcr0 = XCR0_AVX | ((xcr0 & XCR0_AVX512) == XCR0_AVX512 ? XCR0_AVX512 : 0);
    else if (xsave)
        m->xcr0 = 3;
    vcpu_ioctl(m, KVM_SET_CPUID2, list, "KVM_SET_CPUID2");
}

// The guest's TSC counts from the vCPU's creation unless told otherwise.
static void set_tsc(struct monitor *m)
{
    uint64_t offset = 0;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
    if (kvm_ioctl(m->vcpu_fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
        return;
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } msrs = {.head.nmsrs = 1, .entry.index = IA32_TSC};
    if (kvm_ioctl(m->vcpu_fd, KVM_GET_MSRS, &msrs) == 1)
        m->tsc_offset = msrs.entry.data - rdtsc();
}

static struct kvm_segment segment(uint16_t selector, uint8_t type)
{
    return (struct kvm_segment){
        .limit = 0xffffffff,
        .selector = selector,
        .type = type,
        .present = 1,
        .dpl = selector & 3,
        .s = 1,
        .l = type == 11, // code: 64-bit
        .db = type != 11,
        .g = 1,
    };
}

void kvm_set_registers(struct monitor *m)
{
    const struct lith_note_tables *t = &m->kernel.tables;
    const struct kvm_segment none = {.unusable = 1};
    bool user = m->ring == 3;
    struct kvm_sregs s = {
        .cs = segment(user ? LITH_SEL_UCODE : LITH_SEL_KCODE, 11),
        .ss = segment(user ? LITH_SEL_UDATA : LITH_SEL_KDATA, 3),
        .ds = none,
        .es = none,
        .fs = none,
        .gs = none,
        .ldt = none,
        .tr = {.limit = 0xffff, .type = 11, .present = 1},
        .cr0 = CR0_START,
        .cr3 = m->pml4_gpa,
        .cr4 = CR4_START | (m->has_fsgsbase ? CR4_FSGSBASE : 0) | (m->xcr0 ? CR4_OSXSAVE : 0),
        .efer = EFER_START,
        .apic_base = APIC_BASE,
    };
    if (user) { // ring 0 loads its tables itself
        s.gdt.base = m->kernel_base + t->gdt_off;
        s.gdt.limit = (uint16_t)t->gdt_limit;
        s.idt.base = m->kernel_base + t->idt_off;
        s.idt.limit = (uint16_t)t->idt_limit;
        s.tr.base = m->kernel_base + t->tss_off;
        s.tr.limit = (uint32_t)t->tss_limit;
        s.tr.selector = LITH_SEL_TSS;
        // KVM and VMX want the type "busy". With SVM, where it is not looked at, "available" makes
        // the I/O bitmap work under QEMU's TCG too, which accepts no other (the tests' machine).
        s.tr.type = m->virt == VIRT_SVM ? 9 : 11;
    }
    vcpu_ioctl(m, KVM_SET_SREGS, &s, "KVM_SET_SREGS");
    if (m->xcr0) {
        struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = m->xcr0}};
        vcpu_ioctl(m, KVM_SET_XCRS, &xcrs, "KVM_SET_XCRS");
    }
    struct kvm_regs regs = {
        .rip = m->kernel_base + t->start64_off,
        .rdi = LITH_DIRECT_BASE + m->boot_gpa,
        .rflags = user ? 0x202 : 2,
    };
    vcpu_ioctl(m, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

// Interrupts: one eventfd per device, and one for the signal, each routed as an MSI to its vector.
static void set_interrupts(struct monitor *m)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry[LITH_BOOT_DEV_MAX + 1];
    } routes = {.head.nr = m->dev_count + 1};
    for (unsigned i = 0; i <= m->dev_count; i++) {
        routes.entry[i].gsi = i;
        routes.entry[i].type = KVM_IRQ_ROUTING_MSI;
        routes.entry[i].u.msi.address_lo = MSI_ADDRESS;
        routes.entry[i].u.msi.data = i < m->dev_count ? LITH_VECTOR_DEVICE + i : LITH_VECTOR_SIGNAL;
    }
    vm_ioctl(m, KVM_SET_GSI_ROUTING, &routes, "KVM_SET_GSI_ROUTING");
    for (unsigned i = 0; i <= m->dev_count; i++) {
        int fd = make_eventfd();
        struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = i};
        vm_ioctl(m, KVM_IRQFD, &irqfd, "KVM_IRQFD");
        if (i < m->dev_count)
            m->irq_fd[i] = fd;
        else
            m->signal_irq_fd = fd;
    }
}

// A local APIC is all that the guest has. Without the PIC and the I/O APIC, which nobody uses, four
// registrations and their grace periods are saved.
static void create_irqchip(struct monitor *m)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP};
    if (kvm_ioctl(m->vm_fd, KVM_ENABLE_CAP, &split) < 0)
        vm_ioctl(m, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
}

static int add_doorbell(struct monitor *m, unsigned port)
{
    int fd = make_eventfd();
    struct kvm_ioeventfd doorbell = {
        .addr = port,
        .len = 2,
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_PIO,
    };
    vm_ioctl(m, KVM_IOEVENTFD, &doorbell, "KVM_IOEVENTFD");
    return fd;
}

static void set_doorbells(struct monitor *m)
{
    for (unsigned i = 0; i < 2; i++)
        m->kick_fd[i] = add_doorbell(m, LITH_PORT_NOTIFY + 2 * i);
}

static void set_memory(struct monitor *m)
{
    for (unsigned i = 0; i < m->mem.count; i++) {
        const struct mem_region *r = &m->mem.region[i];
        struct kvm_userspace_memory_region slot = {
            .slot = i,
            .flags = r->writable ? 0 : KVM_MEM_READONLY,
            .guest_phys_addr = r->gpa,
            .memory_size = r->len,
            .userspace_addr = (uintptr_t)r->host,
        };
        vm_ioctl(m, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
    }
}

static void create_cpu(struct monitor *m)
{
    m->vcpu_fd = kvm_ioctl(m->vm_fd, KVM_CREATE_VCPU, NULL);
    if (m->vcpu_fd < 0)
        fatal("KVM cannot create a CPU: %s", strerror(errno));
    int run_len = kvm_ioctl(m->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    void *run = run_len < 0 ? MAP_FAILED
                            : mmap(NULL, (size_t)run_len, PROT_READ | PROT_WRITE, MAP_SHARED,
                                   m->vcpu_fd, 0);
    if (run == MAP_FAILED)
        fatal("KVM: cannot map the CPU's state: %s", strerror(errno));
    m->run = run;
    // KVM's own counters of this CPU, for `lith stats`: it takes the descriptor from us. Old hosts
    // have none.
    kvm_ioctl(m->vcpu_fd, KVM_GET_STATS_FD, NULL);
}

// Several of these calls wait for an SRCU grace period, that is for kernel threads to get a CPU.
void kvm_create(struct monitor *m)
{
    m->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (m->kvm_fd < 0)
        fatal("cannot open /dev/kvm: %s", strerror(errno));
    do
        m->vm_fd = kvm_ioctl(m->kvm_fd, KVM_CREATE_VM, NULL);
    while (m->vm_fd < 0 && errno == EINTR);
    if (m->vm_fd < 0)
        fatal("KVM cannot create a machine: %s", strerror(errno));
    set_memory(m);
    create_irqchip(m);
    create_cpu(m);
    m->wake_fd = make_eventfd();
    if (m->has_net)
        set_doorbells(m);
    if (m->ring == 3) // its interrupts are posted: attention.c
        m->timer_fd = add_doorbell(m, LITH_PORT_TIMER);
    else
        set_interrupts(m);
    // Where ring 0 is not native (KVM-PVM) the CPUID calls cost 0.6 ms and change nothing for
    // ring 3.
    if (m->virt != VIRT_NONE) {
        set_cpuid(m);
        set_tsc(m);
    }
    int khz = kvm_ioctl(m->vcpu_fd, KVM_GET_TSC_KHZ, NULL);
    m->tsc_khz = khz > 0 ? (uint64_t)khz : 0;
    close(m->kvm_fd); // the machine's own descriptor stays: with it the irqfds would go
}

static unsigned long long guest_rip(struct monitor *m)
{
    struct kvm_regs regs = {0};
    kvm_ioctl(m->vcpu_fd, KVM_GET_REGS, &regs);
    return regs.rip; // after a triple fault SVM shows the reset address 0xfff0
}

// A broken guest: say where in the kernel it was, so that the kernel's symbols can be asked.
#define guest_fatal(m, format, ...)                                                            \
    do {                                                                                       \
        unsigned long long rip_ = guest_rip(m);                                                \
        fatal("guest stopped: " format " at rip 0x%llx (kernel base + 0x%llx)", ##__VA_ARGS__, \
              rip_, rip_ - (unsigned long long)(m)->kernel_base);                              \
    } while (0)

static void write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            ppoll(&p, 1, NULL, NULL);
        } else if (n < 0 && errno != EINTR) {
            return; // nobody reads any more: the instance goes on without a console
        }
    }
}

static void console_write(struct monitor *m, uint32_t value)
{
    struct lith_console_req req;
    if (!guest_mem_read(&m->mem, value, &req, sizeof req))
        guest_fatal(m, "console request outside memory (0x%x)", value);
    if (req.len == 0)
        return;
    const void *bytes = guest_mem_ptr(&m->mem, req.gpa, req.len, false);
    if (!bytes || req.len > CONSOLE_MAX || (req.stream != 1 && req.stream != 2))
        guest_fatal(m, "malformed console request (%u bytes at 0x%llx, stream %u)", req.len,
                    (unsigned long long)req.gpa, req.stream);
    m->stats->cpu.console_bytes += req.len;
    write_all((int)req.stream, bytes, req.len);
}

// Ring 3's halt. The guest has set shared.sleeping; whoever sets irq_pending or term_signal after
// that writes wake_fd, so that looking at them here first loses nothing.
static void wait_for_work(struct monitor *m, uint32_t value)
{
    struct lith_wait_req req;
    uint64_t drained;
    struct timespec timeout = {0};
    if (!guest_mem_read(&m->mem, value, &req, sizeof req))
        guest_fatal(m, "wait request outside memory (0x%x)", value);
    if (read(m->wake_fd, &drained, sizeof drained) > 0)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&m->shared->irq_pending, __ATOMIC_SEQ_CST) ||
        __atomic_load_n(&m->shared->term_signal, __ATOMIC_SEQ_CST))
        return;
    bool endless = req.deadline_tsc == UINT64_MAX;
    if (!endless) {
        uint64_t now = rdtsc() + m->tsc_offset;
        if (req.deadline_tsc <= now)
            return;
        if (m->tsc_khz == 0)
            guest_fatal(m, "wait with a deadline, but the TSC's rate is unknown");
        // At most 2^64 * 10^6 / khz: fits 128 bits; a day is as good as longer.
        unsigned __int128 ns = (unsigned __int128)(req.deadline_tsc - now) * 1000000 / m->tsc_khz;
        uint64_t day_ns = 86400ull * 1000000000ull;
        uint64_t wait_ns = ns > day_ns ? day_ns : (uint64_t)ns;
        timeout.tv_sec = (time_t)(wait_ns / 1000000000u);
        timeout.tv_nsec = (long)(wait_ns % 1000000000u);
    }
    struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
    uint64_t start = rdtsc();
    int woken = ppoll(&p, 1, endless ? NULL : &timeout, NULL);
    m->stats->cpu.wait_sleeps++;
    m->stats->cpu.wait_cycles += rdtsc() - start;
    if (woken > 0)
        (void)!read(m->wake_fd, &drained, sizeof drained);
}

static void port_exit(struct monitor *m)
{
    uint16_t port = m->run->io.port;
    uint32_t value = 0;
    struct lith_stats_cpu *count = &m->stats->cpu;
    *(port == LITH_PORT_CONSOLE ? &count->exit_console
      : port == LITH_PORT_WAIT  ? &count->exit_wait
      : port == LITH_PORT_EXIT  ? &count->exit_power
      : port == LITH_PORT_TRACE ? &count->exit_trace
                                : &count->exit_port) += 1;
    if (m->run->io.direction != KVM_EXIT_IO_OUT)
        guest_fatal(m, "read of port 0x%x", port);
    if (m->run->io.size != 4 || m->run->io.count != 1)
        guest_fatal(m, "write of %u bytes to port 0x%x", m->run->io.size * m->run->io.count, port);
    memcpy(&value, (uint8_t *)m->run + m->run->io.data_offset, 4);
    switch (port) {
    case LITH_PORT_CONSOLE:
        console_write(m, value);
        return;
    case LITH_PORT_EXIT:
        _exit((int)(value & 0xff));
    case LITH_PORT_WAIT:
        if (m->ring != 3)
            guest_fatal(m, "wait doorbell in ring 0");
        wait_for_work(m, value);
        return;
    case LITH_PORT_TRACE:
        return;
    default:
        guest_fatal(m, "write of 0x%x to unknown port 0x%x", value, port);
    }
}

_Noreturn void kvm_run_guest(struct monitor *m)
{
    struct lith_stats_cpu *count = &m->stats->cpu;
    for (;;) {
        if (kvm_ioctl(m->vcpu_fd, KVM_RUN, NULL) < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                count->exit_signal++;
                attention_deliver(m);
                continue;
            }
            count->exit_failed++;
            guest_fatal(m, "KVM_RUN: %s", strerror(errno));
        }
        switch (m->run->exit_reason) {
        case KVM_EXIT_IO:
            port_exit(m);
            break;
        case KVM_EXIT_INTR:
            count->exit_signal++;
            break;
        case KVM_EXIT_MMIO:
            count->exit_mmio++;
            guest_fatal(m, "%s of guest-physical address 0x%llx, where no memory is",
                        m->run->mmio.is_write ? "write" : "read",
                        (unsigned long long)m->run->mmio.phys_addr);
        case KVM_EXIT_SHUTDOWN:
            count->exit_shutdown++;
            guest_fatal(m, "triple fault");
        case KVM_EXIT_FAIL_ENTRY:
            count->exit_failed++;
            guest_fatal(m, "the CPU refused its state (0x%llx)",
                        (unsigned long long)m->run->fail_entry.hardware_entry_failure_reason);
        case KVM_EXIT_INTERNAL_ERROR:
            count->exit_failed++;
            guest_fatal(m, "KVM internal error %u", m->run->internal.suberror);
        default:
            count->exit_failed++;
            guest_fatal(m, "unexpected KVM exit %u", m->run->exit_reason);
        }
    }
}
