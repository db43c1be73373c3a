#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# The tool: help, build, the store, run's flags, and what bad input gives. Nothing boots here.
bats_require_minimum_version 1.5.0
load lib

setup() {
    setup_lith
    fake_kernel
}

# An image with one file, for tests that are about something else.
small_image() { # NAME [MORE LINES]
    mkdir -p ctx
    echo hello >ctx/file
    printf 'FROM scratch\nCOPY file /file\nCMD ["/file", "a b"]\n%b' "${2:-}" >ctx/Dockerfile
    lith build -q -t "$1" ctx
}

# The root file system of an image, unpacked into $work/x.
unpack() { # NAME
    local dir
    dir=$(lith inspect "$1" | sed -n 's/.*"Files": "\(.*\)".*/\1/p')
    rm -rf x
    fsck.erofs --extract=x "$dir/root.erofs" >/dev/null
}

@test "help, help VERB, version, unknown command" {
    run -0 lith help
    [[ $output == *"build "* && $output == *"run "* ]]
    run -0 lith help run
    [[ $output == *"--publish"* && $output == *"--boot-chart"* ]]
    run -0 lith run --help
    [[ $output == *"Usage: lith run"* ]]
    run -0 lith version
    run lith frobnicate
    fails_with "'frobnicate' is not a lith command"
    run lith ps
    fails_with "'ps' is not a lith command (an instance is one process"
    run lith help frobnicate
    fails_with "not a lith command"
    run lith
    [ "$status" -eq 125 ]
}

@test "an empty store: images prints the header, run and inspect say what to do" {
    export XDG_DATA_HOME=$work/empty
    run -0 lith images
    [[ $output == "REPOSITORY "*"TAG "*"IMAGE ID "*"CREATED "*"SIZE" ]]
    run lith run nothing
    fails_with "No such image: nothing"
    run lith inspect nothing
    fails_with "lith import"
    run lith rmi nothing
    fails_with "there are no images yet"
}

@test "build: files, owners, modes, folders, wildcards, WORKDIR, .dockerignore" {
    mkdir -p ctx/dir/sub
    echo a >ctx/a.txt; echo b >ctx/b.txt; echo s >ctx/dir/sub/s; echo skip >ctx/skip.log; ln -s sub/s ctx/dir/link
    printf '#!/bin/sh\n' >ctx/prog; chmod 755 ctx/prog
    printf '*.log\n' >ctx/.dockerignore
    cat >ctx/Dockerfile <<'END'
# syntax=docker/dockerfile:1
ARG WHERE=work
FROM scratch
ARG WHERE=/work
WORKDIR ${WHERE}
WORKDIR in
COPY *.txt ./
COPY --chown=33:44 --chmod=0600 a.txt /owned
COPY dir /dir2
COPY prog /bin/prog
COPY ["b.txt", "/b \
name"]
COPY . /all
ENV A=1 B="two words" C=$A.
ENV OLD style value
LABEL l="x y"
EXPOSE 80 53/udp
VOLUME /data
USER 33:44
ENTRYPOINT ["/bin/prog"]
CMD echo hi
END
    lith build -t t1 ctx
    unpack t1
    [ "$(cat x/work/in/a.txt)" = a ] && [ "$(cat x/work/in/b.txt)" = b ]
    [ "$(stat -c %a x/bin/prog)" = 755 ]
    [ -f x/dir2/sub/s ] && [ "$(readlink x/dir2/link)" = sub/s ]
    [ -f x/all/a.txt ] && [ ! -e x/all/skip.log ] && [ -f "x/b name" ]
    [ -d x/data ] && [ -d x/dev ] && [ -d x/proc ] && [ "$(stat -c %a x/tmp)" = 1777 ]
    if [ "$(id -u)" = 0 ]; then [ "$(stat -c %u:%g:%a x/owned)" = 33:44:600 ]; fi
    run -0 lith inspect t1
    for want in '"A=1"' '"B=two words"' '"C=."' '"OLD=style value"' '"l": "x y"' '"80/tcp"' '"53/udp"' '"/data"' \
        '"WorkingDir": "/work/in"' '"User": "33:44"' '"/bin/sh"' '"echo hi"'; do
        [[ $output == *"$want"* ]] || { echo "missing: $want"; false; }
    done
}

