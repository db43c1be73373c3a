// SPDX-License-Identifier: ISC
// Carries out a Dockerfile. There is no RUN: nothing of the image is executed while it is built, so
// a build needs no privileges and no machine.
#include "image/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct builder {
    const struct build_options *o;
    struct dockerfile df;
    struct draft draft;
    int context;
    struct strings ignore;
    json_t *args; // ARG values
    json_t *shell;
    bool have_cmd, from_seen;
};

// The value of NAME in the list Env of NAME=VALUE, or NULL.
static const char *env_get(json_t *env, const char *name, size_t len)
{
    size_t i;
    json_t *item;
    json_array_foreach(env, i, item)
    {
        const char *s = json_string_value(item);
        if (strncmp(s, name, len) == 0 && s[len] == '=')
            return s + len + 1;
    }
    return NULL;
}

static const char *lookup(void *context, const char *name, size_t len)
{
    struct builder *b = context;
    const char *value = env_get(json_object_get(b->draft.config, "Env"), name, len);
    if (value != NULL)
        return value;
    char *key = xstrndup(name, len);
    value = json_string_value(json_object_get(b->args, key));
    free(key);
    return value;
}

static json_t *config_array(struct builder *b, const char *name)
{
    json_t *array = json_object_get(b->draft.config, name);
    if (!json_is_array(array)) {
        array = json_array();
        json_object_set_new(b->draft.config, name, array);
    }
    return array;
}

static json_t *config_object(struct builder *b, const char *name)
{
    json_t *object = json_object_get(b->draft.config, name);
    if (!json_is_object(object)) {
        object = json_object();
        json_object_set_new(b->draft.config, name, object);
    }
    return object;
}

static int json_string_checked(const char *s, json_t **out, struct err *e)
{
    *out = json_string(s);
    return *out != NULL ? 0 : err_set(e, -EINVAL, "not UTF-8 text: %.60s", s);
}

static int config_set_string(struct builder *b, const char *name, const char *value, struct err *e)
{
    json_t *s;
    int r = json_string_checked(value, &s, e);
    if (r == 0)
        json_object_set_new(b->draft.config, name, s);
    return r;
}

static void env_set(struct builder *b, const char *name, const char *value)
{
    json_t *env = config_array(b, "Env");
    size_t len = strlen(name);
    char *entry = xasprintf("%s=%s", name, value);
    json_t *s = json_string(entry);
    free(entry);
    for (size_t i = 0; i < json_array_size(env); i++) {
        const char *have = json_string_value(json_array_get(env, i));
        if (strncmp(have, name, len) == 0 && have[len] == '=') {
            json_array_set_new(env, i, s);
            return;
        }
    }
    json_array_append_new(env, s);
}

static const char *workdir(struct builder *b)
{
    const char *dir = json_string_value(json_object_get(b->draft.config, "WorkingDir"));
    return dir != NULL && *dir ? dir : "/";
}

static int expand_all(struct builder *b, const struct df_instruction *in, char **out, struct err *e)
{
    return df_expand(in->args, strlen(in->args), b->df.escape, lookup, b, out, e);
}

// ARG without a value takes it from --build-arg, or from our own environment if that says only
// NAME.
static const char *build_arg(struct builder *b, const char *name, size_t len)
{
    for (size_t i = 0; i < b->o->nargs; i++) {
        const char *a = b->o->args[i];
        if (strncmp(a, name, len) == 0 && a[len] == '=')
            return a + len + 1;
        if (strncmp(a, name, len) == 0 && a[len] == 0)
            return getenv(a);
    }
    return NULL;
}

