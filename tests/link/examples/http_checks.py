#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# What examples/http answers to requests that clients rarely send. Usage: http_checks.py HOST PORT.
# Prints one line per case; the test compares them with the wanted ones below.
import re
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
LAST = GET + b"Connection: close\r\n\r\n"


def ask(data, piece=None):
    """Sends data (in pieces), reads until the server closes."""
    with socket.create_connection((HOST, PORT), timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(data), piece or len(data)):
            s.sendall(data[i : i + (piece or len(data))])
        out = b""
        while chunk := s.recv(65536):
            out += chunk
        return out


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


page = ask(LAST).split(b"\r\n\r\n", 1)[1]
CASES = [
    ("a page", LAST, [200]),
    ("a thousand pipelined", (GET + b"\r\n") * 999 + LAST, [200] * 1000),
    ("a query, another name", b"GET /index.html?a=b HTTP/1.1\r\nHost: x\r\n\r\n" + LAST, [200, 200]),
    ("no such page", b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [404]),
    ("HTTP/1.0 ends by itself", b"GET / HTTP/1.0\r\n\r\n", [200]),
    ("HEAD has no body", b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200]),
    ("a body is skipped", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7000\r\n\r\n" + b"y" * 7000 + LAST, [405, 200]),
    ("a head that is too large", GET + b"A: " + b"x" * 5000 + b"\r\n\r\n", [431]),
    ("nonsense", b"nonsense\r\n\r\n", [400]),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", [400]),
    ("two lengths", GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", [400]),
    ("a length that is none", GET + b"Content-Length: -1\r\n\r\n", [400]),
    ("chunks", GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [501]),
    ("a null byte", GET + b"A: \0\r\n\r\n", [400]),
    ("an old way to fold lines", GET + b"A: b\r\n c\r\n\r\n", [400]),
]
bad = 0
for name, request, wanted in CASES:
    answer = ask(request)
    good = statuses(answer) == wanted and answer.count(page) == (0 if "HEAD" in name else wanted.count(200))
    if not good:
        bad += 1
        print(f"{name}: wanted {wanted}, got {answer[:300]!r}")
if ask(LAST, 7) != ask(LAST):
    bad += 1
    print("a request in pieces of 7 bytes has another answer")
print(f"{len(CASES) + 1 - bad} of {len(CASES) + 1} as they should be")
sys.exit(bad != 0)
