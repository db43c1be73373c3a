// SPDX-License-Identifier: ISC
// Samples and what is made of them: medians, spread, ratios to native; and notes about what failed.
#include "bench/bench.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 256

struct series series[SERIES_MAX];
int series_count;
char notes[64][256];
int notes_count;

void note(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (int i = 0; i < notes_count; i++)
        if (strcmp(notes[i], text) == 0)
            return;
    fprintf(stderr, "bench: %s\n", text);
    if (notes_count < (int)(sizeof(notes) / sizeof(notes[0])))
        memcpy(notes[notes_count++], text, sizeof(text));
}

void sample(enum platform platform, const char *name, const char *metric, const char *unit,
            bool lower_better, double value)
{
    struct series *s;
    for (s = series; s < series + series_count; s++)
        if (strcmp(s->name, name) == 0 && strcmp(s->metric, metric) == 0)
            break;
    if (s == series + series_count) {
        if (series_count == SERIES_MAX) {
            note("more than %d metrics", SERIES_MAX);
            return;
        }
        series_count++;
        snprintf(s->name, sizeof(s->name), "%s", name);
        snprintf(s->metric, sizeof(s->metric), "%s", metric);
        snprintf(s->unit, sizeof(s->unit), "%s", unit);
        s->lower_better = lower_better;
    }
    if (isfinite(value) && s->count[platform] < SAMPLES_MAX)
        s->value[platform][s->count[platform]++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The value at a fraction of the sorted ones, between neighbours if need be.
static double quantile(const double *values, int count, double fraction)
{
    double sorted[SAMPLES_MAX], at = fraction * (count - 1);
    int low = (int)at;
    if (count <= 0)
        return NAN;
    memcpy(sorted, values, (size_t)count * sizeof(*values));
    qsort(sorted, (size_t)count, sizeof(sorted[0]), compare);
    if (low + 1 >= count)
        return sorted[count - 1];
    return sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
}

double median_of(const double *values, int count)
{
    return quantile(values, count, 0.5);
}

double spread_of(const double *values, int count)
{
    double median = median_of(values, count);
    if (count < 3 || !(fabs(median) > 0))
        return NAN;
    return (quantile(values, count, 0.75) - quantile(values, count, 0.25)) / fabs(median);
}

bool ratio_of(const struct series *s, enum platform platform, double *ratio)
{
    double pairs[SAMPLES_MAX];
    int count = s->count[platform];
    if (count == 0 || count != s->count[NATIVE])
        return false;
    // What does not change from run to run is measured once.
    if (count >= ROUNDS_RATIO) {
        if (!(spread_of(s->value[platform], count) <= SPREAD_MAX) ||
            !(spread_of(s->value[NATIVE], count) <= SPREAD_MAX))
            return false;
    } else if (strcmp(s->unit, "bytes") != 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        double mine = s->value[platform][i], native = s->value[NATIVE][i];
        if (mine <= 0 || native <= 0)
            return false;
        pairs[i] = s->lower_better ? native / mine : mine / native;
    }
    *ratio = median_of(pairs, count);
    return true;
}
