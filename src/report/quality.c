/* quality: what one has to know before believing the rest: voxels that could not be fitted, paths that did not converge, the null,
 * ceilings, and where the numbers come from (provenance in the file; hosts and times from the run.json beside it). */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure_tables.h"

static void cell_text(FILE *html, const char *text)
{
    fputs("<td>", html);
    encode_html(html, text);
    fputs("</td>", html);
}

static void cell_number(FILE *html, double value, const char *format)
{
    fputs("<td data-value=\"", html);
    encode_number(html, value);
    fputs("\">", html);
    if (isfinite(value))
        fprintf(html, format, value);
    else
        fputs("\342\200\223", html);
    fputs("</td>", html);
}

/* A table's rows of numbers (subjects, columns): one row for all of them where they are alike. */
static void write_subjects(const report *r, const double *numbers, int columns, FILE *html)
{
    bool alike = r->subject_count > 1;
    for (int64_t i = columns; i < r->subject_count * columns; i++)
        alike &= numbers[i] == numbers[i - columns];
    for (int64_t s = 0; s < (alike ? 1 : r->subject_count); s++) {
        char each[48];
        snprintf(each, sizeof each, "each of %lld", (long long)r->subject_count);
        fputs("<tr>", html);
        cell_text(html, alike ? each : r->subjects[s]);
        for (int c = 0; c < columns; c++)
            cell_number(html, numbers[s * columns + c], "%.0f");
        fputs("</tr>\n", html);
    }
    fputs("</tbody></table></div>\n", html);
}

static vg_status write_voxels(const report *r, FILE *html)
{
    double *numbers;
    fputs("<h3>Voxels</h3>\n<div class=\"scroll\"><table id=\"voxels\"><thead><tr><th>subject</th><th>voxels</th><th>usable</th>"
          "<th>constant or not finite</th></tr></thead><tbody>\n",
          html);
    VG_TRY(VG_NEW(&numbers, 3 * r->subject_count, "numbers of voxels"));
    for (int64_t s = 0; s < r->subject_count; s++) {
        const report_subject *about = &r->about[s];
        numbers[3 * s] = (double)about->voxels;
        numbers[3 * s + 1] = (double)about->usable;
        numbers[3 * s + 2] = (double)(about->voxels - about->usable);
    }
    write_subjects(r, numbers, 3, html);
    free(numbers);
    return VG_OK;
}

/* ---- paths --------------------------------------------------------------------------------------------------------------------- */

/* NAME.WHAT of every word; all NaN where the file does not have it. */
static vg_status read_beside(const report *r, const vg_store_space *space, const char *what, double *values)
{
    char *path;
    VG_TRY(vg_format(&path, "/stories/%s/features/%s/%s.%s", space->story, space->model, space->name, what));
    vg_status status = VG_OK;
    for (int64_t w = 0; w < space->words; w++)
        values[w] = NAN;
    if (vg_store_is_dataset(r->features, path))
        status = vg_store_read(r->features, path, NULL, VG_STORE_F64, NULL, NULL, values);
    free(path);
    return status;
}

/* The tolerance of a path's words, and how many are above it; both NaN where the file does not say (made before it did), or the number of
 * steps was fixed. */
static vg_status count_unconverged(const report *r, const vg_store_space *space, double *error, double *tolerance, double *above)
{
    char *path;
    *tolerance = *above = NAN;
    VG_TRY(vg_format(&path, "/stories/%s/features/%s/%s.error", space->story, space->model, space->name));
    vg_status status = VG_OK;
    if (vg_store_has_attribute(r->features, path, "tolerance"))
        status = vg_store_attribute_number(r->features, path, "tolerance", tolerance);
    free(path);
    VG_TRY(status);
    VG_TRY(read_beside(r, space, "error", error));
    if (!(*tolerance > 0)) {
        *tolerance = NAN;
        return VG_OK;
    }
    *above = 0;
    for (int64_t w = 0; w < space->words; w++)
        *above += error[w] > *tolerance;
    return VG_OK;
}

