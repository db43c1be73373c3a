// SPDX-License-Identifier: ISC
// Deferred work: a kernel thread, started by the first piece of work, runs the pieces in order.
#include "sched/internal.h"

static struct list_head work_list = {&work_list, &work_list};
static struct wait_queue work_wait = WAIT_QUEUE_INIT(work_wait);
static struct thread *worker;

static void worker_main(void *arg)
{
    (void)arg;
    for (;;) {
        struct work *w;

        wait_event(&work_wait, !list_empty(&work_list), DEADLINE_NEVER, false);
        w = list_first(&work_list, struct work, link);
        list_del(&w->link);
        w->queued = false;
        w->fn(w); // may free w or queue it again
    }
}

void work_queue(struct work *w)
{
    if (w->queued)
        return;
    w->queued = true;
    list_add_tail(&w->link, &work_list);
    if (!worker) {
        if (thread_create(&worker, "worker", worker_main, NULL) < 0)
            panic("no memory for the worker thread");
        thread_start(worker);
    }
    wait_wake(&work_wait, 0, 1);
}
