// SPDX-License-Identifier: ISC
// Dockerfile: text to instructions, and the shell-like words inside them. No files are touched
// here and nothing is executed, so that hostile text can do no more than fail. Errors begin with
// "FILE:LINE: ".
#ifndef LITH_HOST_IMAGE_DOCKERFILE_H
#define LITH_HOST_IMAGE_DOCKERFILE_H

#include "common/common.h"

#define DOCKERFILE_MAX              (1u << 20) // bytes of the file
#define DOCKERFILE_INSTRUCTIONS_MAX 4096u
#define DOCKERFILE_WORD_MAX         65536u // bytes of one expanded word; ENV A=$A$A doubles each time

enum df_op {
    DF_ADD,
    DF_ARG,
    DF_CMD,
    DF_COPY,
    DF_ENTRYPOINT,
    DF_ENV,
    DF_EXPOSE,
    DF_FROM,
    DF_HEALTHCHECK,
    DF_LABEL,
    DF_MAINTAINER,
    DF_ONBUILD,
    DF_RUN,
    DF_SHELL,
    DF_STOPSIGNAL,
    DF_USER,
    DF_VOLUME,
    DF_WORKDIR,
};

struct strings {
    char **v;
    size_t n;
};
void strings_add(struct strings *s, char *owned);
void strings_free(struct strings *s);

struct df_instruction {
    enum df_op op;
    unsigned line;        // of its first word, from 1
    char *args;           // continuation lines joined, flags taken off, no space at either end
    struct strings flags; // "name=value" or "name", without the dashes
    bool is_json;         // args is a JSON list of strings, in `json`
    struct strings json;
};

struct dockerfile {
    const char *name; // the caller's
    char escape;      // '\\' or '`'
    struct df_instruction *v;
    size_t n;
};

const char *df_op_name(enum df_op op);
// `name` stays the caller's and must live as long as the result.
int dockerfile_parse(const char *text, size_t len, const char *name, struct dockerfile *df,
                     struct err *e);
void dockerfile_free(struct dockerfile *df);

// The value of a variable, or NULL when it is not set.
typedef const char *df_lookup(void *context, const char *name, size_t len);

// Takes quotes and escapes away and replaces $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word},
// ${NAME-word}, ${NAME+word}, ${NAME:?word}, ${NAME?word}. The caller frees *out. -EINVAL.
int df_expand(const char *word, size_t len, char escape, df_lookup *lookup, void *context,
              char **out, struct err *e);
// Splits at blanks and expands each word. `quotes`: blanks inside quotes do not split.
int df_words(const char *s, char escape, bool quotes, df_lookup *lookup, void *context,
             struct strings *out, struct err *e);
// End of the word that begins at s.
size_t df_word_len(const char *s, char escape, bool quotes);

#endif
