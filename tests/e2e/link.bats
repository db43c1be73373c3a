#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Link mode: lith-cc as makefiles and configure scripts use gcc, `lith size`, `lith symbolize`, `lith
# run ./program`, images with a linked program. Where build/lib is not built yet, parts of the
# ordinary kernel and the host's musl stand in for it (standin.sh), and nothing is booted.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    if [ -r "$top/build/lib/liblith.a" ] && [ -r "$top/build/lib/libc.a" ]; then
        echo real >"$BATS_FILE_TMPDIR/lib.kind"
    elif [ -d "$top/build/obj/kernel" ]; then
        "$BATS_TEST_DIRNAME/standin.sh" "$BATS_FILE_TMPDIR/lib" >"$BATS_FILE_TMPDIR/standin.log" 2>&1
        echo standin >"$BATS_FILE_TMPDIR/lib.kind"
    else
        echo none >"$BATS_FILE_TMPDIR/lib.kind"
    fi
}

setup() {
    setup_lith
    kind=$(cat "$BATS_FILE_TMPDIR/lib.kind")
    [ "$kind" != none ] || skip "no kernel is built"
    if [ "$kind" = standin ]; then export LITH_LIB=$BATS_FILE_TMPDIR/lib; fi
    cat >hello.c <<'END'
#include <math.h>
#include <stdio.h>
static __thread int calls;
int main(int argc, char **argv)
{
    calls++;
    printf("hello from %s, %d arguments, %.3f\n", argv[0], argc - 1, sin(argc));
    return 7;
}
END
}

require_real() { # a program that can run
    [ "$kind" = real ] || skip "build/lib/liblith.a is not built"
}

load_address() { # FILE
    readelf -lW "$1" | awk '$1 == "LOAD" { print $4; exit }'
}

@test "compile and link in one step; the result is a bootable ELF and executable" {
    run -0 lith-cc -O2 -Wall -Werror hello.c -o hello -lm -lpthread -ldl -lrt -lc
    [ "$output" = "" ]
    [ -x hello ]
    readelf -hW hello | grep -q 'DYN '
    readelf -p .note.lith hello | grep -q Lith
    [ "$(load_address hello)" = 0x0000000000010000 ]
    # nothing writable is executable, no interpreter
    ! readelf -lW hello | grep -E 'RWE|INTERP'
    run -0 lith-cc hello.c
    [ -x a.out ]
}

@test "--load-high: at 1 MiB, where Firecracker has nothing of its own" {
    run -0 lith-cc --load-high -O2 hello.c -o hello -lm
    [ "$(load_address hello)" = 0x0000000000100000 ]
    require_real
    run lith run --platform qemu --net none -m 2M ./hello
    [ "$status" = 7 ]
    [[ $output == *"hello from"* ]]
}

@test "the shapes of command lines that makefiles use" {
    echo 'int twice(int x) { return 2 * x; }' >twice.c
    echo 'int twice(int); int main(void) { return twice(3); }' >main.c
    printf '.globl nothing\nnothing: ret\n.section .note.GNU-stack,"",@progbits\n' >asm.s
    printf '#define NAME other\n.globl NAME\nNAME: ret\n.section .note.GNU-stack,"",@progbits\n' >pre.S
    run -0 lith-cc -c twice.c main.c asm.s pre.S
    run -0 lith-cc main.o twice.o asm.o pre.o -o objects
    run -0 lith-cc main.c twice.o asm.s pre.S -o mixed
    run -0 lith-cc main.c twice.c -o sources
    ar rcs libtwice.a twice.o
    run -0 lith-cc main.c -L. -ltwice -o library
    run -0 lith-cc -L . -l twice main.o -o library
    run -0 lith-cc -fPIC -pie -static -rdynamic -pthread -flto -fuse-ld=bfd main.c libtwice.a -o flags
    run -0 lith-cc main.o libtwice.a -Wl,--as-needed,-rpath,/x,-soname=y -Wl,-z,now -Wl,-O1 \
        -Xlinker -rpath -Xlinker /z -Wl,--version-script=none -Wl,--export-dynamic -o linker
    printf -- '-O2 "main.c"\nlibtwice.a -o "with space"' >args
    run -0 lith-cc @args
    [ -x "with space" ]
    cat main.c | lith-cc -x c - -x none twice.o -o stdin
    run -0 lith-cc -S main.c
    [ -s main.s ]
    run -0 lith-cc -E main.c
    [[ $output == *"twice(int)"* ]]
    run -0 lith-cc -r main.o twice.o -o both.o
    run -0 lith-cc both.o -o partial
    [ -z "$(ls -d "${TMPDIR:-/tmp}"/lith-cc.* 2>/dev/null)" ]
}

