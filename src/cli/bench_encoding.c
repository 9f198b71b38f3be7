/* bench encoding: ridge on arrays of a given size: simulated ones, or FOLDER/x.f32 (T, p) and FOLDER/y.f32 (T, V), raw float32, which
 * others can be timed on too (bench/peers/himalaya_bench.py); the penalties and scores of space 0 then go to FOLDER/alpha.f64 and
 * FOLDER/score.f64. Median of the repeats. Bytes read: the responses, once a fit of all spaces. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "voxgrad/encoding.h"

enum { MOST_REPEATS = 100 };

typedef struct {
    const char *folder, *rows, *columns, *voxels, *alphas, *folds, *inner, *gap, *spaces, *bands, *draws, *subjects, *threads, *device,
        *repeats, *score;
} arguments;

typedef struct {
    int64_t rows, columns, voxels, alphas, folds, inner, gap, spaces, bands, draws, subjects, threads, repeats;
    bool by_r2;
    vg_device *device;
    vg_folds *fold;
    vg_ridge_plan plan;
    double *penalties, *score, *alpha, *weights;
    vg_ridge_result *results; /* (spaces) */
    vg_file x_file, y_file;
    float *x_own, *y_own;
    vg_samples x, y;
} bench;

typedef struct {
    double factor, fit, flops;
    int64_t factorizations;
} times;

/* ---- arguments, arrays ------------------------------------------------------------------------------------------------------ */

static vg_status whole(const char *name, const char *text, int64_t least, int64_t *value)
{
    if (!vg_parse_integer(text, strlen(text), value) || *value < least || *value > 100000000)
        return vg_fail(VG_INVALID, "--%s %s: a whole number from %lld on is expected", name, text, (long long)least);
    return VG_OK;
}

