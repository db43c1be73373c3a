// SPDX-License-Identifier: ISC
// Hostile Dockerfiles: parsing, and expansion of every instruction's words.
// links: host/image/dockerfile.c host/image/expand.c host/common/error.c
#include <stdlib.h>
#include <string.h>

#include "image/dockerfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Half of the names are set, so that every operator is taken both ways.
static const char *lookup(void *context, const char *name, size_t len)
{
    (void)context;
    if (len > 0 && (name[0] & 1))
        return (name[0] & 2) ? "" : "va lue";
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dockerfile df;
    struct err e = {""};
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    if (dockerfile_parse(text, size, "Dockerfile", &df, &e) < 0) {
        if (e.text[0] == 0)
            abort();
        free(text);
        return 0;
    }
    for (size_t i = 0; i < df.n; i++) {
        for (int quotes = 0; quotes < 2; quotes++) {
            struct strings words = {0};
            if (df_words(df.v[i].args, df.escape, quotes, lookup, NULL, &words, &e) == 0)
                for (size_t k = 0; k < words.n; k++)
                    if (strlen(words.v[k]) > DOCKERFILE_WORD_MAX + 65536)
                        abort();
            strings_free(&words);
        }
    }
    dockerfile_free(&df);
    free(text);
    return 0;
}
