/* ceilings: how well any model could do on these responses: correlation between subjects (src/encoding/ceiling.c) on the same filtered rows
 * that the fits are tested on. Tiles of voxels go to the ranks; regions are means over voxels of each pair's correlation, added as whole
 * numbers, so that the order of tiles does not matter. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "statistics.h"

enum { TILE = 512, MAPS = 5 }; /* voxels at a time, of all subjects */

static const char *const map_names[MAPS] = {"isc", "ceiling", "low", "high", "leave_one_out"};
static const char *const map_units[MAPS] = {
    "mean over pairs of subjects of Pearson's r between their responses, over the rows that are tested",
    "square root of isc (minus the root of its size where isc is negative): the best mean score to hope for",
    "of ceiling: bootstrap over subjects", "of ceiling: bootstrap over subjects",
    "mean over subjects of r with the mean of the others (grows with the number of subjects)"};

typedef struct fit_ceilings {
    int64_t pairs, tiles;
    int64_t dataset[MAPS], table;
    double *maps;          /* (MAPS, voxels): this rank's tiles, at the end of all */
    int64_t *sum, *voxels; /* (pairs + subjects, over): sum over voxels of r, in 2^-40, and how many */
    double *regions;       /* (MAPS, over) */
} fit_ceilings;

vg_status vg_ceilings_prepare(fit_job *job)
{
    const fit_statistics *s = job->statistics;
    int64_t subjects = job->subject_count, widest = 0;
    for (int64_t g = 0; g < job->group_count; g++) {
        int64_t n = 0;
        for (int64_t i = 0; i < subjects; i++)
            n += job->subjects[i].group == g;
        widest = n > widest ? n : widest;
    }
    if (strcmp(job->study->statistics.ceiling, "none") == 0 || !job->same_voxels || widest < 2)
        return VG_OK;
    fit_ceilings *c;
    VG_TRY(VG_NEW(&job->statistics->ceilings, 1, "ceilings"));
    c = job->statistics->ceilings;
    c->pairs = subjects * (subjects - 1) / 2;
    c->tiles = (s->derived.group + TILE - 1) / TILE;
    VG_TRY(VG_NEW(&c->maps, MAPS * s->derived.group, "ceilings"));
    VG_TRY(VG_NEW(&c->sum, (c->pairs + subjects) * s->over.count, "ceilings"));
    VG_TRY(VG_NEW(&c->voxels, (c->pairs + subjects) * s->over.count, "ceilings"));
    return VG_NEW(&c->regions, MAPS * s->over.count, "ceilings");
}

void vg_ceilings_free(fit_ceilings *c)
{
    if (c == NULL)
        return;
    free(c->maps);
    free(c->sum);
    free(c->voxels);
    free(c->regions);
    free(c);
}

vg_status vg_ceilings_layout(fit_job *job)
{
    const fit_statistics *s = job->statistics;
    fit_ceilings *c = s->ceilings;
    size_t longest = 1;
    if (c == NULL)
        return VG_OK;
    for (int i = 0; i < MAPS; i++) {
        char path[64];
        snprintf(path, sizeof path, "/ceiling/%s", map_names[i]);
        VG_TRY(vg_layout_dataset(job->layout, path, VG_STORE_F32, 0, 1, &s->derived.group, &c->dataset[i]));
        VG_TRY(vg_layout_text(job->layout, path, "units", map_units[i]));
    }
    for (int64_t g = 0; g < s->over.count; g++)
        longest = strlen(s->over.names[g]) > longest ? strlen(s->over.names[g]) : longest;
    const vg_store_member members[] = {{"region", VG_STORE_TEXT, longest}, {"voxels", VG_STORE_I64, 0},       {"subjects", VG_STORE_I64, 0},
                                       {"isc", VG_STORE_F64, 0},           {"ceiling", VG_STORE_F64, 0},      {"low", VG_STORE_F64, 0},
                                       {"high", VG_STORE_F64, 0},          {"leave_one_out", VG_STORE_F64, 0}};
    VG_TRY(vg_layout_table(job->layout, "/ceiling/regions", members, sizeof members / sizeof *members, s->over.count, &c->table));
    VG_TRY(vg_layout_text(job->layout, "/ceiling/regions", "units", "as the maps, of the mean over a region's voxels of each pair's r"));
    VG_TRY(vg_layout_integer(job->layout, "/ceiling", "draws", job->study->statistics.bootstrap));
    return vg_layout_number(job->layout, "/ceiling", "level", VG_INTERVAL);
}

/* ---- one tile ------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t first, count;
    double *pairs, *others; /* (pairs, count), (subjects, count) */
} ceiling_tile;

/* y, all rows of a group's subject, becomes its rows that an outer fold tests. */
static int64_t keep_tested(const vg_folds *folds, vg_matrix y)
{
    int64_t kept = 0;
    for (int64_t t = 0; t < y.rows; t++) {
        bool tested = false;
        for (int64_t k = 0; k < folds->outer_count; k++)
            for (int64_t i = 0; i < folds->outer[k].test_ranges; i++)
                tested |= t >= folds->outer[k].test[i].begin && t < folds->outer[k].test[i].end;
        if (tested)
            memmove(y.data + kept++ * y.ld, y.data + t * y.ld, (size_t)y.columns * sizeof(float));
    }
    return kept > 0 ? kept : y.rows; /* not nested: all rows are scored */
}