@test "build: the same input gives the same image; a stored image is a base" {
    small_image one
    mkdir -p again; cp -a ctx/. again/
    run -0 lith build -q -t two again
    [ "$(lith images -q --no-trunc one)" = "$output" ]
    mkdir derived
    echo more >derived/more
    printf 'FROM one\nCOPY more /\nENV X=1\n' >derived/Dockerfile
    lith build -q -t three derived
    unpack three
    [ "$(cat x/file)" = hello ] && [ "$(cat x/more)" = more ]
    lith inspect three | grep -q '"a b"'
}

@test "build: ADD unpacks archives, COPY does not" {
    mkdir -p ctx in/d
    echo t >in/d/t
    tar -C in -czf ctx/in.tar.gz d
    gzip -c in/d/t >ctx/plain.gz
    printf 'FROM scratch\nADD in.tar.gz /un/\nADD plain.gz /un/\nCOPY in.tar.gz /un/\n' >ctx/Dockerfile
    lith build -q -t arc ctx
    unpack arc
    [ "$(cat x/un/d/t)" = t ] && [ -f x/un/plain.gz ] && [ -f x/un/in.tar.gz ]
}

@test "build: ELF files are rewritten and reported" {
    mkdir ctx
    cp /bin/true "$(ldconfig -p | sed -n 's/.*libc\.so\.6 .*x86-64.* => //p' | head -1)" ctx/
    printf 'FROM scratch\nCOPY true libc.so.6 /\n' >ctx/Dockerfile
    lith build -q -t elf ctx
    run -0 lith inspect --calls elf
    [[ $output == *"/libc.so.6"* && $output == *"total"* ]]
    unpack elf
    ! cmp -s x/libc.so.6 ctx/libc.so.6
    cmp x/true ctx/true
    # From a base, the report stays, and a replaced file gets a new one.
    mkdir derived
    printf 'FROM elf\nENV A=1\n' >derived/Dockerfile
    lith build -q -t elf2 derived
    [ "$(lith inspect --calls elf)" = "$(lith inspect --calls elf2)" ]
}

@test "build: errors name file and line and say what to do" {
    mkdir -p ctx
    try() { # DOCKERFILE TEXT
        printf '%b' "$1" >ctx/Dockerfile
        run lith build -t bad ctx
        fails_with "$2"
    }
    try 'FROM scratch\nRUN true\n' 'ctx/Dockerfile:2: RUN is not supported'
    try 'FROM nothing-there\n' 'ctx/Dockerfile:1: No such image: nothing-there'
    try 'COPY a b\n' 'ctx/Dockerfile:1: COPY before FROM'
    try 'FROM scratch\n\nCOPY nope /\n' 'ctx/Dockerfile:3: nope: no such file'
    try 'FROM scratch\nCOPY ../x /\n' 'outside the build context'
    try 'FROM scratch\nCOPY --from=x a /\n' 'several stages'
    try 'FROM scratch\nFRBL x\n' 'ctx/Dockerfile:2: unknown instruction: FRBL'
    try 'FROM scratch\nADD http://x/y /\n' 'from the network'
    try 'FROM scratch\nUSER nobody\n' 'unable to find user nobody'
    try 'FROM scratch\nCOPY --chown=who Dockerfile /\n' 'unable to find user who'
    try 'FROM scratch\nEXPOSE 99999\n' 'EXPOSE takes'
    try 'FROM scratch\nENV A\n' 'needs NAME=VALUE'
    try 'FROM scratch\nENV A=${\n' 'ctx/Dockerfile:2: '
    try '' 'holds no instruction'
    head -c 5000 /dev/urandom >ctx/Dockerfile
    run lith build -t bad ctx
    [ "$status" -eq 125 ]
    run lith build -t bad nowhere
    fails_with 'cannot open the build context'
    run lith build ctx
    fails_with 'build needs a name'
    run lith build -t 'Bad Name' ctx
    fails_with 'invalid reference format'
    printf 'FROM scratch\n' >ctx/Dockerfile
    LITH_KERNEL=/nowhere run lith build -t bad ctx
    fails_with 'cannot read the kernel /nowhere'
    [ -z "$(ls "$store/tmp")" ]
}

