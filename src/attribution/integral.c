/* integral: one entry's path integral of one word, and its error.
 *
 * Error: with changes d and d' of the scores at the last two halvings, the rest of a geometric series, d r / (1 - r), r = d / d', where r
 * is taken to be at least 1/3 and at most .9. (The trapezoid's own rate is 1/4, but it is not always reached: with 1/4 the error of 4 words
 * of 48 was larger than estimated, stories260K at baseline ratios 1, .3 and .1.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

enum { LEAST_PANELS = 16 };

void vg_integrals_free(vg_path_integral *all, int64_t count)
{
    for (int64_t i = 0; all != NULL && i < count; i++) {
        free(all[i].sum);
        free(all[i].integral);
        free(all[i].values);
        free(all[i].before);
        free(all[i].change[0]);
        free(all[i].change[1]);
    }
    free(all);
}

bool vg_is_attributed(const vg_entry *entry)
{
    return entry->need == VG_NEED_SCORES && entry->recent;
}

static bool is_rated(const vg_entry *entry, int64_t word)
{
    if (entry->need != VG_NEED_SCORES || entry->recent)
        return true;
    return entry->request.residual_every > 0 && word % entry->request.residual_every == 0;
}

vg_status vg_integrals_make(vg_attribution *a, int64_t sweep, vg_path_integral **made, int64_t *count)
{
    *count = 0;
    VG_TRY(VG_NEW(made, a->entry_count, "integrals"));
    for (int64_t e = 0; e < a->entry_count; e++) {
        vg_entry *entry = &a->entries[e];
        if (entry->sweep != sweep)
            continue;
        vg_path_integral *it = &(*made)[(*count)++];
        *it = (vg_path_integral){
            .entry = entry, .size = entry->space->size(a, entry), .columns = entry->outputs * a->outputs[entry->first_output].columns};
        VG_TRY(VG_NEW(&it->sum, it->size, "integrals"));
        VG_TRY(VG_NEW(&it->integral, it->size, "integrals"));
        VG_TRY(VG_NEW(&it->values, it->columns, "integrals"));
        VG_TRY(VG_NEW(&it->before, it->columns, "integrals"));
        VG_TRY(VG_NEW(&it->change[0], entry->outputs, "integrals"));
        VG_TRY(VG_NEW(&it->change[1], entry->outputs, "integrals"));
    }
    return VG_OK;
}

void vg_integral_begin(vg_path_integral *it, int64_t word)
{
    memset(it->sum, 0, (size_t)it->size * sizeof *it->sum);
    it->rate = 0;
    it->nodes = 0;
    it->error = NAN;
    it->active = true;
    it->rated = is_rated(it->entry, word);
}

/* The error of one output, relative: see above. change[0]: the last. */
static double extrapolate(double last, double before, double scale)
{
    double ratio = before > 0 ? last / before : last > 0 ? 1 : 0;
    ratio = ratio < 1.0 / 3 ? 1.0 / 3 : ratio > 0.9 ? 0.9 : ratio;
    double error = last * ratio / (1 - ratio);
    return error > 0 ? error / scale : 0;
}

void vg_integral_evaluate(const vg_attribution *a, vg_path_integral *it, int64_t panels, double change)
{
    const vg_entry *entry = it->entry;
    int64_t columns = it->columns / entry->outputs;
    double error = 0;
    double *swap = it->before;
    it->before = it->values;
    it->values = swap;
    for (int64_t i = 0; i < it->size; i++)
        it->integral[i] = it->sum[i] / (double)panels;
    if (entry->space->finish != NULL)
        entry->space->finish(a, entry, it->integral, change, it->values);
    else
        memcpy(it->values, it->integral, (size_t)it->size * sizeof *it->values);
    for (int64_t o = 0; o < entry->outputs; o++) {
        double moved = 0, square = 0;
        for (int64_t c = o * columns; c < (o + 1) * columns; c++) {
            moved += (it->values[c] - it->before[c]) * (it->values[c] - it->before[c]);
            square += it->values[c] * it->values[c];
        }
        it->change[1][o] = it->change[0][o];
        it->change[0][o] = sqrt(moved);
        error = fmax(error, extrapolate(it->change[0][o], it->change[1][o], fmax(sqrt(square), 1e-3 * fabs(change))));
    }
    if (entry->request.steps > 0 || panels < LEAST_PANELS)
        return;
    it->error = error;
    it->active = !(error <= entry->request.tolerance) && panels < entry->request.max_steps;
}
