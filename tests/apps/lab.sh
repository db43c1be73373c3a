# SPDX-License-Identifier: ISC
# The laboratory of the app tests: gives a script network and process namespaces of its own (they and
# everything started in them vanish with the script), a tap device to an instance, the instance
# itself, and TAP lines. A script begins and ends so:
#
#   . "$(dirname "$0")/lab.sh"
#   lab_images FUNCTION             makes the images; needs the network, so it comes before
#   lab_enter "$@"                  starts the script again inside; prints a skip where that is denied
#   lab_plan_end                    prints the plan
#
# Addresses: the host's end of the tap is 10.42.0.1, the instance is 10.42.0.2 ($GUEST); with
# LAB_LINK=lossy the link between them loses frames (tests/apps/lossy.c, LOSSY_* variables).
# Settings from outside: LITH_PLATFORMS (default "qemu qemu-ring3 kvm process"; also `native`, which runs
# the same checks against the host's own program), LAB_KEEP=1 keeps the scratch folder.
# shellcheck shell=bash
set -uo pipefail

LAB_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LAB_BUILD=$LAB_TOP/build/tests/apps
GUEST=10.42.0.2
LAB_HOST=10.42.0.1
LAB_MAC=52:54:00:4c:49:54
: "${LITH_PLATFORMS:=qemu qemu-ring3 kvm process}"
PATH=$PATH:/usr/sbin:/sbin

lab_skip_all() { # REASON
    echo "1..0 # SKIP $1"
    exit 0
}

LAB_TMP=$(mktemp -d "${TMPDIR:-/tmp}/lith-lab.XXXXXX")
LAB_COUNT=0 LAB_FAILED=0 LAB_PID='' LAB_LOG=$LAB_TMP/console LAB_OPTS=() LAB_STARTS=0 PLATFORM=''
LAB_SHELL=$BASHPID
lab_exit() {
    local status=$?
    [ $BASHPID = "$LAB_SHELL" ] || exit $status # a subshell that was killed before it dropped this trap
    [ -z "$LAB_PID" ] || kill -KILL "$LAB_PID" 2>/dev/null
    [ -n "${LAB_KEEP:-}" ] || rm -rf "$LAB_TMP"
    [ $status != 0 ] || [ "$LAB_FAILED" = 0 ] || exit 1
}
trap lab_exit EXIT
trap 'exit 143' TERM INT

# ---- results ----