@test "build: links in the context or the image lead nowhere else" {
    mkdir ctx
    echo secret >secret
    ln -s ../secret ctx/out; ln -s / ctx/root
    printf 'FROM scratch\nCOPY out /got\n' >ctx/Dockerfile
    run lith build -q -t esc ctx
    fails_with 'out'
    printf 'FROM scratch\nCOPY root/etc/passwd /got\n' >ctx/Dockerfile
    run lith build -q -t esc ctx
    fails_with 'no such file'
}

@test "import: a tar file, an OCI layout; foreign files are refused" {
    mkdir -p root/bin root/etc
    echo prog >root/bin/prog
    printf 'www:x:33:33:w:/var/www:/bin/false\n' >root/etc/passwd
    tar -C root -cJf root.tar.xz .
    lith import -q root.tar.xz fromtar
    unpack fromtar
    [ "$(cat x/bin/prog)" = prog ]
    # Our own images are OCI layouts too: import the store's image as a container whose file is /lith/kernel.
    lith import -q "oci:$store:fromtar:latest" fromoci
    unpack fromoci
    [ -f x/lith/root.erofs ]
    run lith import "$LITH_KERNEL" bad
    fails_with "not an archive"
    run lith import /nowhere bad
    fails_with "cannot read /nowhere"
    run lith import "oci:$work" bad
    fails_with "not an OCI image layout"
    run lith import 'deb:no/../such;package' bad
    fails_with "not the name of a Debian package"
    run lith import deb: bad
    fails_with "needs the name"
    run lith import onlyone
    fails_with "needs a source and a name"
}

@test "what a killed build left behind goes with the next one" {
    mkdir -p "$store/tmp/old1" "$store/tmp/new1" d
    echo x >"$store/tmp/old1/file"
    echo x >"$store/tmp/blob.1.0"
    echo x >"$store/tmp/blob.2.0"
    touch -d '1 hour ago' "$store/tmp/old1" "$store/tmp/blob.1.0" "$store/tmp/blob.2.0"
    exec 7<"$store/tmp/blob.2.0"
    flock -n 7 # somebody writes it
    printf 'FROM scratch\nCOPY f /f\n' >d/Dockerfile
    echo f >d/f
    fake_kernel
    lith build -q -t swept d
    [ ! -e "$store/tmp/old1" ]
    [ -e "$store/tmp/new1" ]
    [ ! -e "$store/tmp/blob.1.0" ]
    [ -e "$store/tmp/blob.2.0" ]
    exec 7<&-
    rmdir "$store/tmp/new1"
    rm "$store/tmp/blob.2.0"
    lith rmi swept
}

@test "a store that is just being made has no images" {
    export XDG_DATA_HOME=$work/half
    mkdir -p half/lith
    run -0 lith images
    run lith run nothing
    fails_with "No such image: nothing"
}

@test "rmi makes room on a full disk" {
    mkdir -p full
    unshare -m mount -t tmpfs none full 2>/dev/null || skip "needs mount"
    cat >steps <<'END'
set -e
mount -t tmpfs -o size=2m none full
export XDG_DATA_HOME=$PWD/full
lith build -q -t filled ctx
dd if=/dev/zero of=full/rest bs=4k 2>/dev/null || true
lith rmi filled
[ -z "$(lith images -q)" ]
rm full/rest
lith build -q -t filled ctx
END
    small_image seen
    unshare -m bash steps
}

