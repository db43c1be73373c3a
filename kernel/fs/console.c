// SPDX-License-Identifier: ISC
// The console as a file: what a program has as descriptors 0, 1 and 2. Reading gives end of file;
// standard output and standard error are two streams where the machine tells them apart. It needs
// no name: a program that opens no file has these and no tree of names.
#include "fs/vfs.h"

static long console_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    (void)f;
    (void)cmd;
    (void)arg;
    return -ENOTTY;
}

static ssize_t_k console_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    (void)f;
    (void)to;
    (void)pos;
    return 0;
}

static ssize_t_k console_out(struct iov_iter *from, int stream)
{
    char *block = kmalloc(PAGE_SIZE);
    size_t done = 0;
    if (!block)
        return -ENOMEM;
    while (from->left) {
        ssize_t_k n = iov_copy_from(from, block, MIN(from->left, PAGE_SIZE));
        if (n < 0) {
            kfree(block);
            return done ? (ssize_t_k)done : n;
        }
        plat_console_write(block, (size_t)n, stream);
        done += (size_t)n;
    }
    kfree(block);
    return (ssize_t_k)done;
}

static ssize_t_k stdout_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    (void)f;
    (void)pos;
    return console_out(from, 1);
}

static ssize_t_k stderr_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    (void)f;
    (void)pos;
    return console_out(from, 2);
}

const struct file_ops console_ops = {.name = "/dev/console",
                                     .mode = S_IFCHR | 0620,
                                     .read = console_read,
                                     .write = stdout_write,
                                     .ioctl = console_ioctl};
const struct file_ops console_err_ops = {.name = "/dev/console-err",
                                         .mode = S_IFCHR | 0620,
                                         .read = console_read,
                                         .write = stderr_write,
                                         .ioctl = console_ioctl};

int console_open(int fd, struct file **out)
{
    *out = file_create(fd == 2 ? &console_err_ops : &console_ops, NULL, O_RDWR);
    return *out ? 0 : -ENOMEM;
}