@test "dependencies, as gcc names them" {
    run -0 lith-cc -MMD -c hello.c -o out.o
    grep -q '^out.o: hello.c' out.d
    run -0 lith-cc -MD -MF dep -MT target -c hello.c -o out.o
    grep -q '^target: ' dep
    grep -q '/stdio.h' dep
    ! grep -q ' /usr/include/stdio.h' dep
    run -0 lith-cc -MMD hello.c -o prog
    grep -q '^prog: hello.c' prog-hello.d
    run -0 lith-cc -MM hello.c
    [ "$output" = "hello.o: hello.c" ]
}

@test "questions that configure scripts ask" {
    run -0 lith-cc --version
    [[ $output == "lith-cc "*"Free Software Foundation"* ]]
    run -0 lith-cc -dumpmachine
    [ "$output" = x86_64-linux-musl ]
    run -0 lith-cc -v
    [[ $output == *"gcc version"* ]]
    run -0 lith-cc -Wl,--version
    [[ $output == *LLD* ]]
    run -0 lith-cc -print-file-name=libc.a
    [[ $output == */libc.a ]]
    run -0 lith-cc -print-prog-name=ld
    run -0 lith-cc -dumpversion
    run -0 lith-cc '-###' hello.c -o none
    [[ $output == *"ld.lld"*"LITH_PHYS=0x10000"* ]]
    [ ! -e none ]
    # a function that exists, one that does not, a header that does not, a flag that does not
    echo 'char printf(); int main(void) { return printf(); }' >conftest.c
    run -0 lith-cc -o conftest -g -O2 -w conftest.c
    echo 'char no_such_function(); int main(void) { return no_such_function(); }' >conftest.c
    run -1 lith-cc -o conftest2 conftest.c
    [[ $output == *"undefined symbol: no_such_function"* ]]
    [ ! -e conftest2 ]
    echo '#include <no_such.h>' >conftest.c
    run -1 lith-cc -c conftest.c
    run -1 lith-cc -c -fno-such-flag hello.c
    run -1 lith-cc -qversion
    run -1 lith-cc
    [[ $output == *"no input files"* ]]
    run -1 lith-cc -o x nothing.c
    run -1 lith-cc hello.c -lno-such-library
    [[ $output == *"unable to find library -lno-such-library"* ]]
}

@test "what a unikernel cannot have is refused with the reason" {
    run -1 lith-cc -shared hello.c -o libhello.so
    [[ $output == *"no shared libraries"* ]]
    run -1 lith-cc hello.c /usr/lib/x86_64-linux-gnu/libz.so.1
    [[ $output == *"shared libraries cannot be linked"* ]]
    run -1 lith-cc hello.c -T own.ld
    [[ $output == *"own linker script"* ]]
    run -1 lith-cc -m32 hello.c
    [[ $output == *"64-bit"* ]]
    run -1 env LITH_LIB=/nonexistent lith-cc hello.c -nostdinc -w
    [[ $output == *"/nonexistent"* || $output == *"stdio.h"* ]]
}

@test "a large image is placed above 1 MiB, with page tables enough" {
    echo 'static char big[5 << 20] = {1}; int main(int c, char **v) { return big[c] + (v != 0); }' >big.c
    run -0 lith-cc -v big.c -o big
    [[ $output == *"LITH_PHYS=0x100000 --defsym LITH_PVH_TABLES=3"* ]]
    [ "$(load_address big)" = 0x0000000000100000 ]
}

@test "names that assemblers quote are in the table of names too" {
    cat >odd.s <<'END'
.text
.globl odd
.type odd, @function
.type "a\"; .error \"b", @function
odd:
"a\"; .error \"b":
    ret
.section .note.GNU-stack, "", @progbits
END
    gcc -c odd.s -o odd.o 2>/dev/null || skip "this assembler takes no quotes in names"
    printf 'void odd(void);\nint main(void) { odd(); return 0; }\n' >names.c
    run -0 lith-cc -g names.c odd.o -o names
}

