// SPDX-License-Identifier: ISC
// The rewriter's findings as JSON (what an image stores) and as text (`lith inspect --calls`).
#include "image/rewrite/rewrite.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const form_keys[REWRITE_FORMS] = {
    [REWRITE_FORM_A] = "A",     [REWRITE_FORM_A9] = "A9", [REWRITE_FORM_B] = "B",
    [REWRITE_FORM_C] = "C",     [REWRITE_FORM_C2] = "C2", [REWRITE_FORM_TRAP] = "trap",
    [REWRITE_FORM_RAW] = "raw",
};

const char *rewrite_result_text(enum rewrite_result result)
{
    switch (result) {
    case REWRITE_UNCHANGED:
        return "nothing to rewrite";
    case REWRITE_CHANGED:
        return "rewritten";
    case REWRITE_NOT_ELF:
        return "not an ELF file";
    case REWRITE_FOREIGN:
        return "not an x86-64 program or shared library";
    case REWRITE_MALFORMED:
        return "malformed ELF file";
    case REWRITE_NO_MEMORY:
        return "out of memory";
    }
    return "unknown result";
}

const char *rewrite_form_text(enum rewrite_form form)
{
    return (unsigned)form < REWRITE_FORMS ? form_keys[form] : "unknown";
}

const char *rewrite_reason_text(enum rewrite_reason reason)
{
    switch (reason) {
    case REWRITE_REASON_NONE:
        return "rewritten";
    case REWRITE_REASON_UNDECODED:
        return "its function does not decode to its end";
    case REWRITE_REASON_NEIGHBOURS:
        return "the instructions around it cannot be moved";
    case REWRITE_REASON_NO_ROOM:
        return "no room for stubs in the file";
    case REWRITE_REASON_OUT_OF_REACH:
        return "a displacement exceeds 32 bits";
    case REWRITE_REASONS:
        break;
    }
    return "unknown reason";
}

static json_t *site_to_json(const struct rewrite_site *site)
{
    char address[32];
    snprintf(address, sizeof(address), "0x%" PRIx64, site->address);
    json_t *object = json_pack("{s:s, s:i, s:s}", "address", address, "number", site->number,
                               "form", rewrite_form_text(site->form));
    if (object && site->function)
        json_object_set_new(object, "function", json_string(site->function));
    if (object && site->reason != REWRITE_REASON_NONE)
        json_object_set_new(object, "reason", json_string(rewrite_reason_text(site->reason)));
    return object;
}

static json_t *sites_to_json(const struct rewrite_report *report, bool all)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < report->found; i++) {
        if (!all && report->sites[i].reason == REWRITE_REASON_NONE)
            continue;
        if (json_array_append_new(array, site_to_json(&report->sites[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *rewrite_report_to_json(const struct rewrite_report *report, const char *path)
{
    json_t *forms = json_object();
    for (unsigned i = 0; forms && i < REWRITE_FORMS; i++)
        if (report->forms[i])
            json_object_set_new(forms, form_keys[i], json_integer(report->forms[i]));
    // Paths are bytes; JSON strings are not.
    json_t *name = json_string(path);
    if (!name)
        name = json_string("(name is not UTF-8)");
    return json_pack("{s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:b, s:o}", "path", name, "found",
                     (json_int_t)report->found, "rewritten", (json_int_t)report->rewritten, "forms",
                     forms, "outside", (json_int_t)report->outside, "int80",
                     (json_int_t)report->int80, "stub_bytes", (json_int_t)report->stub_bytes,
                     "page_appended", (int)report->page_appended, "left",
                     sites_to_json(report, false));
}

json_t *rewrite_report_to_json_sites(const struct rewrite_report *report, const char *path)
{
    json_t *object = rewrite_report_to_json(report, path);
    if (object && json_object_set_new(object, "sites", sites_to_json(report, true))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key)); // 0 where absent
}

static const char *text(const json_t *object, const char *key)
{
    const char *string = json_string_value(json_object_get(object, key));
    return string ? string : "?";
}

static void print_sites(FILE *stream, const json_t *sites)
{
    size_t i;
    json_t *site;
    json_array_foreach(sites, i, site)
    {
        fprintf(stream, "    %-12s %-5s", text(site, "address"), text(site, "form"));
        if (json_object_get(site, "function"))
            fprintf(stream, " in %s", text(site, "function"));
        if (integer(site, "number") >= 0)
            fprintf(stream, " (call %" JSON_INTEGER_FORMAT ")", integer(site, "number"));
        if (json_object_get(site, "reason"))
            fprintf(stream, ": %s", text(site, "reason"));
        fputc('\n', stream);
    }
}

static void print_file(FILE *stream, const json_t *file)
{
    json_t *left = json_object_get(file, "left");
    fprintf(stream, "%7" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT " %5zu  %s",
            integer(file, "found"), integer(file, "rewritten"), json_array_size(left),
            text(file, "path"));
    const char *key;
    json_t *count;
    const char *separator = "  (";
    json_object_foreach(json_object_get(file, "forms"), key, count)
    {
        fprintf(stream, "%s%s %" JSON_INTEGER_FORMAT, separator, key, json_integer_value(count));
        separator = ", ";
    }
    fputs(*separator == ' ' ? "\n" : ")\n", stream);
    if (integer(file, "outside"))
        fprintf(stream,
                "    %" JSON_INTEGER_FORMAT " byte pairs outside functions look like `syscall`: "
                "not touched\n",
                integer(file, "outside"));
    if (integer(file, "int80"))
        fprintf(stream, "    %" JSON_INTEGER_FORMAT " `int $0x80`: 32-bit calls are not served\n",
                integer(file, "int80"));
    json_t *sites = json_object_get(file, "sites");
    print_sites(stream, sites ? sites : left);
}

static void print_head(FILE *stream)
{
    fprintf(stream, "%7s %9s %5s  %s\n", "FOUND", "REWRITTEN", "LEFT", "FILE  (by form)");
}

void rewrite_report_print(FILE *stream, const char *path, const struct rewrite_report *report,
                          bool all_sites)
{
    json_t *file = all_sites ? rewrite_report_to_json_sites(report, path)
                             : rewrite_report_to_json(report, path);
    print_head(stream);
    if (file)
        print_file(stream, file);
    json_decref(file);
}

int rewrite_summary_print(FILE *stream, const json_t *summary)
{
    size_t i;
    json_t *file;
    if (!json_is_array(summary))
        return -EINVAL;
    json_array_foreach(summary, i, file)
    {
        if (!json_is_object(file) || !json_is_string(json_object_get(file, "path")))
            return -EINVAL;
    }
    json_int_t found = 0, rewritten = 0;
    size_t left = 0;
    print_head(stream);
    json_array_foreach(summary, i, file)
    {
        print_file(stream, file);
        found += integer(file, "found");
        rewritten += integer(file, "rewritten");
        left += json_array_size(json_object_get(file, "left"));
    }
    fprintf(stream, "%7" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT " %5zu  total, %zu files\n",
            found, rewritten, left, json_array_size(summary));
    return 0;
}