/* The place of a pair i < j of all subjects. */
static int64_t pair_of(int64_t subjects, int64_t i, int64_t j)
{
    return i * (2 * subjects - i - 1) / 2 + j - i - 1;
}

/* The subjects of one group, who heard the same: their pairs and leave-one-out correlations to their places among all subjects'. */
static vg_status correlate_group(fit_job *job, int64_t g, const int64_t *members, int64_t n, ceiling_tile *tile)
{
    vg_samples *responses = NULL;
    double *r = NULL;
    float *data = NULL;
    uint8_t *states = NULL;
    int64_t rows = job->groups[g].pattern->rows, count = tile->count, pairs = n * (n - 1) / 2;
    vg_status status;
    VG_GO(VG_NEW(&responses, n, "responses of subjects"));
    VG_GO(VG_NEW(&data, n * rows * count, "responses of subjects"));
    VG_GO(VG_NEW(&states, count, "voxel states"));
    VG_GO(VG_NEW(&r, (pairs + n) * count, "correlations of subjects"));
    for (int64_t i = 0; i < n; i++) {
        vg_matrix y = {.data = data + i * rows * count, .rows = rows, .columns = count, .ld = count};
        const fit_tile at = {members[i], tile->first, count};
        VG_GO(vg_fit_read(job, &job->subjects[members[i]], &at, y, states));
        responses[i] = (vg_samples){VG_F32, y.data, keep_tested(job->groups[g].folds, y), count, count};
    }
    VG_GO(vg_isc(responses, n, r, r + pairs * count));
    for (int64_t i = 0, pair = 0; i < n; i++) {
        memcpy(tile->others + members[i] * count, r + (pairs + i) * count, (size_t)count * sizeof(double));
        for (int64_t j = i + 1; j < n; j++, pair++)
            memcpy(tile->pairs + pair_of(job->subject_count, members[i], members[j]) * count, r + pair * count,
                   (size_t)count * sizeof(double));
    }
done:
    free(responses);
    free(r);
    free(data);
    free(states);
    return status;
}

/* A row of correlations over a tile's voxels to the sums of the regions. Voxels and regions are the first subject's. */
static void add_regions(const fit_job *job, const ceiling_tile *tile, const double *r, int64_t *sum, int64_t *voxels)
{
    const vg_regions *regions = &job->subjects[0].regions;
    for (int64_t i = 0; i < regions->count; i++) {
        int64_t g = job->statistics->over.of[i];
        for (int64_t n = 0; n < regions->regions[i].count; n++) {
            int64_t v = regions->regions[i].voxels[n] - tile->first;
            if (v < 0 || v >= tile->count || isnan(r[v]))
                continue;
            sum[g] += vg_to_exact(r[v]);
            voxels[g]++;
        }
    }
}

static double mean_present(const double *x, int64_t n, int64_t stride)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i * stride])) {
            sum += x[i * stride];
            count++;
        }
    return count > 0 ? sum / (double)count : (double)NAN;
}

/* isc, ceiling, low, high, leave_one_out (each count, `stride` apart) from pairs and leave-one-out correlations. */
static vg_status summarize(const fit_job *job, const double *pairs, const double *others, int64_t count, double *maps, int64_t stride)
{
    const fit_ceilings *c = job->statistics->ceilings;
    for (int64_t v = 0; v < count; v++) {
        maps[v] = mean_present(pairs + v, c->pairs, count);
        maps[4 * stride + v] = mean_present(others + v, job->subject_count, count);
    }
    return vg_ceiling(pairs, job->subject_count, count, job->study->statistics.bootstrap, (uint64_t)job->study->seed, VG_INTERVAL,
                      maps + stride, maps + 2 * stride, maps + 3 * stride);
}

static vg_status correlate_tile(fit_job *job, int64_t t)
{
    fit_ceilings *c = job->statistics->ceilings;
    int64_t voxels = job->statistics->derived.group, over = job->statistics->over.count, subjects = job->subject_count, *members = NULL;
    ceiling_tile tile = {.first = t * TILE, .count = voxels - t * TILE < TILE ? voxels - t * TILE : TILE};
    vg_status status;
    VG_GO(VG_NEW(&tile.pairs, (c->pairs + subjects) * tile.count, "correlations of subjects"));
    VG_GO(VG_NEW(&members, subjects, "subjects"));
    tile.others = tile.pairs + c->pairs * tile.count;
    for (int64_t i = 0; i < (c->pairs + subjects) * tile.count; i++)
        tile.pairs[i] = (double)NAN;
    for (int64_t g = 0; g < job->group_count; g++) {
        int64_t n = 0;
        for (int64_t i = 0; i < subjects; i++)
            if (job->subjects[i].group == g)
                members[n++] = i;
        if (n > 1)
            VG_GO(correlate_group(job, g, members, n, &tile));
    }
    for (int64_t i = 0; i < c->pairs + subjects; i++)
        add_regions(job, &tile, tile.pairs + i * tile.count, c->sum + i * over, c->voxels + i * over);
    VG_GO(summarize(job, tile.pairs, tile.others, tile.count, c->maps + tile.first, voxels));
done:
    free(tile.pairs);
    free(members);
    return status;
}