lab_label() { echo "$1${PLATFORM:+ ($PLATFORM)}"; }
ok() { # TEXT
    LAB_COUNT=$((LAB_COUNT + 1))
    echo "ok $LAB_COUNT - $(lab_label "$1")"
}
not_ok() { # TEXT [DETAIL...]: the console's end comes with it
    LAB_COUNT=$((LAB_COUNT + 1)) LAB_FAILED=$((LAB_FAILED + 1))
    echo "not ok $LAB_COUNT - $(lab_label "$1")"
    shift
    [ $# = 0 ] || printf '%s\n' "$@" | head -n 40 | sed 's/^/#   /'
    if [ -s "$LAB_LOG" ]; then
        echo "#   the instance's console:"
        tail -n 25 "$LAB_LOG" | sed 's/^/#   | /'
    fi
}
skip() { # TEXT REASON
    LAB_COUNT=$((LAB_COUNT + 1))
    echo "ok $LAB_COUNT - $(lab_label "$1") # SKIP $2"
}
is() { # TEXT GOT WANTED
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got:    ${2:0:2000}" "wanted: ${3:0:2000}"; fi
}
matches() { # TEXT GOT EXTENDED-REGEX
    if [[ "$2" =~ $3 ]]; then ok "$1"; else not_ok "$1" "got:    ${2:0:2000}" "wanted: $3"; fi
}
works() { # TEXT COMMAND...: status 0 is enough
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$text"; else not_ok "$text" "status $? of: $*" "$out"; fi
}
same_file() { # TEXT GOT WANTED
    if cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1" "$(diff -a "$2" "$3" 2>&1 | head -n 20)"; fi
}
lab_note() { printf '# %s\n' "$*"; }
lab_plan_end() { echo "1..$LAB_COUNT"; }

# ---- images: one store for all app tests and the benchmarks ----

export XDG_DATA_HOME=$LAB_TOP/build/tests/store
LITH=$LAB_TOP/build/bin/lith
# The kernel that was built last, whatever the stored images carry.
export LITH_KERNEL=${LITH_KERNEL:-$LAB_TOP/build/kernel/lith}

lab_need() { # FILE...
    local f
    for f in "$@"; do
        [ -e "$f" ] || { not_ok "needs $f" "make it: make all apps-tests"; lab_plan_end; exit 1; }
    done
}

# Makes image NAME by `lith COMMAND...` unless the store has one that is newer than the tool and
# the files in DEPENDS.
lab_image() { # NAME DEPENDS COMMAND...
    local name=$1 stamp=$XDG_DATA_HOME/stamp-$1 depends=$2 out start=$SECONDS
    shift 2
    mkdir -p "$XDG_DATA_HOME"
    exec 8>"$XDG_DATA_HOME/lock"
    flock 8
    # shellcheck disable=SC2086
    if [ ! -e "$stamp" ] || [ "$LITH"-image -nt "$stamp" ] || [ -n "$(find $depends -newer "$stamp" 2>/dev/null)" ]; then
        rm -f "$stamp"
        if ! out=$(timeout 300 "$LITH" "$@" 2>&1); then
            flock -u 8
            not_ok "image $name is made: lith $*" "$out"
            return 1
        fi
        touch "$stamp"
        lab_note "image $name made in $((SECONDS - start)) s"
    fi
    flock -u 8
}
# Runs FUNCTION (of lab_import and lab_build) outside the namespaces, once.
lab_images() { # FUNCTION
    [ -z "${LAB_INSIDE:-}" ] || return 0
    "$1" && return
    lab_plan_end
    exit 1
}
lab_import() { # NAME PACKAGES
    lab_image "$1" /dev/null import "deb:$2" "$1"
}
lab_build() { # NAME BASE FOLDER
    lab_image "$1" "$3 $XDG_DATA_HOME/stamp-$2" build -q -t "$1" "$3"
}

# ---- wires ----

lab_wire() {
    ip link set lo up
    ip link delete lab 2>/dev/null
    # shellcheck disable=SC2086
    ip tuntap add lab mode tap $LAB_VNET || lab_skip_all "no tap device can be made here"
    ip addr add $LAB_HOST/24 dev lab
    # An address that nobody answers for yet is asked for often, not once a second.
    echo 50 >/proc/sys/net/ipv4/neigh/lab/retrans_time_ms 2>/dev/null
    echo 200 >/proc/sys/net/ipv4/neigh/lab/mcast_solicit 2>/dev/null
    echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse 2>/dev/null # ab makes many connections
    echo "10000 65000" >/proc/sys/net/ipv4/ip_local_port_range
    ip link set lab up
}
LAB_LOSSY='' LAB_VNET=vnet_hdr
[ "${LAB_LINK:-}" != lossy ] || LAB_LOSSY=1 LAB_VNET=

# Goes on with the script in namespaces: as root directly, else through a user namespace.
lab_enter() { # "$@"
    local try
    if [ -n "${LAB_INSIDE:-}" ]; then
        lab_wire
        return
    fi
    rm -rf "$LAB_TMP"
    for try in "" "--map-root-user"; do
        # shellcheck disable=SC2086
        if unshare $try --net --pid --fork --kill-child --mount-proc sh -c 'ip link set lo up && ip tuntap add lab mode tap' 2>/dev/null; then
            # shellcheck disable=SC2086
            LAB_INSIDE=1 exec unshare $try --net --pid --fork --kill-child --mount-proc "$BASH" "$0" "$@"
        fi
    done
    lab_skip_all "no right to make network namespaces and tap devices here"
}

# ---- instances ----

# A QEMU that starts the kernel in ring 3: the word is added to the boot configuration.
lab_qemu_ring3() {
    cat >"$LAB_TMP/qemu-ring3" <<'END'
#!/bin/bash
args=()
for a in "$@"; do
    [ "${last:-}" != -append ] || a="$a ring=3"
    args+=("$a")
    last=$a
done
exec qemu-system-x86_64 "${args[@]}"
END
    chmod +x "$LAB_TMP/qemu-ring3"
    echo "$LAB_TMP/qemu-ring3"
}

lab_platform_missing() { # prints why $PLATFORM cannot be used here
    case $PLATFORM in
    kvm)
        [ -e /dev/kvm ] || { echo "no /dev/kvm on this host"; return; }
        "$LITH" info 2>/dev/null | grep -q '^KVM: *works' || echo "/dev/kvm does not work here"
        ;;
    esac
}

