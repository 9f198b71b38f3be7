/* fit: features.h5 and responses to results.h5. Subjects and tiles of voxels go to the ranks; spaces that fit into memory together share
 * one reading of the responses; subjects who heard the same rows share the factored designs. */
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

/* ---- groups of subjects, folds, tiles ------------------------------------------------------------------------------------------ */

static bool same_runs(const fit_subject *a, const fit_subject *b)
{
    if (a->part_count != b->part_count)
        return false;
    for (int64_t p = 0; p < a->part_count; p++)
        if (a->parts[p].story != b->parts[p].story || a->parts[p].rows != b->parts[p].rows)
            return false;
    return true;
}

/* Nuisance of a subject's own makes designs of its own. */
static bool own_nuisance(const vg_study *study)
{
    for (int64_t i = 0; i < study->nuisance.file_count; i++)
        if (strstr(study->nuisance.files[i], "{SUBJECT}") != NULL)
            return true;
    return false;
}

int64_t vg_fold_gap(const vg_study *study)
{
    int64_t gap = study->ridge.gap;
    for (int64_t d = 0; study->ridge.gap < 0 && d < study->alignment.delay_count; d++)
        gap = study->alignment.delays[d] > gap ? study->alignment.delays[d] : gap;
    return gap;
}

/* Which parts of a subject are the study's test stories: test (part_count). */
static int64_t find_tests(const vg_study *study, const fit_subject *subject, int64_t *test)
{
    int64_t count = 0;
    for (int64_t p = 0; p < subject->part_count; p++)
        for (int64_t i = 0; i < study->split.test_count; i++)
            if (strcmp(study->stories[subject->parts[p].story].name, study->split.test[i]) == 0)
                test[count++] = p;
    return count;
}

static vg_status make_group(fit_job *job, const fit_subject *subject, fit_group *group)
{
    const vg_study *study = job->study;
    int64_t *test;
    group->pattern = subject;
    group->run_count = subject->part_count;
    VG_TRY(VG_NEW(&group->run_rows, group->run_count, "runs"));
    VG_TRY(VG_NEW(&test, group->run_count, "runs"));
    for (int64_t r = 0; r < group->run_count; r++)
        group->run_rows[r] = subject->parts[r].rows - study->alignment.trim[0] - study->alignment.trim[1];
    int64_t tests = find_tests(study, subject, test);
    const vg_folds_options options = {.run_rows = group->run_rows,
                                      .runs = group->run_count,
                                      .outer_folds = study->ridge.outer_folds,
                                      .inner_folds = study->ridge.inner_folds,
                                      .gap = vg_fold_gap(study),
                                      .test_runs = tests > 0 ? test : NULL,
                                      .test_count = tests};
    vg_status status = study->split.test_count > 0 && tests == 0
                           ? vg_fail(VG_INVALID, "subject %s has no run of a story of split.test", subject->study->name)
                           : vg_folds_create(&options, &group->folds);
    free(test);
    if (status != VG_OK)
        return vg_fail_within(status, "ridge.outer_folds, inner_folds, gap: ");
    group->plan = (vg_ridge_plan){.folds = group->folds,
                                  .alphas = study->ridge.alphas,
                                  .alpha_count = study->ridge.alpha_count,
                                  .type = VG_F32,
                                  .r2 = VG_R2_POOLED,
                                  .standardize = strcmp(study->alignment.standardize, "train") == 0,
                                  .gpu = !job->device->host};
    return VG_OK;
}

static vg_status make_groups(fit_job *job)
{
    VG_TRY(VG_NEW(&job->groups, job->subject_count, "groups"));
    for (int64_t i = 0; i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        int64_t g = 0;
        while (g < job->group_count && (own_nuisance(job->study) || !same_runs(job->groups[g].pattern, subject)))
            g++;
        subject->group = g;
        if (g == job->group_count) {
            job->group_count++;
            VG_TRY(make_group(job, subject, &job->groups[g]));
        }
    }
    return VG_OK;
}

/* The columns of all designs that the first `count` spaces need, one after another. columns NULL: how many there are. */
static vg_status list_columns(const fit_job *job, int64_t count, int64_t *columns, int64_t *listed)
{
    const vg_study *study = job->study;
    int64_t draws = vg_fit_banded(study) ? study->nuisance.draws : 0;
    *listed = 0;
    for (int64_t i = 0; i < count; i++) {
        const vg_align_options options = vg_align_of(study, 0);
        int64_t own = vg_align_columns(&options, job->spaces[i].any->columns), nuisance = 0;
        if (draws > 0)
            VG_TRY(vg_nuisance_columns(job, i, &nuisance));
        for (int64_t d = 0; d <= draws; d++, (*listed)++)
            if (columns != NULL)
                columns[*listed] = own + (d > 0 ? nuisance : 0);
    }
    return VG_OK;
}

