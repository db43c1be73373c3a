#!/bin/busybox sh
# Runs inside the emulated host, behind run-monitor.sh (whose result and expect it uses): the real
# kernel in ring 0 with real programs.
kernel() { # kernel CONFIG [OPTION...]
    printf '%s' "$1" >config
    shift
    timeout 60 ./lith-monitor --kernel kernel --root kernel.root --mem 134217728 --config-fd 5 "$@" 5<config >out 2>&1
    status=$?
}
for ring in 0 3; do
    kernel 'arg=/bin/hello arg=world env=X=y' --ring $ring
    expect "a program says hello, ring $ring" 42 'hello, world, from a program; X=y'
done
kernel 'arg=/bin/nothere'
if [ "$status" != 125 ] && [ "$status" != 0 ] && grep -q nothere out; then ok=0; else ok=1; fi
result $ok "a program that is not there"
# In ring 0 the program may do what is privileged: it shares the kernel's ring.
for what in $(grep -v privileged kernel.root.faults); do
    kernel "arg=/bin/faults arg=$what"
    case $status in
    0 | 98 | 99 | 125) ok=1 ;;
    *) ok=0 ;;
    esac
    echo "status $status" >>out
    result $ok "must fault: $what (status $status)"
done

# An idle program: the timer, pings through a tap, SIGTERM; in both rings.
for ring in 0 3; do
    printf 'arg=/bin/idle ip=10.9.6.2/24' >config
    ./lith-monitor --kernel kernel --root kernel.root --mem 67108864 --config-fd 5 --ring $ring --net tap:tap2 5<config >out 2>&1 &
    pid=$!
    for i in $(seq 100); do grep -q ready out && break; usleep 50000; done
    ip addr add 10.9.6.1/24 dev tap2
    ip link set tap2 up
    ping -c 5 -i 0.2 -W 2 10.9.6.2 >ping.out 2>&1
    result $? "the kernel answers pings, ring $ring"
    sed -n '/packets\|round/s/^/# /p' ping.out
    kill -TERM $pid
    wait $pid
    status=$?
    expect "a sleeping program wakes by its clock and by SIGTERM, ring $ring" 5 'told 15'
    grep -q 'slept well' out
    result $? "and slept for as long as it asked, ring $ring"
done

for ring in 0 3; do
    printf 'arg=/usr/sbin/nginx ip=10.9.7.2/24' >config
    ./lith-monitor --kernel kernel --root kernel.root --mem 67108864 --config-fd 5 --ring $ring --net tap:tap1 5<config >out 2>&1 &
    pid=$!
    usleep 300000
    ip addr add 10.9.7.1/24 dev tap1
    ip link set tap1 up
    for i in $(seq 20); do
        kill -0 $pid 2>/dev/null || break
        fetch 10.9.7.2 80 / >page 2>>out && break
        usleep 500000
    done
    grep -q "A page from Debian's nginx" page
    result $? "nginx's page over a tap, ring $ring"
    fetch 10.9.7.2 80 /long.txt >long 2>>out
    [ "$(wc -c <long)" = 300000 ]
    result $? "a longer file, ring $ring"
    kill -TERM $pid
    wait $pid
    status=$?
    [ $status = 0 ]
    result $? "nginx ends by SIGTERM (status $status), ring $ring"
done
