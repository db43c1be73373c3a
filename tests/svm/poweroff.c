// SPDX-License-Identifier: ISC
// svm-exit N: end the emulated host; QEMU exits with 2*N+1 (isa-debug-exit at port 0x501).
#include <stdlib.h>
#include <sys/io.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status = argc > 1 ? atoi(argv[1]) : 0;
    usleep(50000); // let the serial port drain
    if (ioperm(0x501, 1, 1))
        return 1;
    outb((unsigned char)(status > 100 ? 100 : status), 0x501);
    return 1;
}
