// SPDX-License-Identifier: ISC
// Private to plat/pvh.
#ifndef LITH_PLAT_PVH_H
#define LITH_PLAT_PVH_H

#include "plat/machine.h"
#include "abi/bootconfig.h"

#define UART_CONSOLE 0x3f8
#define UART_CONTROL 0x2f8
void uart_write(uint16_t port, const char *s, size_t n);
// COM2, where there is one: lines to the outside ("exit N"), single bytes from it ('T', 'I').
void pvh_control_init(void);
// Remembers the devices that the command line names, before it is decoded.
void pvh_note_devices(const char *cmdline);
uint64_t pvh_early_page(void);
bool ioapic_route(unsigned irq, unsigned vector); // edge-triggered, to CPU 0

#endif