static vg_status read_arguments(const arguments *a, bench *b)
{
    const struct {
        const char *name, *text;
        int64_t least, *value;
    } all[] = {{"rows", a->rows, 4, &b->rows},
               {"columns", a->columns, 1, &b->columns},
               {"voxels", a->voxels, 1, &b->voxels},
               {"alphas", a->alphas, 1, &b->alphas},
               {"folds", a->folds, 1, &b->folds},
               {"inner", a->inner, 2, &b->inner},
               {"gap", a->gap, 0, &b->gap},
               {"spaces", a->spaces, 1, &b->spaces},
               {"bands", a->bands, 1, &b->bands},
               {"draws", a->draws, 1, &b->draws},
               {"subjects", a->subjects, 1, &b->subjects},
               {"threads", a->threads, 0, &b->threads},
               {"repeats", a->repeats, 1, &b->repeats}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        VG_TRY(whole(all[i].name, all[i].text, all[i].least, all[i].value));
    b->by_r2 = strcmp(a->score, "r2") == 0;
    if (!b->by_r2 && strcmp(a->score, "r") != 0)
        return vg_fail(VG_INVALID, "--score %s: r or r2 is expected", a->score);
    if (b->repeats > MOST_REPEATS || b->columns % b->bands != 0)
        return vg_fail(VG_INVALID, "--repeats: %d at most; --columns: a multiple of --bands", MOST_REPEATS);
    return VG_OK;
}

static vg_status open_array(const char *folder, const char *name, int64_t rows, int64_t columns, vg_file *file, vg_samples *samples)
{
    char *path;
    VG_TRY(vg_format(&path, "%s/%s", folder, name));
    vg_status status = vg_file_open(path, file);
    free(path);
    VG_TRY(status);
    if (file->size != (size_t)(rows * columns) * sizeof(float))
        return vg_fail(VG_INVALID, "%s/%s: is not %lld x %lld float32", folder, name, (long long)rows, (long long)columns);
    *samples = (vg_samples){VG_F32, file->data, rows, columns, columns};
    return VG_OK;
}

/* White features; responses are the feature of the same number, and noise of the same size. */
static vg_status simulate(bench *b)
{
    int64_t T = b->rows, p = b->columns, V = b->voxels;
    VG_TRY(VG_NEW(&b->x_own, T * p, "features"));
    VG_TRY(VG_NEW(&b->y_own, T * V, "responses"));
    for (int64_t e = 0; e < T * p; e++)
        b->x_own[e] = (float)vg_random_normal(1, VG_RANDOM_SIMULATION, (uint64_t)e);
#pragma omp parallel for schedule(static)
    for (int64_t e = 0; e < T * V; e++)
        b->y_own[e] =
            b->x_own[e / V * p + e % V % p] + (float)(2 * sqrt(3.0) * (vg_random_uniform(2, VG_RANDOM_SIMULATION, (uint64_t)e) - 0.5));
    b->x = (vg_samples){VG_F32, b->x_own, T, p, p};
    b->y = (vg_samples){VG_F32, b->y_own, T, V, V};
    return VG_OK;
}

static vg_status write_array(const char *folder, const char *name, const double *x, int64_t n)
{
    char *path;
    VG_TRY(vg_format(&path, "%s/%s", folder, name));
    FILE *out = fopen(path, "wb");
    free(path);
    bool fine = out != NULL && fwrite(x, sizeof(double), (size_t)n, out) == (size_t)n;
    if (out != NULL)
        fine &= fclose(out) == 0;
    return fine ? VG_OK : vg_fail(VG_NO_SPACE, "%s/%s: cannot be written", folder, name);
}

static vg_status prepare(const arguments *a, bench *b)
{
    VG_TRY(read_arguments(a, b));
    const vg_folds_options options = {.run_rows = &b->rows, .runs = 1, .outer_folds = b->folds, .inner_folds = b->inner, .gap = b->gap};
    VG_TRY(vg_folds_create(&options, &b->fold));
    VG_TRY(vg_device_open(a->device, 0, (int)b->threads, &b->device));
    if (a->folder != NULL) {
        VG_TRY(open_array(a->folder, "x.f32", b->rows, b->columns, &b->x_file, &b->x));
        VG_TRY(open_array(a->folder, "y.f32", b->rows, b->voxels, &b->y_file, &b->y));
    } else {
        VG_TRY(simulate(b));
    }
    int64_t outer = b->fold->outer_count * b->voxels;
    VG_TRY(VG_NEW(&b->penalties, b->alphas, "penalties"));
    VG_TRY(VG_NEW(&b->score, b->spaces * b->voxels, "scores"));
    VG_TRY(VG_NEW(&b->alpha, b->spaces * outer, "penalties"));
    VG_TRY(VG_NEW(&b->weights, b->draws * b->bands, "draws"));
    VG_TRY(VG_NEW(&b->results, b->spaces, "results"));
    for (int64_t i = 0; i < b->alphas; i++)
        b->penalties[i] = pow(10, -1 + 9.0 * (double)i / (double)(b->alphas > 1 ? b->alphas - 1 : 1));
    for (int64_t i = 0; i < b->spaces; i++) {
        vg_ridge_result *r = &b->results[i];
        r->ld = b->voxels;
        *(b->by_r2 ? &r->r2 : &r->score) = b->score + i * b->voxels;
        *(b->by_r2 ? &r->r2_alpha : &r->alpha) = b->alpha + i * outer;
    }
    vg_band_weights(b->bands, b->draws, 0, b->weights);
    b->plan = (vg_ridge_plan){.folds = b->fold, .alphas = b->penalties, .alpha_count = b->alphas, .type = VG_F32, .r2 = VG_R2_MEAN};
    return VG_OK;
}

static void finish(bench *b)
{
    vg_folds_free(b->fold);
    vg_device_close(b->device);
    vg_file_close(&b->x_file);
    vg_file_close(&b->y_file);
    void *memory[] = {b->penalties, b->score, b->alpha, b->weights, b->results, b->x_own, b->y_own};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

/* ---- measuring -------------------------------------------------------------------------------------------------------------- */

static vg_status run_spaces(bench *b, double begin, times *t)
{
    vg_ridge_design **designs;
    VG_TRY(VG_NEW(&designs, b->spaces, "designs"));
    vg_status status = VG_OK;
    for (int64_t i = 0; i < b->spaces; i++)
        VG_GO(vg_ridge_design_create(b->device, &b->plan, b->x, &designs[i]));
    t->factor = vg_seconds() - begin;
    for (int64_t s = 0; s < b->subjects; s++)
        VG_GO(vg_ridge_fit(designs, b->spaces, b->y, NULL, b->results));
done:
    for (int64_t i = 0; i < b->spaces; i++)
        vg_ridge_design_free(designs[i]);
    free(designs);
    return status;
}

static vg_status run_bands(bench *b, double begin, times *t)
{
    vg_banded *banded = NULL;
    vg_samples *bands;
    int64_t each = b->columns / b->bands;
    VG_TRY(VG_NEW(&bands, b->bands, "bands"));
    for (int64_t i = 0; i < b->bands; i++)
        bands[i] = (vg_samples){VG_F32, (const float *)b->x.data + i * each, b->rows, each, b->columns};
    vg_status status = vg_banded_create(b->device, &b->plan, bands, b->bands, b->weights, b->draws, &banded);
    free(bands);
    t->factor = vg_seconds() - begin;
    for (int64_t s = 0; status == VG_OK && s < b->subjects; s++)
        status = vg_banded_fit(banded, b->y, NULL, &(vg_banded_result){.r2 = b->score, .alpha = b->alpha, .ld = b->voxels});
    vg_banded_free(banded);
    return status;
}

static vg_status run_once(bench *b, times *t)
{
    double begin = vg_seconds(), flops = vg_device_flops(b->device);
    int64_t factorizations = vg_ridge_factorizations();
    VG_TRY(b->bands > 1 ? run_bands(b, begin, t) : run_spaces(b, begin, t));
    t->fit = vg_seconds() - begin - t->factor;
    t->flops = vg_device_flops(b->device) - flops;
    t->factorizations = vg_ridge_factorizations() - factorizations;
    return VG_OK;
}

static int by_seconds(const void *a, const void *b)
{
    const times *s = a, *t = b;
    double difference = s->factor + s->fit - t->factor - t->fit;
    return (difference > 0) - (difference < 0);
}

static vg_status measure(const arguments *a, bench *b)
{
    times all[MOST_REPEATS] = {0};
    VG_TRY(prepare(a, b));
    for (int64_t i = 0; i < b->repeats; i++)
        VG_TRY(run_once(b, &all[i]));
    qsort(all, (size_t)b->repeats, sizeof *all, by_seconds);
    const times *t = &all[b->repeats / 2];
    double seconds = t->factor + t->fit, fits = (double)b->voxels * (double)b->spaces * (double)b->subjects;
    if (a->folder != NULL) {
        VG_TRY(write_array(a->folder, "score.f64", b->score, b->voxels));
        VG_TRY(write_array(a->folder, "alpha.f64", b->alpha, b->fold->outer_count * b->voxels));
    }
    printf("{\"bench\": \"encoding\", \"rows\": %lld, \"columns\": %lld, \"voxels\": %lld, \"penalties\": %lld, \"folds\": %lld, "
           "\"inner\": %lld, \"spaces\": %lld, \"bands\": %lld, \"draws\": %lld, \"subjects\": %lld, \"repeats\": %lld, "
           "\"seconds\": %.4f, \"factor\": %.4f, \"fit\": %.4f, \"factorisations\": %lld, \"voxels_per_second\": %.0f, "
           "\"gflop\": %.6g, \"gflop_per_second\": %.6g, \"bytes_read\": %.0f, \"device\": \"%s\"}\n",
           (long long)b->rows, (long long)b->columns, (long long)b->voxels, (long long)b->alphas, (long long)b->folds, (long long)b->inner,
           (long long)b->spaces, (long long)b->bands, (long long)(b->bands > 1 ? b->draws : 1), (long long)b->subjects,
           (long long)b->repeats, seconds, t->factor, t->fit, (long long)t->factorizations, fits / seconds, t->flops / 1e9,
           t->flops / 1e9 / seconds, 4.0 * (double)b->rows * (double)b->voxels * (double)b->subjects, b->device->name);
    return VG_OK;
}

vg_status vg_bench_encoding(int argc, char **argv)
{
    static const vg_command_help help = {
        "bench encoding [OPTIONS]",
        "Times ridge regression: folds and penalties by cross-validation, all spaces in one reading of the responses. Prints JSON.",
        "  voxgrad bench encoding --rows 1000 --columns 512 --voxels 50000\n"
        "  voxgrad bench encoding --columns 40 --spaces 50 --folds 5 --score r\n"
        "  voxgrad bench encoding --columns 120 --bands 3 --draws 100 --voxels 20000\n",
        0, false};
    arguments a = {.rows = "1000",
                   .columns = "40",
                   .voxels = "10000",
                   .alphas = "20",
                   .folds = "1",
                   .inner = "5",
                   .gap = "0",
                   .spaces = "1",
                   .bands = "1",
                   .draws = "20",
                   .subjects = "1",
                   .threads = "0",
                   .device = "cpu",
                   .repeats = "1",
                   .score = "r2"};
    const vg_option options[] = {{"rows", 0, "T", "rows (1000)", &a.rows, NULL},
                                 {"columns", 0, "P", "features (40)", &a.columns, NULL},
                                 {"voxels", 0, "V", "voxels (10000)", &a.voxels, NULL},
                                 {"alphas", 0, "N", "penalties, 1e-1 to 1e8 (20)", &a.alphas, NULL},
                                 {"folds", 0, "N", "outer folds; 1: not nested (1)", &a.folds, NULL},
                                 {"inner", 0, "N", "inner folds (5)", &a.inner, NULL},
                                 {"gap", 0, "N", "rows dropped at borders (0)", &a.gap, NULL},
                                 {"spaces", 0, "N", "the same features so many times (1)", &a.spaces, NULL},
                                 {"bands", 0, "N", "features in so many bands, a penalty each (1)", &a.bands, NULL},
                                 {"draws", 0, "N", "of the bands' penalties (20)", &a.draws, NULL},
                                 {"subjects", 0, "N", "the same responses so many times, factored once (1)", &a.subjects, NULL},
                                 {"threads", 0, "N", "threads; 0: the cores there are (0)", &a.threads, NULL},
                                 {"device", 'd', "SPEC", "cpu, cuda", &a.device, NULL},
                                 {"repeats", 0, "N", "the median of so many (1)", &a.repeats, NULL},
                                 {"score", 0, "r|r2", "what chooses and is scored (r2)", &a.score, NULL},
                                 {"folder", 'f', "FOLDER", "arrays x.f32 and y.f32, instead of simulated ones", &a.folder, NULL},
                                 {0}};
    bool proceed;
    bench b = {0};
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    vg_status status = measure(&a, &b);
    finish(&b);
    return status;
}