static vg_status write_path(const report *r, const vg_store_space *space, FILE *html)
{
    double *nodes = NULL, *residual = NULL, *error = NULL, tolerance, above, median, most;
    int64_t taken = 0;
    vg_status status;
    VG_GO(VG_NEW(&nodes, space->words, "words"));
    VG_GO(VG_NEW(&residual, space->words, "words"));
    VG_GO(VG_NEW(&error, space->words, "words"));
    VG_GO(read_beside(r, space, "nodes", nodes));
    VG_GO(read_beside(r, space, "residual", residual));
    VG_GO(count_unconverged(r, space, error, &tolerance, &above));
    for (int64_t w = 0; w < space->words; w++) {
        residual[w] = fabs(residual[w]);
        taken += isfinite(residual[w]) != 0;
    }
    fputs("<tr>", html);
    cell_text(html, space->story);
    cell_text(html, space->model);
    cell_text(html, space->name);
    cell_number(html, (double)space->words, "%.0f");
    cell_number(html, tolerance, "%.2g");
    cell_number(html, above, "%.0f");
    VG_GO(report_quantile(nodes, space->words, 0.5, &median));
    VG_GO(report_quantile(nodes, space->words, 1.0, &most));
    cell_number(html, median, "%.0f");
    cell_number(html, most, "%.0f");
    VG_GO(report_quantile(residual, space->words, 0.5, &median));
    VG_GO(report_quantile(residual, space->words, 1.0, &most));
    cell_number(html, taken > 0 ? median : (double)NAN, "%.2g");
    cell_number(html, taken > 0 ? most : (double)NAN, "%.2g");
    cell_number(html, (double)taken, "%.0f");
    fputs("</tr>\n", html);
done:
    free(nodes);
    free(residual);
    free(error);
    return status;
}

static vg_status write_paths(const report *r, FILE *html)
{
    vg_store_space *listed = NULL;
    int64_t count = 0, found = 0;
    vg_status status = VG_OK;
    fputs("<h3>Path integrals</h3>\n", html);
    if (r->features != NULL)
        VG_TRY(vg_features_list(r->features, &listed, &count));
    for (int64_t i = 0; status == VG_OK && i < count; i++) {
        bool again = i > 0 && strcmp(listed[i].story, listed[i - 1].story) == 0 && strcmp(listed[i].model, listed[i - 1].model) == 0 &&
                     strcmp(listed[i].name, listed[i - 1].name) == 0;
        if (!listed[i].path || again)
            continue;
        if (found++ == 0)
            fputs("<div class=\"scroll\"><table id=\"paths\"><thead><tr><th>story</th><th>model</th><th>feature</th><th>words</th>"
                  "<th>tolerance</th><th>not converged</th><th>median nodes</th><th>most nodes</th><th>median residual</th><th>largest "
                  "residual</th><th>residuals taken</th></tr></thead><tbody>\n",
                  html);
        status = write_path(r, &listed[i], html);
    }
    if (found > 0)
        fputs("</tbody></table></div>\n<p>A word has not converged where its error, relative and extrapolated, is above the tolerance with "
              "<code>max_steps</code> panels; it is kept. The residual is what the scores of all words lack of the change in the "
              "target.</p>\n",
              html);
    else
        fprintf(html, "<p class=\"missing\">%s</p>\n",
                r->features == NULL ? "There is no features.h5 beside the results."
                                    : "No feature is a path integral (integrated_gradients, layer_conductance, layer_influence are).");
    if (listed != NULL)
        vg_features_list_free(listed, count);
    return status;
}

/* ---- leakage -------------------------------------------------------------------------------------------------------------------- */

