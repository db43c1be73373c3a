// SPDX-License-Identifier: ISC
// Waiting for any of several files: the core of poll(2) and select(2). Private to linux/.
#ifndef LITH_LINUX_POLL_FILES_H
#define LITH_LINUX_POLL_FILES_H

#include "linux/waiting.h"

struct poll_request {
    struct file *file; // with a reference; NULL: nothing to ask
    unsigned wanted;   // EPOLL* bits; EPOLLERR and EPOLLHUP always count
    unsigned found;    // filled
};

// Number of requests with found bits; 0 at the deadline; -EINTR, -ENOMEM.
long poll_files(struct poll_request *req, unsigned count, uint64_t deadline);
void poll_release(struct poll_request *req, unsigned count); // drops references and frees req

#endif
