// SPDX-License-Identifier: ISC
// Maps the vDSO and its data page into a program. The pages are made once, when the first program
// starts, and shared by all.
#include <linux/errno.h>
#include <linux/mman.h>
#include "linux/process.h"
#include "linux/vdso_data.h"

#define VDSO_PAGES_MAX 4

extern const char vdso_image[], vdso_image_end[];

static uint64_t vdso_pa[1 + VDSO_PAGES_MAX]; // data page, image
static unsigned vdso_pages;

static int vdso_get_page(struct vm_object *o, uint64_t pgoff, bool for_write, uint64_t *pa)
{
    (void)o;
    if (for_write)
        return -EACCES;
    if (pgoff >= vdso_pages)
        return -ENXIO;
    *pa = vdso_pa[pgoff];
    page_ref(*pa);
    return 0;
}

static void vdso_ref(struct vm_object *o)
{
    (void)o; // it stays for ever
}

static const struct vm_object_ops vdso_ops = {
    .get_page = vdso_get_page,
    .ref = vdso_ref,
    .unref = vdso_ref,
};
static struct vm_object vdso_object = {&vdso_ops};

static void vdso_update(void)
{
    struct vdso_data *d = pa_to_va(vdso_pa[0]);
    uint64_t machine_offset;
    uint32_t seq = d->seq;

    WRITE_ONCE(d->seq, seq + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    plat_clock_params(&d->base_tsc, &d->mult, &d->shift, &machine_offset);
    d->realtime_offset_ns = (int64_t)machine_offset + clock_realtime_shift_ns();
    __atomic_thread_fence(__ATOMIC_RELEASE);
    WRITE_ONCE(d->seq, seq + 2);
}

static int vdso_make(void)
{
    size_t len = (size_t)(vdso_image_end - vdso_image);
    unsigned count = 1 + (unsigned)(ALIGN_UP(len, PAGE_SIZE) / PAGE_SIZE);

    ASSERT(count <= ARRAY_LEN(vdso_pa));
    for (unsigned i = 0; i < count; i++) {
        vdso_pa[i] = page_alloc(0, PAGE_ZERO);
        if (!vdso_pa[i]) {
            while (i--)
                page_unref(vdso_pa[i]);
            return -ENOMEM;
        }
    }
    for (unsigned i = 1; i < count; i++) {
        size_t at = (i - 1) * PAGE_SIZE;

        memcpy(pa_to_va(vdso_pa[i]), vdso_image + at, MIN(len - at, PAGE_SIZE));
    }
    vdso_pages = count;
    vdso_update();
    clock_realtime_changed = vdso_update;
    return 0;
}

long vdso_map(struct mm_space *s)
{
    uint64_t len;
    long addr;
    int err = vdso_pages ? 0 : vdso_make();

    if (err)
        return err;
    len = vdso_pages * PAGE_SIZE;
    addr = mm_map(s, 0, len, PROT_READ, MAP_PRIVATE, &vdso_object, 0);
    if (addr < 0)
        return addr;
    err = mm_protect(s, (uint64_t)addr + PAGE_SIZE, len - PAGE_SIZE, PROT_READ | PROT_EXEC);
    if (!err)
        err = mm_populate(s, (uint64_t)addr, len, false);
    if (err) {
        mm_unmap(s, (uint64_t)addr, len);
        return err;
    }
    mm_set_name(s, (uint64_t)addr, "[vvar]");
    mm_set_name(s, (uint64_t)addr + PAGE_SIZE, "[vdso]");
    return addr + (long)PAGE_SIZE;
}
