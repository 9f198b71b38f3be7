/* bench encoding: times ridge on arrays that others can be timed on too. FOLDER holds x.f32 (T, p) and y.f32 (T, V), raw; the best
 * penalties and scores of space 0 go to FOLDER/alpha.f64 and FOLDER/score.f64. One JSON line on standard output.
 * bench/peers/himalaya_bench.py runs it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "voxgrad/encoding.h"

typedef struct {
    const char *folder, *rows, *columns, *voxels, *alphas, *folds, *inner, *gap, *spaces, *threads, *device, *repeats, *score, *tile;
} arguments;

static int64_t whole(const char *text)
{
    int64_t value = 0;
    if (!vg_parse_integer(text, strlen(text), &value))
        fprintf(stderr, "bench encoding: %s is not a whole number\n", text);
    return value;
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

static vg_status write_array(const char *folder, const char *name, const double *x, int64_t n)
{
    char *path;
    VG_TRY(vg_format(&path, "%s/%s", folder, name));
    FILE *out = fopen(path, "wb");
    free(path);
    bool fine = out != NULL && fwrite(x, sizeof(double), (size_t)n, out) == (size_t)n;
    if (out != NULL)
        fclose(out);
    return fine ? VG_OK : vg_fail(VG_NO_SPACE, "%s/%s: cannot be written", folder, name);
}

typedef struct {
    double factor, fit, flops;
} times;

static vg_status run_once(vg_device *device, const vg_ridge_plan *plan, vg_samples x, vg_samples y, int64_t spaces,
                          const vg_ridge_result *results, times *t)
{
    vg_ridge_design **designs;
    VG_TRY(VG_NEW(&designs, spaces, "designs"));
    vg_status status;
    double begin = vg_seconds(), flops = vg_device_flops(device);
    for (int64_t i = 0; i < spaces; i++)
        VG_GO(vg_ridge_design_create(device, plan, x, &designs[i]));
    t->factor = vg_seconds() - begin;
    VG_GO(vg_ridge_fit(designs, spaces, y, NULL, results));
    t->fit = vg_seconds() - begin - t->factor;
    t->flops = vg_device_flops(device) - flops;
done:
    for (int64_t i = 0; i < spaces; i++)
        vg_ridge_design_free(designs[i]);
    free(designs);
    return status;
}

static vg_status bench(const arguments *a)
{
    int64_t rows = whole(a->rows), columns = whole(a->columns), voxels = whole(a->voxels), count = whole(a->alphas),
            spaces = whole(a->spaces);
    bool by_r2 = strcmp(a->score, "r2") == 0;
    vg_folds *folds = NULL;
    vg_device *device = NULL;
    vg_file x_file = {0}, y_file = {0};
    vg_samples x, y;
    double *alphas = NULL, *score = NULL, *alpha = NULL;
    vg_ridge_result *results = NULL;
    vg_status status;
    VG_GO(vg_folds_create(
        &(vg_folds_options){
            .run_rows = &rows, .runs = 1, .outer_folds = whole(a->folds), .inner_folds = whole(a->inner), .gap = whole(a->gap)},
        &folds));
    VG_GO(vg_device_open(a->device, 0, (int)whole(a->threads), &device));
    VG_GO(open_array(a->folder, "x.f32", rows, columns, &x_file, &x));
    VG_GO(open_array(a->folder, "y.f32", rows, voxels, &y_file, &y));
    VG_GO(VG_NEW(&alphas, count, "penalties"));
    VG_GO(VG_NEW(&score, spaces * voxels, "scores"));
    VG_GO(VG_NEW(&alpha, spaces * folds->outer_count * voxels, "penalties"));
    VG_GO(VG_NEW(&results, spaces, "results"));
    for (int64_t i = 0; i < count; i++)
        alphas[i] = pow(10, -1 + 9.0 * (double)i / (double)(count > 1 ? count - 1 : 1));
    for (int64_t i = 0; i < spaces; i++) {
        double *s = score + i * voxels, *l = alpha + i * folds->outer_count * voxels;
        results[i] =
            by_r2 ? (vg_ridge_result){.r2 = s, .r2_alpha = l, .ld = voxels} : (vg_ridge_result){.score = s, .alpha = l, .ld = voxels};
    }
    vg_ridge_plan plan = {.folds = folds, .alphas = alphas, .alpha_count = count, .type = VG_F32, .r2 = VG_R2_MEAN, .tile = whole(a->tile)};
    times best = {.fit = INFINITY}, now = {0};
    for (int64_t i = 0; i < whole(a->repeats); i++) {
        VG_GO(run_once(device, &plan, x, y, spaces, results, &now));
        best = now.fit + now.factor < best.fit + best.factor ? now : best;
    }
    VG_GO(write_array(a->folder, "score.f64", score, voxels));
    VG_GO(write_array(a->folder, "alpha.f64", alpha, folds->outer_count * voxels));
    printf("{\"seconds\": %.4f, \"factor\": %.4f, \"fit\": %.4f, \"gflops\": %.1f, \"device\": \"%s\"}\n", best.factor + best.fit,
           best.factor, best.fit, best.flops / 1e9, device->name);
done:
    vg_folds_free(folds);
    vg_device_close(device);
    vg_file_close(&x_file);
    vg_file_close(&y_file);
    free(alphas);
    free(score);
    free(alpha);
    free(results);
    return status;
}

int main(int argc, char **argv)
{
    arguments a = {.folder = ".",
                   .rows = "1000",
                   .columns = "40",
                   .voxels = "1000",
                   .alphas = "20",
                   .folds = "1",
                   .inner = "5",
                   .gap = "0",
                   .spaces = "1",
                   .threads = "0",
                   .device = "cpu",
                   .repeats = "1",
                   .score = "r", .tile = "0"};
    const vg_option options[] = {
        {"folder", 'f', "FOLDER", "where x.f32 and y.f32 are", &a.folder, NULL},
        {"rows", 0, "T", "rows", &a.rows, NULL},
        {"columns", 0, "P", "features", &a.columns, NULL},
        {"voxels", 0, "V", "voxels", &a.voxels, NULL},
        {"alphas", 0, "N", "penalties, 1e-1 to 1e8", &a.alphas, NULL},
        {"folds", 0, "N", "outer folds; 1: not nested", &a.folds, NULL},
        {"inner", 0, "N", "inner folds", &a.inner, NULL},
        {"gap", 0, "N", "rows dropped at borders", &a.gap, NULL},
        {"spaces", 0, "N", "the same features so many times", &a.spaces, NULL},
        {"threads", 0, "N", "threads", &a.threads, NULL},
        {"device", 0, "SPEC", "cpu, cuda", &a.device, NULL},
        {"repeats", 0, "N", "the best of so many", &a.repeats, NULL},
        {"tile", 0, "N", "voxels a tile; 0: chosen", &a.tile, NULL},
        {"score", 0, "r|r2", "what is scored", &a.score, NULL},
        {NULL},
    };
    int operands;
    vg_status status = vg_options_parse(options, argc, argv, &operands);
    if (status == VG_OK)
        status = bench(&a);
    if (status != VG_OK)
        vg_log(VG_LOG_ERROR, "%s", vg_message());
    return vg_exit_code(status);
}
