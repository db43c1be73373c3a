#!/bin/busybox sh
# Runs inside the emulated host, from smoke.sh's script: the monitor with the test guest, in both
# rings. TAP lines; counts in $n and $failed.
cd /t
mem=33554432
result() { # result OK NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        failed=$((failed + 1))
        sed 's/^/# /' out 2>/dev/null
    fi
}
# guest RING CASE [OPTION...]: run to the end; status in $status, output in ./out
guest() {
    ring=$1 what=$2
    shift 2
    printf 'arg=%s' "$what" >config
    timeout 20 ./lith-monitor --kernel guest --root root --mem $mem --config-fd 5 --ring "$ring" "$@" 5<config >out 2>&1
    status=$?
}
# expect NAME STATUS PATTERN
expect() {
    if [ "$status" = "$2" ] && grep -q "$3" out; then result 0 "$1"; else echo "status $status" >>out; result 1 "$1"; fi
}
dd if=/dev/zero of=root bs=1000 count=10 2>/dev/null
printf 'R' | dd of=root bs=1 conv=notrunc 2>/dev/null
printf 'E' >>root

for ring in 0 3; do
    guest $ring hello
    expect "hello, ring $ring" 7 "hello from ring $ring"
done
mem=6442450944 # RAM on both sides of the APICs' addresses
guest 0 hello
expect "hello with 6 GiB" 7 "hello from ring 0"
mem=4194304
guest 3 hello
expect "hello with 4 MiB" 7 "hello from ring 3"
mem=33554432
for ring in 0 3; do
    guest $ring badport
    expect "unknown port, ring $ring" 125 'unknown port 0xc80 at rip 0x7[c-e]'
    guest $ring bytewrite
    expect "doorbell of the wrong size, ring $ring" 125 'write of 2 bytes to port 0xc04'
    guest $ring console-far
    expect "console request outside memory, ring $ring" 125 'console request outside memory'
    guest $ring console-long
    expect "console request too long, ring $ring" 125 'malformed console request'
    guest $ring triple
    expect "triple fault, ring $ring" 125 'triple fault'
    guest $ring textwrite
    expect "write of its own text, ring $ring" 125 'triple fault'
    guest $ring mmio
    expect "access where no memory is, ring $ring" 125 'write of guest-physical address 0xd0000000'
    guest $ring rootwrite
    expect "write of the root file system, ring $ring" 125 'write of guest-physical address 0x100000000'
    sum=$(head -c 1 root)
    [ "$sum" = R ]
    result $? "the root file is as it was, ring $ring"
done

# refusals of the monitor itself
printf 'arg=hello' >config
refuse() { # refuse NAME PATTERN OPTION...
    name=$1 pattern=$2
    shift 2
    ./lith-monitor "$@" 5<config >out 2>&1
    status=$?
    expect "$name" 125 "$pattern"
}
head -c 100 guest >short
cp lith-monitor foreign
refuse "no kernel file" 'cannot open the kernel none' --kernel none --mem 33554432 --config-fd 5
refuse "a short kernel" 'kernel short refused' --kernel short --mem 33554432 --config-fd 5
refuse "a foreign kernel" 'kernel foreign refused' --kernel foreign --mem 33554432 --config-fd 5
refuse "no configuration" 'config-fd 6' --kernel guest --mem 33554432 --config-fd 6
refuse "too little memory" 'at least' --kernel guest --mem 4096 --config-fd 5
refuse "a bad MAC" 'not a unicast' --kernel guest --mem 33554432 --config-fd 5 --mac 01:02:03:04:05:06
refuse "a bad number" 'not a number' --kernel guest --mem 12x --config-fd 5
refuse "an unknown option" 'unknown option' --what 1

# signals
for ring in 0 3; do
    for what in wait hang; do
        printf 'arg=%s' $what >config
        ./lith-monitor --kernel guest --mem 33554432 --config-fd 5 --ring $ring 5<config >out 2>&1 &
        pid=$!
        for i in $(seq 100); do grep -q ready out && break; usleep 50000; done
        if [ $what = wait ]; then
            # Beside the guest's RAM, the one large mapping: huge pages may make more of it present than was asked for.
            private=$(awk '/^Size:/ {ram = $2 >= 8192} /^Private_(Clean|Dirty)/ && !ram {s += $2} END {print s}' /proc/$pid/smaps)
            caps=$(awk '/^Cap(Prm|Eff|Bnd|Amb)/ && $2 != "0000000000000000"' /proc/$pid/status)
            mode=$(awk '/^(NoNewPrivs|Seccomp):/ {printf "%s%s ", $1, $2}' /proc/$pid/status)
            files=$(ls /proc/$pid/fd | wc -l)
            kill -TERM $pid
            wait $pid
            status=$?
            expect "SIGTERM reaches the guest, ring $ring" 15 terminated
            echo "# private memory $private kB, $files descriptors"
            [ -z "$caps" ] && [ "$mode" = "NoNewPrivs:1 Seccomp:2 " ]
            result $? "no capabilities, no new privileges, filter on, ring $ring"
            [ "$private" -lt 2048 ]
            result $? "private memory below 2 MiB, ring $ring"
        else
            kill -TERM $pid
            kill -INT $pid # at once: the same wish, from someone else
            usleep 500000
            kill -0 $pid
            result $? "signals that come together are one, ring $ring"
            kill -TERM $pid
            wait $pid
            status=$?
            expect "a second SIGTERM ends it at once, ring $ring" 137 ready
        fi
    done
done

# network
for ring in 0 3; do
    for how in ring-gpa ring-wrap ring-loop ring-next ring-write ring-head ring-idx; do
        guest $ring $how --net tap:tap9
        expect "hostile network ring: $how, ring $ring" 125 'malformed network transmit ring'
    done
    printf 'arg=echo' >config
    ./lith-monitor --kernel guest --mem 33554432 --config-fd 5 --ring $ring --net tap:tap0 5<config >out 2>&1 &
    pid=$!
    for i in $(seq 100); do grep -q ready out && break; usleep 50000; done
    ip addr add 10.9.8.1/24 dev tap0
    ip link set tap0 up
    ping -c 5 -i 0.2 -W 2 10.9.8.2 >ping.out 2>&1
    result $? "five pings through a tap, ring $ring"
    ping -c 3 -i 0.2 -s 1400 -W 2 10.9.8.2 >>ping.out 2>&1
    result $? "long pings, ring $ring"
    sed -n '/packets\|round/s/^/# /p' ping.out
    kill -TERM $pid
    wait $pid
    status=$?
    expect "the echoing guest ends, with interrupts seen, ring $ring" 0 'answered'
done
