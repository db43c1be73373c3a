#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# Slow peers, whose data together is more than the memory for packets: writers wait, as on Linux, instead of
# failing, and all of them go on. Prints TAP.
# shellcheck disable=SC2034
: "${LITH_PLATFORMS:=kvm process qemu}"
. "$(dirname "$0")/../apps/lab.sh"
BIN=$LAB_TOP/build/tests/link/instances/packet_memory
mkdir -p "$(dirname "$BIN")"
"$LAB_TOP/build/bin/lith-cc" -std=gnu11 -O2 -Wall -Wextra -Werror "$LAB_TOP/tests/link/instances/packet_memory.c" -o "$BIN" ||
    { not_ok "the program is built"; lab_plan_end; exit 1; }
lab_enter "$@"

# Connects N times, reads nothing for a second, then one after the other.
read_slowly() { # N
    timeout 100 python3 - $GUEST "$1" <<'END'
import socket, sys, time
wanted, peers, heard = bytes(i % 251 for i in range(100000)), [], {}
for _ in range(int(sys.argv[2])):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(15)
    for attempt in range(100):
        try:
            s.connect((sys.argv[1], 80))
            break
        except OSError:
            time.sleep(0.1)
    peers.append(s)
time.sleep(1)
for s in peers:
    came = b""
    try:
        while chunk := s.recv(65536):
            came += chunk
        how = "all" if came == wanted else "less" if wanted.startswith(came) else "other bytes"
    except OSError as e:
        how = str(e)
    heard[how] = heard.get(how, 0) + 1
    if how != "all" and sum(heard.values()) > 5:
        break
print(*(f"{how}: {n}" for how, n in sorted(heard.items())))
END
}
each() {
    lab_start -m 8M "$BIN" 100
    is "100 slow peers get everything" "$(read_slowly 100 2>&1)" "all: 100"
    for _ in $(seq 50); do kill -0 "$LAB_PID" 2>/dev/null || break; sleep 0.1; done
    kill -0 "$LAB_PID" 2>/dev/null && kill -KILL "$LAB_PID"
    wait "$LAB_PID"
    is "and the program ends" $? 0
    LAB_PID=''
}
lab_each_platform each
lab_plan_end