@test "strip leaves the loadable bytes; -s links such a file at once" {
    lith-cc -g hello.c -o hello
    strip -o gnu hello
    llvm-strip --strip-all -o llvm hello
    lith-cc -s hello.c -o small
    for f in gnu llvm small; do
        ! readelf -SW $f | grep -E 'symtab|rela\.text|debug'
    done
    cmp <(readelf -lW hello | grep -E 'LOAD|TLS|NOTE' | awk '{ print $1, $3, $4, $5, $6 }') \
        <(readelf -lW gnu | grep -E 'LOAD|TLS|NOTE' | awk '{ print $1, $3, $4, $5, $6 }')
    [ "$(lith size hello | tail -1 | sed 's/.*: \([0-9]*\) bytes stripped.*/\1/')" = "$(stat -c %s gnu)" ]
    run lith size gnu
    fails_with "it was stripped"
}

@test "lith size: table, JSON, chains, treemap" {
    lith-cc -O2 hello.c -o hello
    run -0 lith size hello
    [[ $output == *"LIBRARY "*"plat "*"libc "*"main > printf"*"bytes stripped"* || $output == *"main > sin"* ]]
    ! [[ $output == *__lith_* ]]
    lith size --json hello | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["version"] == 1 and d["memory_bytes"] > d["stripped_bytes"] // 2
l = {x["name"]: x for x in d["libraries"]}
assert l["program"]["chain"][0]["symbol"] == "main" and l["libc"]["group"] == "libc"
for x in l.values():
    assert x["total"] == x["text"] + x["rodata"] + x["data"] + x["bss"] == sum(o["total"] for o in x["objects"])
'
    run -0 lith size --why printf hello
    [[ ${lines[0]} == "    main  (program, hello.o"* && ${lines[1]} == "  > printf  (libc"* ]]
    run lith size --why no_such hello
    fails_with "neither as a symbol nor as a library"
    run -0 lith size --svg map.svg hello
    python3 -c 'import xml.dom.minidom as x; assert len(x.parse("map.svg").getElementsByTagName("rect")) > 20'
    run lith size hello.c
    fails_with "not an ELF file"
    run lith size
    fails_with "lith help size"
}

# --- C++ ---

require_cxx() { # the library of `make cxx`
    require_real
    [ -r "$top/build/lib/libstdc++.a" ] || skip "build/lib/libstdc++.a is not built: make cxx"
    cat >hello.cc <<'END'
#include <iostream>
#include <stdexcept>
#include <string>
int main(int argc, char **argv)
{
    try {
        std::cout << std::string(argv[0]) << ' ' << argc << '\n';
        throw std::runtime_error("caught");
    } catch (const std::exception &e) {
        std::cout << e.what() << std::endl;
    }
    return 4;
}
END
}

