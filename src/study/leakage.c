/* leakage: what of the story training and test rows share. No test response ever enters training; but delayed copies let a training row and
 * a test row see the same words, unless the gap between them is as wide as the delays. Said by check before a fit, and kept in results.h5.
 */
#include "fit.h"

/* How far apart two rows may be whose delayed windows share a TR. */
static int64_t reach_of(const vg_study *study)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (int64_t d = 0; d < study->alignment.delay_count; d++) {
        least = study->alignment.delays[d] < least ? study->alignment.delays[d] : least;
        most = study->alignment.delays[d] > most ? study->alignment.delays[d] : most;
    }
    return study->alignment.delay_count > 0 ? most - least : 0;
}

/* Has the fold a test row of `run` within reach of row t of it? */
static bool is_near(const vg_fold *fold, vg_range run, int64_t t, int64_t reach)
{
    for (int64_t j = 0; j < fold->test_ranges; j++) {
        int64_t from = fold->test[j].begin > run.begin ? fold->test[j].begin : run.begin;
        int64_t to = fold->test[j].end < run.end ? fold->test[j].end : run.end;
        if (from < to && t >= from - reach && t < to + reach)
            return true;
    }
    return false;
}

int64_t vg_leakage_overlap(const vg_study *study, const int64_t *run_rows, int64_t runs, const vg_folds *folds)
{
    int64_t reach = reach_of(study), count = 0;
    vg_range run = {0, 0};
    for (int64_t r = 0; r < runs; r++) {
        run = (vg_range){run.end, run.end + run_rows[r]};
        for (int64_t k = 0; k < folds->outer_count; k++)
            for (int64_t i = 0; i < folds->outer[k].train_ranges; i++) {
                const vg_range *train = &folds->outer[k].train[i];
                for (int64_t t = train->begin > run.begin ? train->begin : run.begin; t < train->end && t < run.end; t++)
                    count += is_near(&folds->outer[k], run, t, reach);
            }
    }
    return count;
}

vg_status vg_leakage_add(fit_job *job, const fit_subject *subject, const char *path)
{
    const fit_group *group = &job->groups[subject->group];
    const vg_folds *folds = group->folds;
    int64_t training = 0;
    for (int64_t k = 0; k < folds->outer_count; k++)
        training += folds->outer[k].train_rows;
    VG_TRY(vg_layout_integer(job->layout, path, "outer_folds", folds->outer_count));
    VG_TRY(vg_layout_integer(job->layout, path, "gap", vg_fold_gap(job->study)));
    VG_TRY(vg_layout_integer(job->layout, path, "training_rows", training));
    return vg_layout_integer(job->layout, path, "overlapping_rows",
                             vg_leakage_overlap(job->study, group->run_rows, group->run_count, folds));
}