/* As many spaces share a reading as fit into half the memory. */
static vg_status choose_chunk(fit_job *job, int64_t kept, int64_t memory, vg_ridge_cost *cost)
{
    if (kept > 0) { /* as it was begun; memory changes no bit, but the blocks of the file */
        job->chunk_size = kept < job->space_count ? kept : job->space_count;
        return VG_OK;
    }
    int64_t *columns, listed;
    double splits = vg_fit_banded(job->study) ? 128e6 : 0; /* of a space's eigenvectors, kept for its split */
    VG_TRY(list_columns(job, job->space_count, NULL, &listed));
    VG_TRY(VG_NEW(&columns, listed, "spaces"));
    vg_status status = VG_OK;
    job->chunk_size = job->space_count;
    for (int64_t g = 0; status == VG_OK && g < job->group_count; g++)
        for (;;) {
            status = list_columns(job, job->chunk_size, columns, &listed);
            if (status == VG_OK)
                status = vg_ridge_estimate(&job->groups[g].plan, columns, listed, cost);
            double bytes =
                (cost->design_bytes + splits * (double)job->chunk_size + cost->build_bytes + cost->fit_bytes) * (double)job->group_count +
                vg_null_bytes(job);
            if (status != VG_OK || job->chunk_size == 1 || bytes <= 0.5 * (double)memory)
                break;
            job->chunk_size = (job->chunk_size + 1) / 2;
        }
    free(columns);
    return status;
}

/* The columns of the spaces' own designs. */
static vg_status own_columns(const fit_job *job, int64_t **columns)
{
    const vg_align_options options = vg_align_of(job->study, 0);
    VG_TRY(VG_NEW(columns, job->space_count, "spaces"));
    for (int64_t i = 0; i < job->space_count; i++)
        (*columns)[i] = vg_align_columns(&options, job->spaces[i].any->columns);
    return VG_OK;
}

/* Chunks of chunk_size spaces or a few less, or as many as share a product. The solver's tile is that of all spaces together, whatever the
 * chunks. */
static vg_status cut_chunks(fit_job *job)
{
    int64_t *columns = NULL, most = job->chunk_size;
    uint8_t *border = NULL;
    vg_status status;
    VG_GO(own_columns(job, &columns));
    VG_GO(VG_NEW(&border, job->space_count + 1, "spaces"));
    VG_GO(VG_NEW(&job->chunk, job->space_count + 1, "spaces"));
    memset(border, 1, (size_t)job->space_count + 1);
    for (int64_t g = 0; g < job->group_count; g++)
        VG_GO(vg_ridge_borders(&job->groups[g].plan, columns, job->space_count, border));
    for (int64_t first = 0, end; first < job->space_count; first = end) {
        end = first + most < job->space_count ? first + most : job->space_count;
        while (end > first + 1 && !border[end])
            end--;
        while (!border[end])
            end++;
        job->chunk[++job->chunk_count] = end;
        job->chunk_size = end - first > job->chunk_size ? end - first : job->chunk_size;
    }
done:
    free(columns);
    free(border);
    return status;
}

static vg_status fix_tiles(fit_job *job)
{
    int64_t *columns;
    VG_TRY(own_columns(job, &columns));
    vg_status status = VG_OK;
    for (int64_t g = 0; status == VG_OK && g < job->group_count; g++) {
        vg_ridge_cost cost;
        status = vg_ridge_estimate(&job->groups[g].plan, columns, job->space_count, &cost);
        job->groups[g].plan.tile = cost.tile;
    }
    free(columns);
    return status;
}

/* A tile holds a whole number of the solver's tiles, 4096 voxels or a few more (on a GPU 32768: the solver's next tile travels to it while
 * one is fitted); or all of a subject, where its voxels share penalties. */
int64_t vg_fit_tile_width(const vg_study *study, bool gpu, int64_t solver_tile, int64_t voxels)
{
    int64_t enough = gpu ? 32768 : 4096;
    return strcmp(study->ridge.alpha, "voxel") != 0 ? voxels : ((enough - 1) / solver_tile + 1) * solver_tile;
}

