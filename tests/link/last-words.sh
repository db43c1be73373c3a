#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# A program that exits, or is ended by a signal, closes its connections as on Linux: the peer gets all that was
# written, and hears of the end at once. Prints TAP.
# shellcheck disable=SC2034
: "${LITH_PLATFORMS:=kvm process qemu}"
. "$(dirname "$0")/../apps/lab.sh"
BIN=$LAB_TOP/build/tests/link/instances/last_words
mkdir -p "$(dirname "$BIN")"
"$LAB_TOP/build/bin/lith-cc" -std=gnu11 -O2 -Wall -Wextra -Werror "$LAB_TOP/tests/link/instances/last_words.c" -o "$BIN" ||
    { not_ok "the program is built"; lab_plan_end; exit 1; }
lab_enter "$@"

# Says two bytes; prints how many came back as they should be, and how it ended.
listen_to() { # [RECEIVE-BUFFER SECONDS]: so many seconds later
    timeout 30 python3 - $GUEST "$@" <<'END'
import socket, sys, time
s = socket.socket()
s.settimeout(10)
if len(sys.argv) > 2:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[2]))
s.connect((sys.argv[1], 80))
s.sendall(b"hi")
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[3]))
came, end = b"", "end"
try:
    while chunk := s.recv(65536):
        came += chunk
except ConnectionResetError:
    end = "reset"
except TimeoutError:
    end = "nothing more"
wanted = bytes(ord("a") + i % 26 for i in range(len(came)))
print(len(came) if came == wanted else "other bytes", end)
END
}
answers() { # MODE BYTES WANTED STATUS
    local got
    lab_start "$BIN" "$1" "$2"
    lab_wait_port 80 || return
    got=$(listen_to 2>&1)
    is "$1, $2 bytes: what the peer hears" "$got" "$3"
    wait "$LAB_PID"
    is "$1, $2 bytes: status" $? "$4"
    LAB_PID=''
}
each() {
    local hears got
    answers answer 20 "20 end" 3
    answers answer 100000 "100000 end" 3
    answers unread 20 "20 reset" 3
    # A peer that does not take it in time hears that there is no more.
    lab_start "$BIN" answer 100000
    if lab_wait_port 80; then
        got=$(listen_to 4096 1.5 2>&1)
        matches "a peer that waits too long: what it hears" "$got" '^[0-9]+ reset$'
        wait "$LAB_PID"
        is "a peer that waits too long: status" $? 3
        LAB_PID=''
    fi
    # A signal that the program does not handle.
    lab_start "$BIN" wait 500
    if lab_wait_port 80; then
        listen_to >"$LAB_TMP/heard" 2>&1 &
        hears=$!
        sleep 0.5
        lab_stop
        wait $hears
        is "SIGTERM: what the peer hears" "$(cat "$LAB_TMP/heard")" "500 end"
        is "SIGTERM: status" "$LAB_STATUS" 143
    fi
    # The first packet to somebody: his address has to be asked for.
    timeout 20 python3 -c 'import socket
s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("", 9999)); s.settimeout(15); print(s.recv(100).decode())' >"$LAB_TMP/heard" 2>&1 &
    hears=$!
    sleep 0.3
    lab_run 20 "$BIN" datagram $LAB_HOST 9999
    wait $hears
    is "a last datagram arrives" "$LAB_STATUS $(tail -n 1 "$LAB_TMP/heard")" "4 farewell"
}
lab_each_platform each
lab_plan_end
