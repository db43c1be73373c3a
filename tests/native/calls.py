# SPDX-License-Identifier: ISC
# What a program does to its kernel, for the native proof: threads, interval timer signals, socket
# pairs, fork and wait, shared memory, files, errors. Prints only what is the same in every run.
import errno
import mmap
import os
import select
import signal
import socket
import tempfile
import threading
import time

ticks = 0


def tick(number, frame):
    global ticks
    ticks += 1


signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

lock = threading.Lock()
total = 0


def work(n):
    global total
    for i in range(200):
        with lock:
            total += n
        if i % 50 == 0:
            time.sleep(0.001)


threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("threads", total)

left, right = socket.socketpair()
left.sendall(b"x" * 50000)
left.shutdown(socket.SHUT_WR)
received = b""
while chunk := right.recv(4096):
    received += chunk
print("socketpair", len(received))

shared = mmap.mmap(-1, 4096)
children = []
for i in range(4):
    pid = os.fork()
    if pid == 0:
        shared[i] = i + 1
        os._exit(i)
    children.append(pid)
print("fork", [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children], shared[:4])

with tempfile.TemporaryFile() as file:
    file.write(b"0123456789" * 1000)
    file.flush()
    os.fsync(file.fileno())
    view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    print("file", os.pread(file.fileno(), 4, 5), view[9995:])

read_end, write_end = os.pipe()
poll = select.epoll()
poll.register(read_end, select.EPOLLIN)
os.write(write_end, b"!")
print("epoll", len(poll.poll(1)))
for action in (lambda: os.open("/nonexistent", 0), lambda: os.close(9999), lambda: os.kill(1 << 22, 0)):
    try:
        action()
    except OSError as error:
        print("errno", errno.errorcode[error.errno])
while ticks < 10:
    signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
print("signals", ticks >= 10)
