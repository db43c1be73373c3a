// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c kernel/lib/format.c kernel/core/bootconfig.c
// The kernel's decoder of the boot configuration, with any bytes.
#include <stdlib.h>
#include <string.h>
#include "tests/unit/shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *words[64];
    struct boot_config c = {.ring = -1};
    const char *error;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    if (bootconfig_parse(text, size + 1, &c, words, ARRAY_LEN(words), &error) == 0) {
        if (c.argv[c.argc] || c.envp[c.envc])
            abort();
        for (unsigned i = 0; i < c.argc; i++)
            if (c.argv[i] < text || c.argv[i] > text + size)
                abort();
    } else if (!error) {
        abort();
    }
    free(text);
    return 0;
}
