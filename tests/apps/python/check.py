"""What a Python program asks of the system: run natively and in an instance, the output is the same."""
import asyncio, hashlib, json, math, os, queue, select, signal, socket, sys, tempfile, threading, time

print("numbers", 2 ** 100, math.sqrt(2), hashlib.sha256(b"lith").hexdigest()[:16])
with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "file")
    with open(path, "w") as f:
        f.write("line\n" * 1000)
    os.chmod(path, 0o640)
    os.symlink("file", os.path.join(d, "link"))
    os.rename(path, path + "2")
    s = os.stat(path + "2")
    print("files", sorted(os.listdir(d)), s.st_size, oct(s.st_mode), os.readlink(os.path.join(d, "link")))
    try:
        open(os.path.join(d, "link"))
    except OSError as e:
        print("error", e.errno, e.strerror)

q, done = queue.Queue(), []
def work():
    while (n := q.get()) is not None:
        done.append(sum(range(n)))
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[q.put(n) for n in range(0, 4000, 10)]
[q.put(None) for _ in threads]
[t.join() for t in threads]
print("threads", len(done), sum(done))

lock, total = threading.Lock(), [0]
def add():
    for _ in range(2000):
        with lock:
            total[0] += 1
threads = [threading.Thread(target=add) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print("lock", total[0])

t = time.monotonic()
print("wait", threading.Event().wait(0.05), 0.05 <= time.monotonic() - t < 2)

hits = []
signal.signal(signal.SIGALRM, lambda *a: hits.append(a[0]))
signal.setitimer(signal.ITIMER_REAL, 0.03)
time.sleep(0.2)
os.kill(os.getpid(), signal.SIGALRM)
print("signals", len(hits))

a, b = socket.socketpair()
a.sendall(b"x" * 100000) if False else a.send(b"ping")
print("pair", b.recv(10), select.select([a], [a], [], 0)[1] == [a])
server = socket.create_server(("127.0.0.1", 0))
def answer():
    c, _ = server.accept()
    data = b""
    while chunk := c.recv(65536):
        data += chunk
    c.sendall(hashlib.sha256(data).hexdigest().encode())
    c.close()
threading.Thread(target=answer).start()
c = socket.create_connection(server.getsockname())
c.sendall(b"lith" * 250000)
c.shutdown(socket.SHUT_WR)
print("loopback", c.recv(100)[:16])

async def main():
    async def handler(r, w):
        w.write((await r.readline()).upper())
        await w.drain()
        w.close()
    s = await asyncio.start_server(handler, "127.0.0.1", 0)
    async def ask(n):
        r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
        w.write(b"line %d\n" % n)
        return (await r.read()).decode().strip()
    print("asyncio", sorted(await asyncio.gather(*[ask(n) for n in range(20)]))[:3])
    s.close()
asyncio.run(main())
r, w = os.pipe()
os.write(w, b"through")
print("pipe", os.read(r, 100), os.get_blocking(r))
print("env", os.environ.get("LITH_TEST"), sys.argv[1:], json.dumps({"a": [1, None]}))
sys.exit(7)