@test "descriptors 0 to 2 closed: what is said is lost, what is built is whole" {
    small_image whole
    (exec 0<&- 1>&- 2>&-; lith build -q -t closed ctx) && false
    (exec 0<&- 2>&-; lith inspect closed >inspected)
    run -0 grep -c '"Files"' inspected
    [ "$(lith images -q whole)" = "$(lith images -q closed)" ]
    lith rmi whole closed
}

@test "images, tag, rmi, inspect" {
    small_image it:1
    run -0 lith images it
    [[ ${lines[1]} == "it "*" 1 "*" ago "*"B" || ${lines[1]} == "it "*" 1 "*"Just now"*"B" ]]
    lith tag it:1 other/name:2
    run -0 lith images
    [[ $output == *"other/name"* ]]
    id=$(lith images -q it)
    run -0 lith inspect "$id"
    run -0 lith rmi it:1
    [[ $output == "Untagged: it:1" ]]
    run -0 lith rmi other/name:2
    [[ $output == *"Deleted: sha256:$id"* ]]
    run lith rmi it:1
    fails_with "No such image: it:1"
    run lith images --frob
    fails_with "bad option --frob"
    [ "${#lines[@]}" -eq 2 ]
}

@test "run: configuration and flags become the boot configuration" {
    small_image r 'ENV A=1 B=2\nWORKDIR /w\n'
    fake_qemu 'echo "exit 0" >&$control'
    run -0 lith run --platform qemu --net none r
    run boot_words
    for want in "arg=/file" "arg=a b" "env=A=1" "env=B=2" "cwd=/w" "env=HOME=/root" \
        "env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; do
        [[ $output == *"$want"* ]] || { echo "missing: $want"; false; }
    done
    [[ $output == *entropy=* && $output == *clock=* && $output != *ip=* ]]
    printf '# c\nF=file\nB=4\n' >env
    export FROMHERE='x y'
    run -0 lith run --rm --platform qemu --env-file env -e A=3 -e FROMHERE -e NOTSET -w /v -u 5:6 --hostname h --boot-chart \
        --log debug --net tap:lo --ip 10.1.2.3/16 --gateway 10.1.0.1 --dns 10.1.0.2 --mac-address 52:54:00:00:00:07 \
        -m 64M r /prog -p 1
    run boot_words
    for want in arg=/prog arg=-p arg=1 env=A=3 env=B=4 env=F=file "env=FROMHERE=x y" cwd=/v uid=5 gid=6 hostname=h \
        env=HOSTNAME=h chart=1 log=debug ip=10.1.2.3/16 gw=10.1.0.1 dns=10.1.0.2; do
        [[ $output == *"$want"* ]] || { echo "missing: $want"; false; }
    done
    [[ $output != *NOTSET* && $output != *"arg=a b"* ]]
    grep -q -x 'tap,id=n0,ifname=lo,script=no,downscript=no' qemu.args
    grep -q 'mac=52:54:00:00:00:07' qemu.args
    run -0 lith run --platform qemu --net none --entrypoint /e r x
    run boot_words
    [[ $output == *"arg=/e"*"arg=x"* && $output != *"arg=/file"* ]]
}

@test "run: console, exit status, a machine that dies" {
    small_image s
    fake_qemu 'printf "one\ntwo\n" >&$console; echo "exit 7" >&$control; exec sleep 60'
    run lith run --platform qemu --net none s
    [ "$status" -eq 7 ]
    [ "$output" = "$(printf 'one\ntwo')" ]
    fake_qemu 'head -c 300000 /dev/zero | tr "\0" x >&$console; printf "exit 0\n" >&$control; exec sleep 60'
    [ "$(lith run --platform qemu --net none s | wc -c)" -eq 300000 ]
    fake_qemu 'printf "bla\nexit 256\nexit -1\nexit 3 4\nexit %050d\n" 5 >&$control; exit 1'
    run lith run --platform qemu --net none s
    fails_with "QEMU ended (status 1)"
    fake_qemu 'kill -KILL $$'
    run lith run --platform qemu --net none s
    fails_with "ended by signal 9"
    export LITH_QEMU=/nowhere/qemu
    run lith run --platform qemu --net none s
    fails_with "apt-get install qemu"
}