/* ---- all of them -------------------------------------------------------------------------------------------------------------------- */

/* The tiles of all ranks, on every rank; a tile's numbers follow each other map by map. */
static vg_status gather_maps(fit_job *job)
{
    fit_ceilings *c = job->statistics->ceilings;
    int64_t voxels = job->statistics->derived.group;
    for (int64_t t = 0; t < c->tiles && vg_comm_ranks(job->comm) > 1; t++)
        for (int i = 0; i < MAPS; i++) {
            int64_t count = voxels - t * TILE < TILE ? voxels - t * TILE : TILE;
            VG_TRY(vg_comm_broadcast(job->comm, c->maps + i * voxels + t * TILE, (size_t)count * sizeof(double),
                                     (int)(t % vg_comm_ranks(job->comm))));
        }
    return VG_OK;
}

static vg_status summarize_regions(fit_job *job)
{
    fit_ceilings *c = job->statistics->ceilings;
    int64_t over = job->statistics->over.count, numbers = (c->pairs + job->subject_count) * over;
    double *r;
    VG_TRY(VG_NEW(&r, numbers, "ceilings"));
    for (int64_t i = 0; i < numbers; i++)
        r[i] = c->voxels[i] > 0 ? vg_from_exact(c->sum[i]) / (double)c->voxels[i] : (double)NAN;
    vg_status status = summarize(job, r, r + c->pairs * over, over, c->regions, over);
    free(r);
    return status;
}

static vg_status write_regions(fit_job *job)
{
    const fit_over *over = &job->statistics->over;
    const fit_ceilings *c = job->statistics->ceilings;
    size_t element = vg_layout_element(job->layout, c->table);
    char *records;
    VG_TRY(vg_allocate((void **)&records, over->count, element, "ceilings"));
    vg_status status = VG_OK;
    for (int64_t g = 0; status == VG_OK && g < over->count; g++) {
        fit_record record = {job->layout, c->table, records + (size_t)g * element, VG_OK};
        int64_t voxels = 0, subjects = 0;
        for (int64_t i = 0; i < job->subject_count; i++) {
            int64_t n = c->voxels[(c->pairs + i) * over->count + g];
            voxels = n > voxels ? n : voxels;
            subjects += n > 0;
        }
        vg_record_text(&record, "region", over->names[g]);
        vg_record_integer(&record, "voxels", voxels);
        vg_record_integer(&record, "subjects", subjects);
        for (int i = 0; i < MAPS; i++)
            vg_record_number(&record, map_names[i], c->regions[i * over->count + g]);
        status = record.status;
    }
    if (status == VG_OK)
        status = vg_store_write(job->store, c->table, NULL, NULL, records);
    free(records);
    return status;
}

static vg_status write_all(fit_job *job)
{
    const fit_ceilings *c = job->statistics->ceilings;
    int64_t voxels = job->statistics->derived.group;
    float *narrow;
    VG_TRY(VG_NEW(&narrow, voxels, "ceilings"));
    vg_status status = VG_OK;
    for (int i = 0; status == VG_OK && i < MAPS; i++) {
        for (int64_t v = 0; v < voxels; v++)
            narrow[v] = (float)c->maps[i * voxels + v];
        status = vg_store_write(job->store, c->dataset[i], NULL, NULL, narrow);
    }
    free(narrow);
    return status == VG_OK ? write_regions(job) : status;
}

static vg_status correlate_tiles(fit_job *job)
{
    for (int64_t t = vg_comm_rank(job->comm); t < job->statistics->ceilings->tiles; t += vg_comm_ranks(job->comm))
        VG_TRY(correlate_tile(job, t));
    return VG_OK;
}

vg_status vg_ceilings_finish(fit_job *job)
{
    fit_ceilings *c = job->statistics->ceilings;
    if (c == NULL)
        return VG_OK;
    int64_t numbers = (c->pairs + job->subject_count) * job->statistics->over.count;
    VG_AGREE(job->comm, correlate_tiles(job));
    VG_TRY(gather_maps(job));
    VG_TRY(vg_sum_integers(job->comm, c->sum, numbers));
    VG_TRY(vg_sum_integers(job->comm, c->voxels, numbers));
    VG_AGREE(job->comm, summarize_regions(job));
    VG_AGREE(job->comm, vg_comm_rank(job->comm) == 0 ? write_all(job) : VG_OK);
    return VG_OK;
}

double vg_ceilings_of(const fit_job *job, int64_t region)
{
    const fit_ceilings *c = job->statistics->ceilings;
    int64_t over = job->statistics->over.count;
    return c != NULL && c->regions[2 * over + region] > 0 ? c->regions[over + region] : (double)NAN;
}