static int do_arg(struct builder *b, const struct df_instruction *in, struct err *e)
{
    struct strings words = {0};
    int r = df_words(in->args, b->df.escape, true, lookup, b, &words, e);
    for (size_t i = 0; r == 0 && i < words.n; i++) {
        size_t len = strcspn(words.v[i], "=");
        const char *value = build_arg(b, words.v[i], len);
        if (value == NULL && words.v[i][len] == '=')
            value = words.v[i] + len + 1;
        words.v[i][len] = 0;
        json_t *s = NULL;
        if (value != NULL)
            r = json_string_checked(value, &s, e);
        if (s != NULL)
            json_object_set_new(b->args, words.v[i], s);
    }
    strings_free(&words);
    return r;
}

static int do_from(struct builder *b, const struct df_instruction *in, struct err *e)
{
    if (b->from_seen)
        return err_set(
            e, -ENOTSUP,
            "a second FROM: builds of several stages need RUN, which Lith does not have; "
            "build the first stage by itself and COPY its results");
    for (size_t i = 0; i < in->flags.n; i++)
        if (strcmp(in->flags.v[i], "platform=linux/amd64") != 0)
            return err_set(e, -ENOTSUP, "--%.60s: images are made for linux/amd64", in->flags.v[i]);
    struct strings words = {0};
    int r = df_words(in->args, b->df.escape, false, lookup, b, &words, e);
    if (r == 0 && words.n != 1 && !(words.n == 3 && strcasecmp(words.v[1], "as") == 0))
        r = err_set(e, -EINVAL, "FROM takes an image, and a name behind AS: FROM scratch");
    if (r == 0 && strcmp(words.v[0], "scratch") != 0) {
        struct err why;
        r = draft_base(&b->draft, words.v[0], &why);
        if (r == -ENOENT)
            r = err_set(
                e, r,
                "No such image: %.200s; only images of `lith images` can be a base; make one with "
                "`lith import deb:PACKAGE %.200s`",
                words.v[0], words.v[0]);
        else if (r < 0)
            *e = why;
    }
    strings_free(&words);
    b->from_seen = true;
    // What the base's ARGs and ours before FROM set is not visible behind it.
    json_object_clear(b->args);
    return r;
}

// ENV and LABEL: NAME=VALUE..., or the old form NAME rest-of-line.
static int do_pairs(struct builder *b, const struct df_instruction *in,
                    int (*set)(struct builder *, const char *, const char *, struct err *),
                    struct err *e)
{
    size_t first = df_word_len(in->args, b->df.escape, true);
    char *equal = memchr(in->args, '=', first);
    struct strings words = {0};
    int r;
    if (equal == NULL) {
        if (in->args[first] == 0)
            return err_set(e, -EINVAL, "%s needs NAME=VALUE", df_op_name(in->op));
        char *name = xstrndup(in->args, first), *value;
        const char *rest = in->args + first + strspn(in->args + first, " \t");
        r = df_expand(rest, strlen(rest), b->df.escape, lookup, b, &value, e);
        if (r == 0) {
            r = set(b, name, value, e);
            free(value);
        }
        free(name);
        return r;
    }
    // All values of one instruction see the environment as it was before.
    r = df_words(in->args, b->df.escape, true, lookup, b, &words, e);
    for (size_t i = 0; r == 0 && i < words.n; i++) {
        char *value = strchr(words.v[i], '=');
        if (value == NULL || value == words.v[i]) {
            r = err_set(e, -EINVAL, "%s: '%.100s' is not NAME=VALUE", df_op_name(in->op),
                        words.v[i]);
            break;
        }
        *value++ = 0;
        r = set(b, words.v[i], value, e);
    }
    strings_free(&words);
    return r;
}

static int set_env(struct builder *b, const char *name, const char *value, struct err *e)
{
    json_t *probe;
    int r = json_string_checked(value, &probe, e);
    if (r < 0)
        return r;
    json_decref(probe);
    env_set(b, name, value);
    return 0;
}

static int set_label(struct builder *b, const char *name, const char *value, struct err *e)
{
    json_t *s;
    int r = json_string_checked(value, &s, e);
    return r < 0 ? r : json_object_set_new(config_object(b, "Labels"), name, s);
}