@test "run: signals reach the program, which has a grace" {
    small_image g
    fake_qemu 'read -r -n 1 c <&$control; echo "got $c" >&$console; echo "exit 3" >&$control; exec sleep 60'
    for pair in TERM:T INT:I; do
        lith run --platform qemu --net none g >out 3>&- &
        pid=$!
        sleep 0.5
        kill -"${pair%:*}" $pid
        rc=0
        wait $pid || rc=$?
        [ $rc -eq 3 ] && [ "$(cat out)" = "got ${pair#*:}" ]
    done
}

@test "run: user networking starts passt with the ports" {
    command -v passt >/dev/null || skip "passt is not installed"
    small_image n
    # The ports open at the guest's first frame (here: 42 bytes that mean nothing).
    fake_qemu 'printf "\0\0\0\52%042d" 0 >&$net; for i in $(seq 100); do (exec 9<>/dev/tcp/127.0.0.1/18932) 2>/dev/null && { echo open >&$console; break; }; sleep 0.05; done
echo "exit 0" >&$control; exec sleep 60'
    run -0 lith run --platform qemu -p 127.0.0.1:18932:80 n
    [ "$output" = open ]
    run boot_words
    [[ $output == *"ip=10.0.2.15/24"*"gw=10.0.2.2"*"dns=10.0.2.3"* ]]
    grep -q '^stream,id=n0,server=off,addr.type=fd,addr.str=' qemu.args
    # passt goes when the machine does.
    for i in $(seq 50); do (exec 9<>/dev/tcp/127.0.0.1/18932) 2>/dev/null || break; sleep 0.1; done
    ! (exec 9<>/dev/tcp/127.0.0.1/18932) 2>/dev/null
}

@test "run: an instance whose passt gives up ends, too" {
    small_image g
    fake_qemu 'printf "\0\0\0\52%042d" 0 >&$net; exec sleep 60'
    export LITH_PASST=$work/passt
    printf '#!/bin/sh\nexit 1\n' >"$LITH_PASST"
    chmod +x "$LITH_PASST"
    run timeout 30 lith run --platform qemu g
    fails_with "passt, the user network, has ended"
}

@test "run: a tap device that does not exist" {
    small_image tapless
    run lith run --platform qemu --net tap:nonesuch tapless
    fails_with "there is no tap device nonesuch"
}

@test "run: a port that is taken" {
    small_image p
    fake_qemu 'echo "exit 0" >&$control; exec sleep 60'
    python3 -c 'import socket,time
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); s.bind(("127.0.0.1",18933)); s.listen(); open("ready","w"); time.sleep(60)' 3>&- &
    holder=$!
    for i in $(seq 200); do [ ! -e ready ] || break; sleep 0.05; done
    run lith run --platform qemu -p 127.0.0.1:18933:80 p
    kill $holder
    fails_with "port is already allocated"
}