/* What the fit noted of each subject (study's leakage.c), and the null's mean, which a leak would lift. */
static vg_status write_leakage(const report *r, FILE *html)
{
    static const char *const noted[] = {"outer_folds", "gap", "training_rows", "overlapping_rows"};
    double least = INFINITY, most = -INFINITY, *numbers;
    vg_status status = VG_OK;
    fputs("<h3>Leakage</h3>\n<p>No test response enters training. A training row overlaps where, through the delays, it sees a TR of the "
          "story that a test row sees as well.</p>\n<div class=\"scroll\"><table id=\"leakage\"><thead><tr><th>subject</th><th>outer "
          "folds</th><th>gap (rows)</th><th>training rows, all folds</th><th>of these overlap</th></tr></thead><tbody>\n",
          html);
    VG_TRY(VG_NEW(&numbers, 4 * r->subject_count, "numbers of folds"));
    for (int64_t i = 0; status == VG_OK && i < 4 * r->subject_count; i++) {
        char path[320];
        snprintf(path, sizeof path, "/subjects/%s", r->subjects[i / 4]);
        numbers[i] = NAN;
        if (vg_store_has_attribute(r->file, path, noted[i % 4]))
            status = vg_store_attribute_number(r->file, path, noted[i % 4], &numbers[i]);
    }
    write_subjects(r, numbers, 4, html);
    free(numbers);
    VG_TRY(status);
    for (int64_t i = 0; i < r->space_count * r->region_count; i++) {
        least = r->cells[i].null_mean < least ? r->cells[i].null_mean : least;
        most = r->cells[i].null_mean > most ? r->cells[i].null_mean : most;
    }
    if (least <= most)
        fprintf(html,
                "<p>Under the shifts, where there is nothing to find, the mean %s of a space in a region lies between <b "
                "data-value=\"%.9g\">%.3f</b> and <b data-value=\"%.9g\">%.3f</b>; a leak would lift it above 0.</p>\n",
                r->unique ? "unique variance" : "score", least, least, most, most);
    return VG_OK;
}

/* ---- null and ceilings ------------------------------------------------------------------------------------------------------------ */

static vg_status write_null(const report *r, FILE *html)
{
    double band;
    fputs("<h3>Null of the stimulus</h3>\n", html);
    if (r->null_largest == NULL) {
        fprintf(html, "<p class=\"missing\">%s</p>\n",
                r->unfinished ? "The null is written when the study ends." : "No null was computed: null: {shifts: N} makes one.");
        return VG_OK;
    }
    VG_TRY(report_quantile(r->null_largest, r->shifts, 0.95, &band));
    fprintf(html,
            "<p>%lld shifts of all responses against the story, refitted. The largest mean %s over all spaces and regions stays below <b "
            "id=\"null-band\" data-value=\"%.9g\">%.3f</b> in 95 %% of them.</p>\n",
            (long long)r->shifts, r->unique ? "unique variance" : "score", band, band);
    return VG_OK;
}

static vg_status write_ceilings(const report *r, FILE *html)
{
    figure_table t;
    vg_status status;
    fputs("<h3>Noise ceilings</h3>\n", html);
    VG_GO(report_table_read(r, "/ceiling/regions", "region|ceiling,low,high,leave_one_out", &t));
    if (t.count == 0) {
        fputs("<p class=\"missing\">No ceiling was computed: it takes two or more subjects with the same voxels and rows.</p>\n", html);
        goto done;
    }
    fputs(
        "<p>The largest r that one can hope for: the square root of the mean correlation between subjects. It is drawn where its interval "
        "over listeners lies above 0.</p>\n<div class=\"scroll\"><table id=\"ceilings\"><thead><tr><th>region</th><th>ceiling "
        "(r)</th><th>from</th><th>to</th><th>each subject with the mean of the others (r)</th></tr></thead><tbody>\n",
        html);
    for (int64_t i = 0; i < t.count; i++) {
        fputs("<tr>", html);
        cell_text(html, t.texts[0][i]);
        for (int n = 0; n < 4; n++)
            cell_number(html, t.numbers[n][i], "%.3f");
        fputs("</tr>\n", html);
    }
    fputs("</tbody></table></div>\n", html);
done:
    report_table_free(&t);
    return status;
}

/* ---- provenance --------------------------------------------------------------------------------------------------------------------- */

static void write_row(FILE *html, const char *what, const char *value)
{
    fputs("<tr><th>", html);
    encode_html(html, what);
    fputs("</th>", html);
    cell_text(html, value);
    fputs("</tr>\n", html);
}