static vg_status make_tiles(fit_job *job, int64_t kept, int64_t memory)
{
    vg_ridge_cost cost = {.tile = 1};
    VG_TRY(fix_tiles(job));
    VG_TRY(choose_chunk(job, kept, memory, &cost));
    job->spaces_together = job->chunk_size;
    VG_TRY(cut_chunks(job));
    int64_t total = 0;
    for (int pass = 0; pass < 2; pass++) {
        job->tile_count = 0;
        for (int64_t i = 0; i < job->subject_count; i++) {
            const fit_subject *subject = &job->subjects[i];
            int64_t wide = vg_fit_tile_width(job->study, job->groups[0].plan.gpu, cost.tile, subject->voxels);
            for (int64_t first = 0; first < subject->voxels; first += wide, job->tile_count++) {
                if (pass == 0)
                    continue;
                int64_t count = subject->voxels - first < wide ? subject->voxels - first : wide;
                job->tiles[job->tile_count] = (fit_tile){i, first, count};
                job->cost[job->tile_count] = cost.voxel_flops * (double)count;
            }
        }
        total = job->tile_count;
        if (pass == 0) {
            VG_TRY(VG_NEW(&job->tiles, total, "tiles"));
            VG_TRY(VG_NEW(&job->cost, total, "tiles"));
            VG_TRY(VG_NEW(&job->owner, total, "tiles"));
        }
    }
    VG_TRY(VG_NEW(&job->scores, job->chunk_size * total, "scores"));
    VG_TRY(VG_NEW(&job->plain, job->chunk_size * total, "scores"));
    VG_TRY(VG_NEW(&job->designs, job->group_count * job->chunk_size, "designs"));
    VG_TRY(VG_NEW(&job->banded, job->group_count * job->chunk_size, "designs"));
    VG_TRY(VG_NEW(&job->without, job->group_count * job->chunk_size, "designs"));
    VG_TRY(VG_NEW(&job->regressed, job->group_count * job->chunk_size, "designs"));
    return vg_assign_blocks(job->cost, total, vg_comm_ranks(job->comm), job->owner);
}

/* ---- the run ---------------------------------------------------------------------------------------------------------------------- */

static vg_status prepare(fit_job *job, const char *planned, int64_t memory)
{
    char choices[48];
    VG_TRY(vg_fit_all_regions(job));
    VG_TRY(make_groups(job));
    job->same_voxels = true;
    for (int64_t i = 1; i < job->subject_count; i++)
        job->same_voxels &= job->subjects[i].voxels == job->subjects[0].voxels;
    VG_TRY(make_tiles(job, vg_plan_kept(job->study, planned, "spaces_together", 0), memory));
    snprintf(choices, sizeof choices, "tiles: %lld\n", (long long)job->tile_count);
    VG_TRY(vg_plan_text(job->study, job->device, planned, "fit", choices, &job->plan));
    VG_TRY(vg_statistics_prepare(job));
    return vg_fit_layout(job);
}

/* Is anything of the chunk at hand not fitted yet? The same on every rank. */
static bool needs_designs(const fit_job *job)
{
    for (int64_t t = 0; t < job->tile_count; t++)
        if (!vg_store_whole(job->store, job->chunk_at * job->tile_count + t))
            return true;
    return job->study->null.shifts > 0;
}

static vg_status fit_all(fit_job *job)
{
    int64_t mine = 0;
    for (int64_t t = 0; t < job->tile_count; t++) {
        job->fitted_voxels += job->tiles[t].count * job->space_count;
        mine += job->owner[t] == vg_comm_rank(job->comm) ? job->tiles[t].count : 0;
    }
    job->fitted_voxels += vg_null_fits(job);
    vg_progress_begin("fits", mine * job->space_count + vg_null_steps(job), "voxels");
    for (job->chunk_at = 0; job->chunk_at < job->chunk_count; job->chunk_at++) {
        int64_t first = job->chunk[job->chunk_at], count = job->chunk[job->chunk_at + 1] - first;
        if (needs_designs(job))
            VG_TRY(vg_fit_share(job, first, count));
        double since = vg_seconds();
        vg_status status = vg_fit_chunk(job, first, count);
        job->busy += vg_seconds() - since;
        VG_AGREE(job->comm, status);
        VG_TRY(vg_null_chunk(job, first, count));
        for (int64_t i = 0; i < count; i++)
            VG_TRY(vg_fit_summarize(job, first, first + i));
        vg_fit_chunk_end(job);
    }
    VG_TRY(vg_statistics_finish(job));
    vg_progress_end();
    return VG_OK;
}

/* The file: begun, or gone on with. How many spaces are read for together is no public line of its plan, since it changes no number. */
static vg_status begin_file(fit_job *job, const char *features_path, const char *path)
{
    char *inputs = NULL, *lines = NULL;
    vg_store_plan plan = {.path = path,
                          .blocks = job->chunk_count * job->tile_count + job->space_count + vg_statistics_blocks(job),
                          .regions = 12 * job->chunk_size + 6 + vg_statistics_regions(job)};
    vg_status status = vg_plan_fit_inputs(job->study, features_path, &inputs);
    if (status == VG_OK)
        status = vg_format(&lines, "%sspaces_together: %lld\n", inputs, (long long)job->spaces_together);
    VG_AGREE_GO(job->comm, status);
    VG_GO(vg_plan_begin(job->comm, job->study, job->plan, lines, &plan, job->layout, &job->store));
    /* Summaries, statistics and the null need each other's state, which no file holds: they are made again from the tiles' scores. */
    vg_store_forget(job->store, job->chunk_count * job->tile_count);
    status = vg_run_begin(job->comm, job->study, job->device, "fit");
done:
    free(inputs);
    free(lines);
    return status;
}