@test "C++ without its library: what to do is said" {
    require_real
    mkdir lib && ln -s "$top"/build/lib/{libc.a,libnosys.a,liblith.a,link.ld} lib
    mkdir lib/include && ln -s "$top"/build/lib/include/* lib/include
    rm -f lib/include/c++
    export LITH_LIB=$PWD/lib
    printf '#include <vector>\nint main() { return 0; }\n' >a.cc
    for words in "lith-c++ -c a.cc" "lith-c++ a.cc" "lith-cc a.cc" "lith-c++ hello.o" "lith-cc hello.c -lstdc++"; do
        lith-cc -c hello.c
        run -1 $words
        [[ $output == *"error: the C++ library is not built"*"make cxx"* ]]
    done
    # the bare language, as before
    echo 'struct s { s(); ~s(); int x; } g; s::s() : x(3) {} s::~s() {} int main() { return g.x; }' >bare.cc
    run -0 lith-cc -nostdinc++ -fno-exceptions -fno-rtti bare.cc -o bare
    [ -x bare ]
    run -0 lith-cc hello.c -o hello
}

@test "lith-c++ is to lith-cc what g++ is to gcc" {
    require_cxx
    run -0 lith-c++ --version
    [[ $output == "lith-c++ "*"Free Software Foundation"* ]]
    run -0 lith-c++ -dumpmachine
    [ "$output" = x86_64-linux-musl ]
    run -0 lith-c++ -print-file-name=libstdc++.a
    [ -r "$output" ]
    run -1 lith-c++ -shared hello.cc
    [[ $output == "lith-c++: error: "*"no shared libraries"* ]]
    run -0 lith-c++ -O1 -Wall -Werror hello.cc -o one
    [ "$output" = "" ]
    run -0 lith-c++ -std=c++20 -pthread -fPIC -static-libstdc++ -static-libgcc -c hello.cc
    run -0 lith-c++ hello.o -o two -lstdc++ -lm -lgcc_eh
    run -0 lith-cc hello.o -o three -lstdc++
    run -0 lith-cc hello.cc -lstdc++ -o four
    run -1 lith-cc hello.o -o five
    [[ $output == *"undefined symbol: "*"std::"* ]]
    # every source is C++, but assembly is not; C++ and C in one program
    echo 'int twice(int x) { return 2 * x; }' >twice.c
    echo 'extern "C" int twice(int); int main() { return twice(21); }' >main.cc
    echo '#include <vector>' >header.c
    run -0 lith-c++ -c header.c
    printf '.globl nothing\nnothing: ret\n.section .note.GNU-stack,"",@progbits\n' >asm.s
    lith-cc -c twice.c
    run -0 lith-c++ main.cc twice.o asm.s -o mixed
    run -0 lith-c++ -x c twice.c -x none main.cc -o languages
    echo '#include <stdatomic.h>' >atomic.c
    echo 'atomic_int n; int twice(int x) { return 2 * x; }' >>atomic.c
    run -0 lith-cc -Wall -Werror -c atomic.c main.cc
    [ -s atomic.o ] && [ -s main.o ]
    run -0 lith-c++ -r hello.o twice.o -o both.o
    run -0 lith-c++ both.o -o partial
    run -0 lith-c++ -MM hello.cc
    [ "$output" = "hello.o: hello.cc" ]
    run -0 lith-c++ -E -x c++ - <<<'__cplusplus'
    [[ $output == *20* ]]
    # its headers and musl's, none of the host's
    run -0 lith-c++ -M hello.cc
    ! grep -E ' /usr/include/' <<<"$output"
    run -0 lith size one
    [[ $output == *"libstdc++"*"libgcc_eh"* ]]
    for p in one mixed partial; do run timeout 60 lith run --net none ./$p x; echo "$p $status $output"; done >all
    diff all - <<'END'
one 4 ./one 2
caught
mixed 42 
partial 4 ./partial 2
caught
END
}

@test "exceptions through C: with -fexceptions; without, the program is terminated" {
    require_cxx
    echo 'int call(int (*f)(int), int x); int call(int (*f)(int), int x) { return f(x) + 1; }' >call.c
    cat >main.cc <<'END'
#include <cstdio>
extern "C" int call(int (*f)(int), int x);
int main()
{
    try {
        call([](int x) -> int { throw x; }, 7);
    } catch (int x) {
        std::printf("caught %d\n", x);
    }
}
END
    lith-cc -O2 -fexceptions -c call.c
    lith-c++ main.cc call.o -o main
    run -0 timeout 60 lith run --net none ./main
    [ "$output" = "caught 7" ]
    lith-cc -O2 -c call.c
    lith-c++ main.cc call.o -o main
    run -134 timeout 60 lith run --net none ./main
    [[ $output == *"terminate called after throwing an instance of 'int'"* ]]
}

@test "C++ by cmake" {
    require_cxx
    command -v cmake >/dev/null || skip "cmake is not installed"
    mkdir p && cp hello.cc p
    printf 'cmake_minimum_required(VERSION 3.10)\nproject(p CXX)\nset(CMAKE_CXX_STANDARD 17)\nadd_executable(hello hello.cc)\n' >p/CMakeLists.txt
    run -0 cmake -S p -B b -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_CXX_COMPILER="$bin/lith-c++" -DCMAKE_BUILD_TYPE=Release
    run -0 cmake --build b
    run -4 timeout 60 lith run --net none b/hello
    [[ $output == *caught* ]]
}

@test "lith symbolize: addresses, offsets, reports" {
    lith-cc -g -O2 hello.c -o hello
    main=$(nm hello | awk '$3 == "main" { print $1 }')
    run -0 lith symbolize hello "0x$main" kernel+0xffffffff
    [[ ${lines[0]} == "0x$main main+0x0 ("*"hello.c:"*")" ]]
    [ "${lines[1]}" = "kernel+0xffffffff ?" ]
    run -0 bash -c "printf 'at %s\nkernel_base 0x7c1234600000\nthen 0x%x\n' $main \$((0x$main - 0x7c0000000000 + 0x7c1234600000)) | lith symbolize hello"
    [ "${lines[0]}" = "at main+0x0" ]
    [ "${lines[2]}" = "then main+0x0" ]
    # A report that has the names already: the address stays, the line comes beside the name.
    run -0 bash -c "printf '    %016x  kernel: main+0x0\n' \$((0x$main)) | lith symbolize hello"
    [[ $output == *"  main+0x0"* && $output != *"kernel: "* && $output == *"$main"* ]]
    # And the name says where an image beyond 2 MiB is.
    (cat hello.c; echo 'const char ballast[3 << 20] __attribute__((used, retain)) = {1};') >large.c
    lith-cc -g -O2 large.c -o large
    main=$(nm large | awk '$3 == "main" { print $1 }')
    run -0 bash -c "printf '    %016x  kernel: main+0x1\n' \$((0x$main - 0x7c0000000000 + 0x7c1234600001)) | lith symbolize large"
    [[ $output == *"  main+0x1 ("*"large.c:"*")" ]]
    strip -o small hello
    run lith symbolize small 0
    fails_with "has no symbols"
}

@test "cmake and autoconf style projects configure and build" {
    command -v cmake >/dev/null || skip "cmake is not installed"
    mkdir p && cp hello.c p
    cat >p/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(p C)
include(CheckFunctionExists)
check_function_exists(strlcpy HAVE_STRLCPY)
check_function_exists(no_such_function HAVE_NOTHING)
if(NOT HAVE_STRLCPY OR HAVE_NOTHING)
    message(FATAL_ERROR "wrong answers")
endif()
find_package(Threads REQUIRED)
add_executable(hello hello.c)
target_link_libraries(hello m Threads::Threads)
END
    run -0 cmake -S p -B b -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_C_COMPILER="$bin/lith-cc" -DCMAKE_BUILD_TYPE=Release
    run -0 cmake --build b
    readelf -p .note.lith b/hello | grep -q Lith
}

@test "run ./program: what is not a linked program gets advice" {
    gcc hello.c -o linux -lm
    run lith run ./linux
    fails_with "build it from its source with lith-cc"
    run lith run ./hello.c
    fails_with "not an ELF program"
    run lith run .//
    fails_with "is a folder"
    run lith run ./nothing
    fails_with "No such file"
    head -c 100 linux >cut
    run lith run ./cut
    fails_with "is damaged"
    lith-cc hello.c -o hello
    run lith run -u nobody ./hello
    fails_with "give numbers"
    run lith run --entrypoint /bin/sh ./hello
    fails_with "is the only program there is"
    run lith run -m 512k ./hello
    fails_with "1M"
}

@test "run ./program: QEMU gets the program as its kernel, and no root file system" {
    lith-cc hello.c -o hello
    fake_qemu 'echo "exit 3" >&"$control"; sleep 0.1'
    run -3 lith run --platform qemu --net none -m 2M -e A=b ./hello one "two words"
    grep -A1 -x -- -kernel qemu.args | tail -1 | grep -qx ./hello
    ! grep -qx -- -initrd qemu.args
    boot_words >words
    grep -qx 'arg=./hello' words
    grep -qx 'arg=one' words
    grep -qx 'arg=two words' words
    grep -qx 'env=A=b' words
    grep -A1 -x -- -m qemu.args | tail -1 | grep -qx 2M
}

@test "a program without a network gets none; -p says so" {
    if [ "$kind" = standin ]; then
        LINK_FLAGS=0 "$BATS_TEST_DIRNAME/standin.sh" "$work/lib0" >/dev/null 2>&1
        export LITH_LIB=$work/lib0
    fi
    lith-cc hello.c -o hello
    run lith run -p 8080:80 ./hello
    fails_with "uses no network"
    export LITH_PASST=/bin/false
    fake_qemu 'echo "exit 4" >&"$control"; sleep 0.1'
    run -4 lith run --platform qemu ./hello
    ! grep -q netdev qemu.args
    # in an image it needs no root file system, either
    fake_kernel
    mkdir ctx && cp hello ctx
    printf 'FROM scratch\nCOPY hello /\nENTRYPOINT ["/hello"]\n' >ctx/Dockerfile
    lith build -q -t nofiles ctx
    run -4 lith run --platform qemu nofiles
    ! grep -qx -- -initrd qemu.args
}

@test "an image of a linked program carries it as its kernel" {
    fake_kernel
    lith-cc hello.c -o hello
    mkdir -p ctx && cp hello ctx
    printf 'FROM scratch\nCOPY hello /\nCMD ["/hello", "x"]\n' >ctx/Dockerfile
    run -0 lith build -q -t linked ctx
    run -0 lith inspect linked
    [[ $output == *'"Kind": "linked program"'*'"Path": "/hello"'* ]]
    dir=$(sed -n 's/.*"Files": "\(\/.*\)".*/\1/p' <<<"$output")
    cmp "$dir/kernel" hello
    fake_qemu 'echo "exit 5" >&"$control"; sleep 0.1'
    run -5 lith run --platform qemu --net none -m 2M linked
    boot_words | grep -qx 'arg=/hello'
    grep -A1 -x -- -kernel qemu.args | tail -1 | grep -qx "$dir/kernel"
    run -5 lith run --platform qemu --net none linked /hello other
    boot_words | grep -qx 'arg=other'
    run lith run --platform qemu --net none --entrypoint /bin/sh linked
    fails_with "leave out --entrypoint"
    run lith run --platform qemu --net none linked other
    fails_with "ENTRYPOINT, not CMD"
    # found by PATH and by WORKDIR, too; an ordinary program on top of it takes the ordinary kernel
    printf 'FROM linked\nCOPY hello /usr/bin/prog\nENTRYPOINT ["prog"]\n' >ctx/Dockerfile
    lith build -q -t bypath ctx
    lith inspect bypath | grep -q '"Path": "prog"'
    cp /bin/true ctx/true
    printf 'FROM linked\nCOPY true /true\nCMD ["/true"]\n' >ctx/Dockerfile
    lith build -q -t ordinary ctx
    ! lith inspect ordinary | grep -q '"Kind"'
}