/* One rank of a stage; the stage's libraries beside its first. */
static void write_stage_rank(const char *stage, const json_t *entry, const json_t *rank, bool first, FILE *html)
{
    const char *where = json_string_value(json_object_get(rank, "where")),
               *libraries = json_string_value(json_object_get(entry, "libraries"));
    const json_t *core = json_object_get(rank, "core_seconds"), *peak = json_object_get(rank, "peak_bytes");
    fputs("<tr>", html);
    cell_text(html, stage);
    cell_number(html, json_number_value(json_object_get(entry, "seconds")), "%.2f");
    cell_number(html, (double)json_integer_value(json_object_get(rank, "rank")), "%.0f");
    cell_number(html, core != NULL ? json_number_value(core) : (double)NAN, "%.2f");
    cell_number(html, peak != NULL ? (double)json_integer_value(peak) / 1e6 : (double)NAN, "%.0f");
    cell_text(html, first && libraries != NULL ? libraries : "");
    cell_text(html, where != NULL ? where : "");
    fputs("</tr>\n", html);
}

/* Times and hosts of each stage, as run.json has them: {"fit": {"ranks", "seconds", "libraries", "where": [{"rank", "where",
 * "core_seconds", "peak_bytes"}]}}. */
static void write_stages(const report *r, FILE *html)
{
    char path[4096];
    const char *stage;
    json_t *entry;
    snprintf(path, sizeof path, "%s/run.json", r->folder);
    json_t *note = json_load_file(path, 0, NULL);
    if (!json_is_object(note)) {
        fputs("<p class=\"missing\">There is no run.json beside the results: hosts and wall times are not known.</p>\n", html);
        json_decref(note);
        return;
    }
    fputs("<div class=\"scroll\"><table id=\"stages\"><thead><tr><th>stage</th><th>wall time (s)</th><th>rank</th><th>core time "
          "(s)</th><th>peak memory "
          "(MB)</th><th>libraries</th><th>where</th></tr></thead><tbody>\n",
          html);
    json_object_foreach(note, stage, entry)
    {
        size_t i;
        json_t *rank;
        json_array_foreach(json_object_get(entry, "where"), i, rank) write_stage_rank(stage, entry, rank, i == 0, html);
    }
    fputs("</tbody></table></div>\n", html);
    json_decref(note);
}

static vg_status write_provenance(const report *r, FILE *html)
{
    static const char *const texts[] = {"version", "commit", "libraries", "plan", "config"};
    fputs("<h3>Provenance</h3>\n<div class=\"scroll\"><table id=\"provenance\"><tbody>\n", html);
    write_row(html, "results", r->path);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text;
        if (!vg_store_has_attribute(r->file, "/provenance", texts[i]) && !vg_store_has(r->file, "/provenance"))
            continue;
        if (vg_store_attribute_text(r->file, "/provenance", texts[i], &text) != VG_OK)
            continue;
        if (strcmp(texts[i], "config") == 0) {
            fputs("</tbody></table></div>\n<details><summary>The study</summary><pre id=\"config\">", html);
            encode_html(html, text);
            fputs("</pre></details>\n", html);
        } else {
            write_row(html, texts[i], text);
        }
        free(text);
    }
    for (int64_t m = 0; r->features != NULL && m < r->model_count; m++) {
        char name[320], *hash;
        snprintf(name, sizeof name, "model_%s_crc32c", r->models[m]);
        if (vg_store_attribute_text(r->features, "/provenance", name, &hash) != VG_OK)
            continue;
        fputs("<p>Weights of ", html);
        encode_html(html, r->models[m]);
        fputs(": CRC32C <code>", html);
        encode_html(html, hash);
        fputs("</code></p>\n", html);
        free(hash);
    }
    return VG_OK;
}

vg_status report_quality(const report *r, FILE *html)
{
    VG_TRY(write_voxels(r, html));
    VG_TRY(write_paths(r, html));
    VG_TRY(write_leakage(r, html));
    VG_TRY(write_null(r, html));
    VG_TRY(write_ceilings(r, html));
    VG_TRY(write_provenance(r, html));
    write_stages(r, html);
    return VG_OK;
}