static int do_expose(struct builder *b, const struct df_instruction *in, struct err *e)
{
    struct strings words = {0};
    int r = df_words(in->args, b->df.escape, false, lookup, b, &words, e);
    for (size_t i = 0; r == 0 && i < words.n; i++) {
        char *proto = strchr(words.v[i], '/');
        if (proto != NULL)
            *proto++ = 0;
        char *last = strchr(words.v[i], '-');
        if (last != NULL)
            *last++ = 0;
        uint64_t from, to;
        if (parse_uint(words.v[i], 1, 65535, &from) < 0 ||
            parse_uint(last ? last : words.v[i], from, 65535, &to) < 0 ||
            (proto != NULL && strcasecmp(proto, "tcp") != 0 && strcasecmp(proto, "udp") != 0)) {
            r = err_set(e, -EINVAL, "EXPOSE takes PORT[-PORT][/tcp|/udp], not '%.60s'", in->args);
            break;
        }
        for (uint64_t port = from; port <= to; port++) {
            char key[24];
            snprintf(key, sizeof(key), "%u/%s", (unsigned)port,
                     proto != NULL && strcasecmp(proto, "udp") == 0 ? "udp" : "tcp");
            json_object_set_new(config_object(b, "ExposedPorts"), key, json_object());
        }
    }
    strings_free(&words);
    return r;
}

static int do_volume(struct builder *b, const struct df_instruction *in, struct err *e)
{
    struct strings words = {0};
    int r = 0;
    if (!in->is_json)
        r = df_words(in->args, b->df.escape, false, lookup, b, &words, e);
    const struct strings *list = in->is_json ? &in->json : &words;
    for (size_t i = 0; r == 0 && i < list->n; i++) {
        json_t *check;
        if (list->v[i][0] == 0 || json_string_checked(list->v[i], &check, e) < 0) {
            r = err_set(e, -EINVAL, "VOLUME takes folders, as text");
            break;
        }
        json_decref(check);
        json_object_set_new(config_object(b, "Volumes"), list->v[i], json_object());
        if (!tree_exists(&b->draft.tree, list->v[i]))
            r = tree_put_dir(&b->draft.tree, list->v[i], &TREE_ATTR_DIR, e);
    }
    strings_free(&words);
    return r;
}

static int do_workdir(struct builder *b, const struct df_instruction *in, struct err *e)
{
    char *word;
    int r = expand_all(b, in, &word, e);
    if (r < 0)
        return r;
    char *dir = path_join(workdir(b), word);
    free(word);
    r = config_set_string(b, "WorkingDir", dir, e);
    if (r == 0 && !tree_exists(&b->draft.tree, dir))
        r = tree_put_dir(&b->draft.tree, dir, &TREE_ATTR_DIR, e);
    free(dir);
    return r;
}

static int do_string(struct builder *b, const struct df_instruction *in, const char *name,
                     struct err *e)
{
    char *word;
    int r = expand_all(b, in, &word, e);
    if (r == 0)
        r = config_set_string(b, name, word, e);
    if (r == 0)
        free(word);
    return r;
}

static int do_exec(struct builder *b, const struct df_instruction *in, const char *name,
                   struct err *e)
{
    json_t *list = in->is_json ? json_array() : json_deep_copy(b->shell);
    int r = 0;
    for (size_t i = 0; in->is_json && i < in->json.n; i++)
        if (json_array_append_new(list, json_string(in->json.v[i])) < 0)
            r = -EINVAL;
    if (!in->is_json && json_array_append_new(list, json_string(in->args)) < 0)
        r = -EINVAL;
    if (r < 0) {
        json_decref(list);
        return err_set(e, r, "%s: not UTF-8 text", df_op_name(in->op));
    }
    json_object_set_new(b->draft.config, name, list);
    // A new ENTRYPOINT makes the base's CMD meaningless; our own CMD stays.
    if (in->op == DF_ENTRYPOINT && !b->have_cmd)
        json_object_del(b->draft.config, "Cmd");
    b->have_cmd |= in->op == DF_CMD;
    return 0;
}

