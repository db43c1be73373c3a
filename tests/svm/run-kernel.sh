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

printf 'arg=/usr/sbin/nginx ip=10.9.7.2/24' >config
./lith-monitor --kernel kernel --root kernel.root --mem 67108864 --config-fd 5 --net tap:tap1 5<config >out 2>&1 &
pid=$!
usleep 300000
ip addr add 10.9.7.1/24 dev tap1
ip link set tap1 up
for i in $(seq 20); do
    wget -T 5 -qO page http://10.9.7.2/ 2>>out && break
    usleep 500000
done
grep -q "A page from Debian's nginx" page
result $? "nginx's page over a tap"
wget -T 20 -qO long http://10.9.7.2/long.txt
[ "$(wc -c <long)" = 300000 ]
result $? "a longer file"
kill -TERM $pid
wait $pid
status=$?
[ $status = 0 ]
result $? "nginx ends by SIGTERM (status $status)"
