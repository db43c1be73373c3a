// SPDX-License-Identifier: ISC
// Areas of an address space: a red-black tree by address, cutting and joining, and the search for a
// gap. The search goes downwards from where the last one ended, and starts at the top again only
// when a hole that is big enough may have been passed: so a run of mmaps does not walk the tree.
#include "mm/internal.h"

#define AREA(n) ((n) ? container_of(n, struct vm_area, node) : NULL)

struct vm_area *area_find(struct mm_space *s, uint64_t addr)
{
    struct vm_area *best = NULL;
    if (s->last && addr >= s->last->start && addr < s->last->end)
        return s->last;
    for (struct rb_node *n = s->areas.node; n;) {
        struct vm_area *a = AREA(n);
        if (a->end > addr) {
            best = a;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    if (best)
        s->last = best;
    return best;
}

struct vm_area *area_next(struct vm_area *a)
{
    struct rb_node *n = rb_next(&a->node);
    return AREA(n);
}

struct vm_area *area_prev(struct vm_area *a)
{
    struct rb_node *n = rb_prev(&a->node);
    return AREA(n);
}

struct vm_area *area_new(struct mm_space *s)
{
    return s->area_count < MM_AREA_MAX ? kzalloc(sizeof(struct vm_area)) : NULL;
}

static void tree_insert(struct mm_space *s, struct vm_area *a)
{
    struct rb_node *parent = NULL, **link = &s->areas.node;
    while (*link) {
        parent = *link;
        link = a->start < AREA(parent)->start ? &parent->left : &parent->right;
    }
    rb_insert(&s->areas, &a->node, parent, link);
}

void area_link(struct mm_space *s, struct vm_area *a)
{
    tree_insert(s, a);
    s->area_count++;
    s->pages += area_pages(a);
    s->sequence++;
}

void area_unlink(struct mm_space *s, struct vm_area *a)
{
    struct vm_area *above = area_next(a);
    rb_remove(&s->areas, &a->node);
    s->area_count--;
    s->pages -= area_pages(a);
    s->sequence++;
    if (s->last == a)
        s->last = NULL;
    if (a->start >= s->hint) // the gap that grew may serve the next search
        s->hint = above ? MIN(above->start, s->mmap_top) : s->mmap_top;
    a->dead_next = s->dead;
    s->dead = a;
}

struct vm_area *area_split(struct mm_space *s, struct vm_area *a, uint64_t addr)
{
    struct vm_area *upper = area_new(s);
    if (!upper)
        return NULL;
    *upper = *a;
    upper->start = addr;
    upper->off = a->obj ? a->off + (addr - a->start) : 0;
    if (a->obj)
        a->obj->ops->ref(a->obj);
    a->end = addr;
    tree_insert(s, upper);
    s->area_count++;
    s->sequence++;
    return upper;
}

static bool mergeable(const struct vm_area *a, const struct vm_area *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->obj == b->obj &&
           a->lazy == b->lazy && !(a->flags & MAP_GROWSDOWN) &&
           (!a->obj || a->off + (a->end - a->start) == b->off) &&
           memcmp(a->name, b->name, sizeof(a->name)) == 0;
}

// Joins neighbours that touch [start, end] and are alike.
void area_merge_around(struct mm_space *s, uint64_t start, uint64_t end)
{
    struct vm_area *a = area_find(s, start ? start - 1 : 0);
    while (a && a->start <= end) {
        struct vm_area *n = area_next(a);
        if (n && mergeable(a, n)) {
            uint64_t n_end = n->end;
            area_unlink(s, n);
            s->pages += (n_end - a->end) >> PAGE_SHIFT;
            a->end = n_end;
        } else {
            a = n;
        }
    }
}

bool area_range_free(struct mm_space *s, uint64_t start, uint64_t end)
{
    struct vm_area *a = area_find(s, start);
    return !a || a->start >= end;
}

// Where the addresses that an area claims begin: a stack claims what it may still grow into.
static uint64_t claimed_start(const struct vm_area *a)
{
    uint64_t room = MM_STACK_MAX + MM_STACK_GAP;
    if (!(a->flags & MAP_GROWSDOWN) || a->end <= LITH_USER_MIN + room)
        return a->start;
    return MIN(a->start, a->end - room);
}

// Highest gap of len that ends at or below `top`, or 0; *hole: the biggest hole that was too small.
static uint64_t search_down(struct mm_space *s, uint64_t top, uint64_t len, uint64_t *hole)
{
    struct vm_area *a = area_find(s, top - 1);
    struct rb_node *last = rb_last(&s->areas);
    if (!a)
        a = AREA(last);
    else if (a->start >= top) {
        top = MIN(top, claimed_start(a));
        a = area_prev(a);
    }
    for (;; a = area_prev(a)) {
        uint64_t floor = a ? MAX(a->end, LITH_USER_MIN) : LITH_USER_MIN;
        if (top > floor) {
            if (top - floor >= len)
                return top - len;
            *hole = MAX(*hole, top - floor);
        }
        if (!a)
            return 0;
        top = MIN(top, claimed_start(a));
    }
}

long area_find_gap(struct mm_space *s, uint64_t hint, uint64_t len)
{
    uint64_t at;
    if (len > LITH_USER_END - LITH_USER_MIN)
        return -ENOMEM;
    hint = ALIGN_DOWN(hint, PAGE_SIZE);
    if (hint >= LITH_USER_MIN && hint <= LITH_USER_END - len &&
        area_range_free(s, hint, hint + len)) {
        struct vm_area *above = area_find(s, hint + len);
        if (!above || claimed_start(above) >= hint + len)
            return (long)hint;
    }
    if (len > s->hint_hole) {
        at = search_down(s, s->hint, len, &s->hint_hole);
        if (at) {
            s->hint = at;
            return (long)at;
        }
    }
    s->hint_hole = 0;
    at = search_down(s, s->mmap_top, len, &s->hint_hole);
    if (at) {
        s->hint = at;
        return (long)at;
    }
    uint64_t unused = 0; // nothing below the base: what randomisation left above it
    at = search_down(s, LITH_USER_END, len, &unused);
    return at ? (long)at : -ENOMEM;
}

void space_unlock(struct mm_space *s)
{
    struct vm_area *dead = s->dead;
    s->dead = NULL;
    plat_map_done();
    spin_unlock(&s->lock);
    while (dead) { // unref may sleep: not under the lock
        struct vm_area *a = dead;
        dead = a->dead_next;
        if (a->obj)
            a->obj->ops->unref(a->obj);
        kfree(a);
    }
}