static int do_shell(struct builder *b, const struct df_instruction *in, struct err *e)
{
    if (!in->is_json || in->json.n == 0)
        return err_set(e, -EINVAL, "SHELL takes a JSON list: SHELL [\"/bin/sh\", \"-c\"]");
    json_array_clear(b->shell);
    for (size_t i = 0; i < in->json.n; i++)
        if (json_array_append_new(b->shell, json_string(in->json.v[i])) < 0)
            return err_set(e, -EINVAL, "SHELL: not UTF-8 text");
    return 0;
}

static int copy_flags(struct builder *b, const struct df_instruction *in, struct copy *c,
                      struct err *e)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < in->flags.n; i++) {
        const char *flag = in->flags.v[i];
        char *value = NULL;
        if (strncmp(flag, "chown=", 6) == 0) {
            r = df_expand(flag + 6, strlen(flag + 6), b->df.escape, lookup, b, &value, e);
            json_t *users = NULL;
            const char *home;
            if (r == 0)
                r = users_read(&b->draft.tree, &users, e);
            if (r == 0)
                r = config_resolve_user(users, value, &c->uid, &c->gid, &home, e);
            // docker: a numeric or named user alone gives the group of the same number or the
            // user's.
            if (r == 0 && strchr(value, ':') == NULL && c->gid == 0)
                c->gid = c->uid;
            c->has_owner = true;
            json_decref(users);
        } else if (strncmp(flag, "chmod=", 6) == 0) {
            char *end;
            r = df_expand(flag + 6, strlen(flag + 6), b->df.escape, lookup, b, &value, e);
            unsigned long mode = r == 0 ? strtoul(value, &end, 8) : 0;
            if (r == 0 && (*value == 0 || *end != 0 || mode > 07777))
                r = err_set(e, -EINVAL, "--chmod takes an octal mode such as 0644, not '%.40s'",
                            value);
            c->mode = (mode_t)mode;
            c->has_mode = true;
        } else if (strncmp(flag, "from=", 5) == 0) {
            r = err_set(
                e, -ENOTSUP,
                "--from: builds of several stages are not supported; make the image `FROM %.100s`",
                flag + 5);
        } else if (strcmp(flag, "link") != 0 && strncmp(flag, "link=", 5) != 0) {
            r = err_set(e, -EINVAL, "unknown flag --%.60s", flag);
        }
        free(value);
    }
    return r;
}

static int do_copy(struct builder *b, const struct df_instruction *in, struct err *e)
{
    struct copy c = {
        .draft = &b->draft,
        .context = b->context,
        .ignore = &b->ignore,
        .add = in->op == DF_ADD,
        .workdir = workdir(b),
    };
    int r = copy_flags(b, in, &c, e);
    if (r < 0)
        return r;
    if (!in->is_json && strncmp(in->args, "<<", 2) == 0)
        return err_set(e, -ENOTSUP,
                       "here-documents are not supported; put the text into a file and COPY it");
    struct strings words = {0};
    for (size_t i = 0; r == 0 && in->is_json && i < in->json.n; i++) {
        char *word;
        r = df_expand(in->json.v[i], strlen(in->json.v[i]), b->df.escape, lookup, b, &word, e);
        if (r == 0)
            strings_add(&words, word);
    }
    if (!in->is_json)
        r = df_words(in->args, b->df.escape, false, lookup, b, &words, e);
    if (r == 0)
        r = copy_run(&c, &words, e);
    strings_free(&words);
    return r;
}

