// SPDX-License-Identifier: ISC
// The configuration that an image carries: what to run, as whom, and the users that it knows.
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

int store_read_config(const char *dir, json_t **config, struct err *e)
{
    char *path = xasprintf("%s/config.json", dir), *data = NULL;
    size_t len;
    json_error_t je;
    int r = file_read(AT_FDCWD, path, STORE_JSON_MAX, &data, &len);
    if (r < 0)
        r = err_sys(e, r, "the image is damaged: cannot read %s", path);
    else if ((*config = json_loadb(data, len, JSON_REJECT_DUPLICATES, &je)) == NULL)
        r = err_set(e, -EBADMSG, "the image is damaged: %s line %d: %s", path, je.line, je.text);
    else if (!json_is_object(json_object_get(*config, "config"))) {
        json_decref(*config);
        r = err_set(e, -EBADMSG, "the image is damaged: %s has no \"config\"", path);
    }
    free(data);
    free(path);
    return r;
}

int config_strings(json_t *config, const char *name, json_t **list, struct err *e)
{
    json_t *value = json_object_get(config, name), *item;
    size_t i;
    *list = NULL;
    if (value == NULL || json_is_null(value))
        return 0;
    if (!json_is_array(value))
        return err_set(e, -EBADMSG,
                       "the image is damaged: \"%s\" of its configuration is not a list", name);
    json_array_foreach(value, i, item)
    {
        // A NUL inside would cut the word off where nobody expects it.
        if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item))
            return err_set(
                e, -EBADMSG,
                "the image is damaged: \"%s\" of its configuration holds more than strings", name);
    }
    *list = value;
    return 0;
}

int config_resolve_user(json_t *config, const char *spec, uint32_t *uid, uint32_t *gid,
                        const char **home, struct err *e)
{
    const char *colon = strchr(spec, ':');
    char *user = colon ? xstrndup(spec, (size_t)(colon - spec)) : xstrdup(spec);
    json_t *users = json_object_get(config, "users"), *entry = json_object_get(users, user);
    const char *name;
    uint64_t number;
    int r = 0;
    *uid = *gid = 0;
    *home = "/";
    if (entry == NULL && parse_uint(user, 0, UINT32_MAX - 1, &number) == 0) {
        json_t *other;
        *uid = (uint32_t)number;
        json_object_foreach(users, name, other)
        {
            if (json_is_integer(json_array_get(other, 0)) &&
                json_integer_value(json_array_get(other, 0)) == (json_int_t)number)
                entry = other;
        }
    } else if (entry == NULL && *user != 0) {
        r = err_set(e, -EINVAL, "unable to find user %.100s: it is not in the image's /etc/passwd",
                    user);
    }
    if (r == 0 && entry != NULL) {
        *uid = (uint32_t)json_integer_value(json_array_get(entry, 0));
        *gid = (uint32_t)json_integer_value(json_array_get(entry, 1));
        const char *h = json_string_value(json_array_get(entry, 2));
        *home = h != NULL && *h ? h : "/";
    }
    free(user);
    if (r == 0 && colon != NULL) {
        json_t *group = json_object_get(json_object_get(config, "groups"), colon + 1);
        if (group != NULL)
            *gid = (uint32_t)json_integer_value(group);
        else if (parse_uint(colon + 1, 0, UINT32_MAX - 1, &number) == 0)
            *gid = (uint32_t)number;
        else
            r = err_set(e, -EINVAL,
                        "unable to find group %.100s: it is not in the image's /etc/group",
                        colon + 1);
    }
    return r;
}