@test "run: bad flags" {
    small_image f
    bad() {
        local text=$1
        shift
        run lith run "$@" f
        fails_with "$text"
        [[ $output == *"lith help run"* ]]
    }
    bad "not [IP:]HOST:GUEST" -p 80:x
    bad "not [IP:]HOST:GUEST" -p 1.2.3:80:80
    bad "not [IP:]HOST:GUEST" -p 0:80
    bad "not [IP:]HOST:GUEST" -p 70000:80
    bad "not [IP:]HOST:GUEST" -p 80:80/sctp
    bad "name the port of this host" -p 80
    bad "not a size" -m lots
    bad "between 4M" -m 1k
    bad "not user, tap:NAME or none" --net bridge
    bad "not user, tap:NAME or none" --net tap:averyveryverylongname
    bad "not ADDR/PREFIX" --ip 10.0.0.1
    bad "no machine can have" --ip 224.0.0.1/24
    bad "no machine can have" --ip 0.0.0.0/24
    bad "no machine can have" --ip 255.255.255.255/8
    bad "not an IPv4 address" --gateway x
    bad "not an IPv4 address" --dns 1.2.3.4.5
    bad "not a unicast MAC" --mac-address 01:00:00:00:00:00
    bad "not auto, kvm, process or qemu" --platform xen
    bad "must be absolute" -w rel
    bad "letters, digits" --hostname 'a b'
    bad "not NAME=VALUE" -e =x
    bad "cannot read the environment file" --env-file /nowhere
    bad "-d is not an option" -d
    bad "-i is not an option" --rm -it
    bad "not an option" --frob
    bad "-p needs --net user" -p 80:80 --net none
    run lith run -p
    fails_with "-p needs a value"
    run lith run --net
    fails_with "--net needs a value"
    run lith run
    fails_with "needs the name of an image"
    fake_qemu 'echo "exit 0" >&$control; exec sleep 60'
    run lith run --platform qemu --net none -u nobody f
    fails_with "unable to find user nobody"
    run lith run --platform qemu --net none --entrypoint '' f
    fails_with "no command specified"
    run lith run --platform qemu --net none f "$(head -c 70000 /dev/zero | tr '\0' x)"
    fails_with "too long"
    if [ ! -e /dev/kvm ]; then
        run lith run --platform kvm --net none f
        fails_with "KVM is not usable here"
    fi
}

@test "damaged images: clear errors, never a crash" {
    small_image dmg
    fake_qemu 'echo "exit 0" >&$control; exec sleep 60'
    files=$(lith inspect dmg | sed -n 's/.*"Files": "\(.*\)".*/\1/p')
    layer=$(lith inspect dmg | sed -n 's/.*"sha256:\(.*\)"$/\1/p' | tail -1)
    manifest=$(lith inspect dmg | sed -n 's/.*"Manifest": "sha256:\(.*\)".*/\1/p')
    cp -a "$store" "$work/good"
    # A copied index may get the old one's inode, size and time: then launch/ would answer for it.
    restore() { rm -rf "$store"; cp -a "$work/good" "$store"; touch "$store/index.json"; }
    # The unpacked files
    truncate -s -1 "$files/root.erofs"
    run lith run --net none dmg
    fails_with "root.erofs is missing or has another size"
    restore; echo '{"config": 1}' >"$files/config.json"
    run lith run --net none dmg
    fails_with "damaged"
    restore; echo '{"config": {"Cmd": [1]}}' >"$files/config.json"
    run lith run --net none dmg
    fails_with "damaged"
    restore; head -c 100 /dev/urandom >"$files/config.json"
    run lith run --net none dmg
    fails_with "damaged"
    # The layer, when it must be unpacked again
    restore; rm -rf "$store"/unpacked/*
    run -0 lith run --platform qemu --net none dmg
    restore; rm -rf "$store"/unpacked/*; truncate -s 1000 "$store/blobs/sha256/$layer"
    run lith run --net none dmg
    fails_with "damaged"
    restore; rm -rf "$store"/unpacked/*; printf x | dd of="$store/blobs/sha256/$layer" bs=1 seek=700 conv=notrunc status=none
    run lith run --net none dmg
    fails_with "damaged"
    [ -z "$(ls "$store/unpacked")" ]
    # The manifest and the index
    restore; echo '{}' >"$store/blobs/sha256/$manifest"
    run lith run dmg
    fails_with "damaged"
    run -0 lith images
    [[ $output == *"damaged image"* ]]
    run -0 lith rmi dmg
    restore; rm "$store/blobs/sha256/$manifest"
    run lith inspect dmg
    fails_with "cannot read"
    restore; echo 'garbage' >"$store/index.json"
    run lith images
    fails_with "index.json"
    restore
}