static int build_instruction(struct builder *b, const struct df_instruction *in, struct err *e)
{
    if (!b->from_seen && in->op != DF_FROM && in->op != DF_ARG)
        return err_set(e, -EINVAL, "%s before FROM; begin with FROM scratch or FROM IMAGE",
                       df_op_name(in->op));
    switch (in->op) {
    case DF_FROM:
        return do_from(b, in, e);
    case DF_ARG:
        return do_arg(b, in, e);
    case DF_ENV:
        return do_pairs(b, in, set_env, e);
    case DF_LABEL:
        return do_pairs(b, in, set_label, e);
    case DF_COPY:
    case DF_ADD:
        return do_copy(b, in, e);
    case DF_WORKDIR:
        return do_workdir(b, in, e);
    case DF_USER:
        return do_string(b, in, "User", e);
    case DF_STOPSIGNAL:
        return do_string(b, in, "StopSignal", e);
    case DF_EXPOSE:
        return do_expose(b, in, e);
    case DF_VOLUME:
        return do_volume(b, in, e);
    case DF_CMD:
        return do_exec(b, in, "Cmd", e);
    case DF_ENTRYPOINT:
        return do_exec(b, in, "Entrypoint", e);
    case DF_SHELL:
        return do_shell(b, in, e);
    case DF_MAINTAINER:
        return set_label(b, "maintainer", in->args, e);
    case DF_HEALTHCHECK:
        fprintf(stderr,
                "lith: warning: %s:%u: HEALTHCHECK is left out: nothing runs beside the program\n",
                b->df.name, in->line);
        return 0;
    case DF_RUN:
        return err_set(
            e, -ENOTSUP,
            "RUN is not supported: nothing of an image is executed while it is built. Put the "
            "packages "
            "into the base (`lith import deb:PACKAGE,PACKAGE NAME`) and COPY what else is needed, "
            "or "
            "build with docker or buildah and import the result (`lith import oci:DIR NAME`)");
    case DF_ONBUILD:
        return err_set(e, -ENOTSUP,
                       "ONBUILD is not supported; write the instruction where it is needed");
    }
    return err_set(e, -EINVAL, "unknown instruction");
}

static int build_run(struct builder *b, struct store_image *image, struct err *e)
{
    for (size_t i = 0; i < b->df.n; i++) {
        const struct df_instruction *in = &b->df.v[i];
        draft_say(&b->draft, "Step %zu/%zu : %s %s\n", i + 1, b->df.n, df_op_name(in->op),
                  in->args);
        struct err why = {""};
        int r = build_instruction(b, in, &why);
        if (r < 0)
            return err_set(e, r, "%s:%u: %s", b->df.name, in->line,
                           why.text[0] ? why.text : strerror(-r));
    }
    if (!b->from_seen)
        return err_set(e, -EINVAL, "%s: no FROM; begin with FROM scratch or FROM IMAGE",
                       b->df.name);
    return draft_finish(&b->draft, b->o->ref, image, e);
}

int image_build(const struct build_options *o, struct store_image *image, struct err *e)
{
    struct builder b = {.o = o, .context = -1};
    char *file = o->file ? xstrdup(o->file) : xasprintf("%s/Dockerfile", o->context);
    char *text = NULL;
    size_t len;
    int r = 0;
    b.context = open(o->context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b.context < 0)
        r = err_sys(e, -errno, "cannot open the build context %s", o->context);
    if (r == 0 && (r = file_read(AT_FDCWD, file, DOCKERFILE_MAX, &text, &len)) < 0)
        err_sys(e, r, "cannot read %s (-f names another file)", file);
    if (r == 0)
        r = dockerfile_parse(text, len, file, &b.df, e);
    if (r == 0)
        r = ignore_read(b.context, &b.ignore, e);
    if (r == 0 && (r = draft_begin(&b.draft, o->quiet, e)) == 0) {
        b.args = json_object();
        b.shell = json_pack("[s, s]", "/bin/sh", "-c");
        r = build_run(&b, image, e);
        draft_end(&b.draft);
        json_decref(b.args);
        json_decref(b.shell);
    }
    dockerfile_free(&b.df);
    strings_free(&b.ignore);
    if (b.context >= 0)
        close(b.context);
    free(text);
    free(file);
    return r;
}