@test "hello, run for real" {
    require_real
    lith-cc -O2 hello.c -o hello -lm
    run -7 timeout 60 lith run ./hello a b
    [[ $output == *"hello from ./hello, 2 arguments, 0.141"* ]]
    strip hello
    run -7 timeout 60 lith run -m 1M ./hello
    [[ $output == *"hello from ./hello, 0 arguments"* ]]
    mkdir -p ctx && cp hello ctx
    printf 'FROM scratch\nCOPY hello /\nCMD ["/hello"]\n' >ctx/Dockerfile
    lith build -q -t hello ctx
    run -7 timeout 60 lith run hello
    [[ $output == *"hello from /hello"* ]]
    run -7 timeout 60 lith run --platform process -m 1M ./hello a
    [[ $output == *"hello from ./hello, 1 arguments"* ]]
    run -7 timeout 60 lith run --platform process hello
    [[ $output == *"hello from /hello"* ]]
}

@test "platform process: for an ordinary user, and in a user namespace without /dev/kvm" {
    require_real
    lith-cc -O2 hello.c -o hello -lm
    if [ "$(id -u)" = 0 ]; then
        chmod -R a+rX "$BATS_RUN_TMPDIR"
        run -7 setpriv --reuid=65534 --regid=65534 --clear-groups timeout 60 lith run --platform process ./hello
        [[ $output == *"hello from ./hello"* ]]
    fi
    unshare --user --map-root-user true 2>/dev/null || skip "no user namespaces here"
    # auto takes it where there is no KVM
    export LITH_QEMU=/bin/false
    run -7 unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 2>/dev/null
        exec timeout 60 lith run ./hello'
    [[ $output == *"hello from ./hello"* ]]
}

@test "a program of an older lith-cc, without the process machine: refused there" {
    require_real
    lith-cc hello.c -o hello
    # its note says so (abi/boot.h, LITH_PROGRAM_PROCESS)
    python3 - <<'END'
import struct
b = bytearray(open("hello", "rb").read())
at = b.index(struct.pack("<III", 5, 8, 2) + b"Lith\0\0\0\0") + 20
b[at + 4:at + 8] = struct.pack("<I", struct.unpack_from("<I", b, at + 4)[0] & ~4)
open("old", "wb").write(b)
END
    chmod +x old
    run lith run --platform process ./old
    fails_with "linked by an older lith-cc"
    # auto gives it to QEMU where there is no KVM
    fake_qemu 'echo "exit 3" >&"$control"; sleep 0.1'
    unshare --user --map-root-user true 2>/dev/null || skip "no user namespaces here"
    run -3 unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /dev && : >/dev/null
        exec timeout 60 lith run --net none ./old'
}