static vg_status decide(fit_job *job, const char *path)
{
    char *planned = NULL;
    vg_memory memory;
    if (!job->study->how.restart)
        VG_TRY(vg_store_planned(job->comm, path, &planned));
    vg_status status = vg_memory_plan(job->comm, job->study, &memory);
    if (status == VG_OK)
        status = vg_comm_agree(job->comm, prepare(job, planned, memory.bytes));
    free(planned);
    return status;
}

static vg_status fit(fit_job *job, const char *features_path, const char *path)
{
    const vg_study *study = job->study;
    double began = vg_seconds();
    bool summed;
    if (study->responses.subject_count == 0)
        return vg_fail(VG_INVALID, "%s: responses.subjects: is missing: a list of {name, runs: {STORY: file}}", study->path);
    VG_AGREE(job->comm, vg_device_open(study->device, vg_comm_local_rank(job->comm), vg_thread_count(study, job->comm), &job->device));
    VG_TRY(vg_comm_attach(job->comm, job->device));
    VG_TRY(vg_store_verify(job->comm, features_path, &summed));
    VG_AGREE(job->comm, vg_fit_collect_spaces(job, features_path));
    VG_AGREE(job->comm, vg_fit_open_subjects(job));
    VG_TRY(vg_fit_drop_unusable(job));
    VG_TRY(decide(job, path));
    VG_TRY(begin_file(job, features_path, path));
    VG_TRY(fit_all(job));
    VG_TRY(vg_load_note(job->comm, "fit", vg_seconds() - began, job->busy));
    VG_TRY(vg_store_finish(job->store));
    double seconds = vg_seconds() - began;
    vg_log(VG_LOG_INFO,
           "fit: %lld subjects, %lld spaces in %lld readings, %lld voxel fits on %lld factorisations a rank, %.2f s, %.0f voxels/s: %s",
           (long long)job->subject_count, (long long)job->space_count, (long long)job->chunk_count, (long long)job->fitted_voxels,
           (long long)vg_ridge_factorizations(), seconds, (double)job->fitted_voxels / seconds, path);
    return vg_run_note(job->comm, study, job->device, "fit", seconds, "voxels_per_second", (double)job->fitted_voxels / seconds);
}

static void free_job(fit_job *job)
{
    vg_store_free(job->store);
    vg_layout_free(job->layout);
    vg_statistics_free(job);
    vg_fit_chunk_end(job);
    free(job->designs);
    for (int64_t i = 0; job->scores != NULL && i < job->chunk_size * job->tile_count; i++)
        free(job->scores[i]);
    for (int64_t i = 0; job->plain != NULL && i < job->chunk_size * job->tile_count; i++)
        free(job->plain[i]);
    vg_nuisance_end(job);
    free(job->banded);
    free(job->without);
    free(job->regressed);
    for (int64_t i = 0; job->groups != NULL && i < job->group_count; i++) {
        vg_folds_free(job->groups[i].folds);
        free(job->groups[i].run_rows);
    }
    for (int64_t i = 0; job->subjects != NULL && i < job->subject_count; i++)
        vg_fit_close_subject(&job->subjects[i]);
    for (int64_t i = 0; job->spaces != NULL && i < job->space_count; i++) {
        vg_families_uncut(&job->spaces[i]);
        free(job->spaces[i].stories);
    }
    if (job->listed != NULL)
        vg_features_list_free(job->listed, job->listed_count);
    vg_store_close(job->features);
    vg_comm_detach(job->comm);
    vg_device_close(job->device);
    free(job->scores);
    free(job->plain);
    free(job->groups);
    free(job->subjects);
    free(job->spaces);
    free(job->chunk);
    free(job->tiles);
    free(job->cost);
    free(job->owner);
    free(job->plan);
}

vg_status vg_study_fit(vg_comm *comm, const vg_study *study, const char *features_path)
{
    fit_job job = {.comm = comm, .study = study};
    char *standard = NULL, *path = NULL;
    vg_status status;
    VG_GO(vg_output_make(comm, study));
    VG_GO(vg_comm_agree(comm, vg_output_path(study, "features.h5", &standard)));
    VG_GO(vg_comm_agree(comm, vg_output_path(study, "results.h5", &path)));
    VG_GO(fit(&job, features_path != NULL ? features_path : standard, path));
done:
    free_job(&job);
    free(standard);
    free(path);
    return status;
}