# Calls FUNCTION once for each platform; a platform that is missing is one skipped test.
lab_each_platform() { # FUNCTION
    local why
    for PLATFORM in $LITH_PLATFORMS; do
        why=$(lab_platform_missing)
        if [ -n "$why" ]; then skip "$1" "$why"; else "$1"; fi
        [ -z "$LAB_PID" ] || lab_kill
    done
    PLATFORM=''
}

# Starts an instance in the background: console in $LAB_LOG. LAB_OPTS are further options of run.
# On platform `native` LAB_NATIVE is the command instead.
lab_start() { # IMAGE [ARG...]
    local opts=() net=(--net tap:lab)
    LAB_LOG=$LAB_TMP/console.$((++LAB_STARTS))
    case $PLATFORM in
    native)
        ip addr replace $GUEST/32 dev lo
        "${LAB_NATIVE[@]}" >"$LAB_LOG" 2>&1 8>&- </dev/null &
        LAB_PID=$!
        return
        ;;
    qemu) opts+=(--platform qemu) ;;
    qemu-ring3) opts+=(--platform qemu) && export LITH_QEMU && LITH_QEMU=$(lab_qemu_ring3) ;;
    kvm | process) opts+=(--platform "$PLATFORM") ;;
    esac
    [ "$PLATFORM" = qemu-ring3 ] || unset LITH_QEMU
    if [ -n "${LAB_LOSSY:-}" ]; then
        net=(--net user) # the tool starts the lossy link in passt's place
        export LITH_PASST=$LAB_BUILD/lossy LOSSY_TAP=lab LOSSY_STATS=$LAB_TMP/lossy.stats
        opts+=(--mac-address $LAB_MAC)
    fi
    ip neigh flush dev lab
    "$LITH" run "${opts[@]}" "${net[@]}" --ip $GUEST/24 \
        --gateway $LAB_HOST "${LAB_OPTS[@]}" "$@" >"$LAB_LOG" 2>&1 8>&- </dev/null &
    LAB_PID=$!
}

lab_alive() { kill -0 "$LAB_PID" 2>/dev/null; }

# Waits till a TCP port of the instance takes a connection. A failed start is a failed test.
lab_wait_port() { # PORT [SECONDS]
    local end=$((SECONDS + ${2:-20}))
    while lab_alive && [ $SECONDS -lt $end ]; do
        timeout 0.5 bash -c "exec 3<>/dev/tcp/$GUEST/$1" 2>/dev/null && return 0
        sleep 0.05
    done
    if lab_alive; then
        not_ok "port $1 answers within ${2:-20} s"
        lab_kill
    else
        wait "$LAB_PID"
        not_ok "port $1 answers" "the instance ended with status $?"
        LAB_PID=''
    fi
    return 1
}

# SIGTERM, then the wait for the end (bounded). Its status is left in LAB_STATUS.
lab_stop() { # [SECONDS]
    local guard
    kill -TERM "$LAB_PID" 2>/dev/null
    (sleep "${1:-15}" && kill -KILL "$LAB_PID") 2>/dev/null &
    guard=$!
    wait "$LAB_PID"
    LAB_STATUS=$?
    kill $guard 2>/dev/null
    wait $guard 2>/dev/null
    LAB_PID=''
}
lab_kill() {
    local i
    kill -KILL "$LAB_PID" 2>/dev/null
    wait "$LAB_PID" 2>/dev/null
    LAB_PID=''
    # The machine dies by the death of its parent, and lets go of the tap a little later.
    for i in $(seq 1 100); do
        ip link show lab | grep -q NO-CARRIER && break
        sleep 0.02
    done
}
# Runs an instance to its end: output in $LAB_LOG, status in LAB_STATUS.
lab_run() { # SECONDS IMAGE [ARG...]
    local guard limit=$1
    shift
    lab_start "$@"
    (sleep "$limit" && kill -KILL "$LAB_PID") 2>/dev/null &
    guard=$!
    wait "$LAB_PID"
    LAB_STATUS=$?
    kill $guard 2>/dev/null
    wait $guard 2>/dev/null
    LAB_PID=''
}
