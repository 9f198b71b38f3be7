/* Protects: every number in figures, tables and the page's data is the one in results.h5; text of users stays text; results of a running,
 * single-subject, single-space or all-NaN study give a page that says so; bad input is told apart. With an argument it writes the sample
 * that test_browser.sh looks at, into that folder. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "report.h"
#include "sample.h"

static char folder[64];

static void expect_near(double found, double wanted, double distance)
{
    if (!(fabs(found - wanted) <= distance))
        fail_msg("%.12g instead of %.12g", found, wanted);
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vg_report_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf -- %s", folder);
    return system(command);
}

static char *read_text(const char *name)
{
    vg_file file;
    MUST(vg_file_open(sample_path("%s/report/%s", folder, name), &file));
    char *text = strndup((const char *)file.data, file.size);
    vg_file_close(&file);
    return text;
}

static vg_status make(const sample *s, bool surfaces)
{
    sample_write(s, folder);
    char left[128], right[128];
    snprintf(left, sizeof left, "%s/lh.sample", folder);
    snprintf(right, sizeof right, "%s/rh.sample", folder);
    vg_log_configure(VG_LOG_ERROR, 0, 1);
    return vg_report_write(folder, &(vg_report_options){.surface = {surfaces ? left : NULL, surfaces ? right : NULL}});
}

static const sample full = {.subjects = 3, .models = 2, .layers = 3, .vertices = 6, .null = true, .statistics = true, .features = true};

static double half_value(uint16_t h)
{
    double sign = h & 0x8000 ? -1 : 1;
    int exponent = h >> 10 & 31, part = h & 1023;
    return exponent == 31 ? (double)NAN : exponent == 0 ? sign * ldexp(part, -24) : sign * ldexp(1024 + part, exponent - 25);
}

static void test_halves(void **state)
{
    static const float values[] = {0, -0.0f, 1, -2, 0.1f, 65504, 1e-7f, 6e-8f, 1e-5f, 0.333333f, 2047.7f};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double back = half_value(encode_half(values[i]));
        assert_true(fabs(back - (double)values[i]) <= fmax(fabs((double)values[i]) / 2048, ldexp(1, -25)));
    }
    assert_int_equal(encode_half(NAN) & 0x7c00, 0x7c00);
    assert_int_equal(encode_half(1e9f), 0x7c00);
    assert_int_equal(encode_half(65519.0f), 0x7bff);
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

/* Marks of a class in a drawing, and the sum of their numbers. */
static int count_marks(const char *svg, const char *shape_class, double *values, int most)
{
    int count = 0;
    for (const char *at = svg; (at = strstr(at, shape_class)) != NULL; at++) {
        const char *value = strstr(at, "data-value=\"");
        assert_non_null(value);
        assert_true(count < most);
        values[count++] = strtod(value + strlen("data-value=\""), NULL);
    }
    return count;
}

static void test_regions_are_the_results(void **state)
{
    static double values[400];
    sample_space spaces[SAMPLE_MOST];
    (void)state;
    int count = sample_spaces(&full, spaces);
    MUST(make(&full, true));
    char *svg = read_text("figures/layers.svg");
    int cells = count_marks(svg, "class=\"cell\"", values, 400), at = 0;
    assert_int_equal(cells, 2 * full.layers * SAMPLE_REGIONS);
    for (int p = 0; p < count; p++)
        for (int g = 0; g < SAMPLE_REGIONS && *spaces[p].layer != '\0'; g++) {
            double mean = 0;
            for (int i = 0; i < full.subjects; i++)
                mean += sample_region_mean(&full, p, i, g) / full.subjects;
            expect_near(values[at++], mean, 1e-9);
        }
    free(svg);
    svg = read_text("figures/regions.svg");
    assert_int_equal(count_marks(svg, "class=\"mean ", values, 400), 8 * SAMPLE_REGIONS); /* 4 features of 2 models */
    free(svg);
}

/* Dots of figure b: each entry's best layer, over all voxels of each subject, then of the best region. */
static void test_scores_are_the_results(void **state)
{
    static double values[400];
    sample_space spaces[SAMPLE_MOST];
    (void)state;
    int count = sample_spaces(&full, spaces), at = 0;
    MUST(make(&full, true));
    char *svg = read_text("figures/scores.svg");
    assert_int_equal(count_marks(svg, "class=\"dot ", values, 400), 2 * 8 * full.subjects);
    assert_non_null(strstr(svg, "class=\"null\""));
    assert_non_null(strstr(svg, "class=\"ceiling\""));
    for (int p = 0; p < count;) {
        int layers = *spaces[p].layer != '\0' ? full.layers : 1, best = p;
        double most = -1;
        for (int l = 0; l < layers; l++) {
            double mean = 0;
            for (int i = 0; i < full.subjects; i++)
                for (int64_t v = 0; v < sample_voxels(&full); v++)
                    mean += (double)sample_score(&full, p + l, i, v);
            best = mean > most ? p + l : best;
            most = fmax(mean, most);
        }
        for (int i = 0; i < full.subjects; i++) {
            double mean = 0;
            for (int64_t v = 0; v < sample_voxels(&full); v++)
                mean += (double)sample_score(&full, best, i, v) / (double)sample_voxels(&full);
            expect_near(values[at++], mean, 1e-8);
        }
        p += layers;
    }
    free(svg);
}

static json_t *data_of(const char *html, const char *id)
{
    char tag[80];
    snprintf(tag, sizeof tag, "<script type=\"application/json\" id=\"%s-data\">", id);
    const char *begins = strstr(html, tag);
    assert_non_null(begins);
    begins += strlen(tag);
    json_t *data = json_loadb(begins, (size_t)(strstr(begins, "</script>") - begins), 0, NULL);
    assert_non_null(data);
    return data;
}

static uint8_t *decode(const char *base64, size_t *size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *out = calloc(strlen(base64) + 3, 1);
    uint32_t bits = 0;
    *size = 0;
    for (int i = 0; base64[i] != '\0' && base64[i] != '='; i++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, base64[i]) - digits);
        if (i % 4 > 0)
            out[(*size)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return out;
}

static void test_data_are_the_results(void **state)
{
    size_t size;
    (void)state;
    MUST(make(&full, true));
    char *html = read_text("index.html");
    json_t *brain = data_of(html, "brain"), *map;
    size_t i, seen = 0;
    json_array_foreach(json_object_get(brain, "maps"), i, map)
    {
        sample_space spaces[SAMPLE_MOST];
        int count = sample_spaces(&full, spaces), p = 0;
        if (strcmp(json_string_value(json_object_get(map, "kind")), "score") != 0)
            continue;
        while (p < count && strcmp(spaces[p].path, json_string_value(json_object_get(map, "label"))) != 0)
            p++;
        assert_true(p < count);
        for (size_t h = 0; h < 2; h++) {
            uint8_t *halves = decode(json_string_value(json_array_get(json_object_get(map, "values"), h)), &size);
            assert_int_equal(size, 2 * full.vertices);
            for (int v = 0; v < full.vertices; v++) {
                double mean = 0;
                for (int s = 0; s < full.subjects; s++)
                    mean += (double)sample_score(&full, p, s, v + (int)h * full.vertices) / full.subjects;
                expect_near(half_value((uint16_t)(halves[2 * v] | halves[2 * v + 1] << 8)), mean, 2e-4);
            }
            free(halves);
            uint8_t *passes = decode(json_string_value(json_array_get(json_object_get(map, "passes"), h)), &size);
            assert_int_equal(size, full.vertices);
            for (int v = 0; v < full.vertices; v++)
                assert_int_equal(passes[v], sample_q(&full, v + (int)h * full.vertices) < 0.05f);
            free(passes);
        }
        seen++;
    }
    assert_int_equal(seen, 12);
    json_decref(brain);
    json_t *words = data_of(html, "words"), *story = json_array_get(json_object_get(words, "stories"), 0);
    assert_string_equal(json_string_value(json_object_get(story, "name")), "<story>");
    assert_string_equal(json_string_value(json_array_get(json_object_get(story, "words"), 7)), "</script><script>boom()</script>");
    uint8_t *halves = decode(json_string_value(json_object_get(json_array_get(json_object_get(story, "spaces"), 0), "values")), &size);
    assert_int_equal(size, 2 * SAMPLE_WORDS * SAMPLE_K);
    for (int w = SAMPLE_K; w < SAMPLE_WORDS; w++)
        for (int k = 0; k < SAMPLE_K; k++) {
            size_t at = 2 * (size_t)(w * SAMPLE_K + k);
            expect_near(half_value((uint16_t)(halves[at] | halves[at + 1] << 8)), (double)sample_attribution(w, k), 5e-4);
        }
    free(halves);
    json_decref(words);
    free(html);
}

/* A number of the answer's sentences, by its order. */
static void test_answer_is_the_results(void **state)
{
    (void)state;
    MUST(make(&full, true));
    char *html = read_text("index.html"), *at = strstr(html, "<ol class=\"answer\">");
    sample_space spaces[SAMPLE_MOST];
    int count = sample_spaces(&full, spaces), best = -1, region = 0;
    double most = -1, controls = -1;
    assert_non_null(at);
    for (int pass = 0; pass < 2; pass++)
        for (int p = 0; p < count; p++)
            for (int g = 0; g < SAMPLE_REGIONS; g++) {
                double mean = 0;
                for (int i = 0; i < full.subjects; i++)
                    mean += sample_region_mean(&full, p, i, g) / full.subjects;
                bool control = strcmp(spaces[p].name, "rate_length") == 0;
                if (pass == 0 && !control && mean > most)
                    most = mean, best = p, region = g;
                if (pass == 1 && control && g == region && mean > controls)
                    controls = mean;
            }
    char *named = strstr(at, "<b>") + 3;
    assert_memory_equal(named, best >= 0 && strncmp(spaces[best].path, "be<ta", 5) == 0 ? "be&lt;ta/" : spaces[best].path, 5);
    at = strstr(at, "data-value=\"");
    expect_near(strtod(at + 12, NULL), most, 1e-8);
    at = strstr(strstr(at + 12, "data-value=\"") + 12, "data-value=\""); /* past the standard error */
    expect_near(strtod(at + 12, NULL), controls, 1e-8);
    assert_non_null(strstr(at, "That is above chance"));
    free(html);
}

static void test_text_stays_text(void **state)
{
    (void)state;
    MUST(make(&full, true));
    char *html = read_text("index.html");
    const char *begins = strstr(html, "<main>"), *ends = strstr(html, "</main>");
    assert_null(strstr(html, "<script>boom"));
    assert_null(strstr(html, "<img"));
    assert_null(strstr(html, "<i>sample"));
    assert_null(strstr(html, "<b>s1"));
    assert_true(begins != NULL && ends > begins);
    assert_int_equal(count_of(html, "<script"), 5); /* two of data, d3, three.js, the page's own */
    assert_null(strstr(html, "http-equiv=\"refresh\""));
    assert_non_null(strstr(html, "default-src 'none'"));
    free(html);
    static const char *const drawings[] = {
        "figures/scores.svg",  "figures/regions.svg",  "figures/models.svg",    "figures/layers.svg",    "figures/influence.svg",
        "figures/profile.svg", "figures/families.svg", "figures/preferred.svg", "figures/contrasts.svg", "figures/correlation.svg"};
    for (size_t i = 0; i < sizeof drawings / sizeof *drawings; i++) {
        char *svg = read_text(drawings[i]);
        assert_null(strstr(svg, "<script"));
        assert_null(strstr(svg, "<b>"));
        free(svg);
    }
}

/* Numbers of a table are those of its figure. */
static void test_tables_are_the_figures(void **state)
{
    static const struct {
        const char *svg, *csv, *mark;
        int column, skip;
    } pairs[] = {{"figures/layers.svg", "tables/figure_layers.csv", "class=\"cell\"", 4, 0},
                 {"figures/regions.svg", "tables/figure_regions.csv", "class=\"mean ", 5, 0},
                 {"figures/profile.svg", "tables/figure_profile.csv", "class=\"mean ", 6, 0},
                 {"figures/models.svg", "tables/figure_models.csv", "data-value=\"", 4, 0},
                 {"figures/contrasts.svg", "tables/figure_contrasts.csv", "class=\"cell ", 3, 0}};
    static double values[400];
    (void)state;
    MUST(make(&full, true));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *svg = read_text(pairs[i].svg), *csv = read_text(pairs[i].csv);
        int count = count_marks(svg, pairs[i].mark, values, 400), row = 0;
        vg_lines lines = {.path = pairs[i].csv, .text = csv, .size = strlen(csv)};
        vg_lines_next(&lines);
        while (vg_lines_next(&lines)) {
            char line[600], *at = line;
            snprintf(line, sizeof line, "%.*s", (int)lines.length, lines.line);
            for (char *quote = line, inside = 0; *quote != '\0'; quote++) { /* commas within quotes do not part fields */
                inside ^= *quote == '"';
                if (inside && *quote == ',')
                    *quote = ';';
            }
            for (int c = 0; c < pairs[i].column; c++)
                at = strchr(at, ',') + 1;
            assert_true(row < count);
            expect_near(strtod(at, NULL), values[row++], 1e-12);
        }
        assert_int_equal(row, count);
        free(svg);
        free(csv);
    }
}

/* The numbers of a CSV's column, in order; empty fields are left out. -1: there is no such column. */
static int csv_column(char *csv, const char *name, double *values, int most)
{
    int wanted = -1, count = 0;
    vg_lines lines = {.path = "csv", .text = csv, .size = strlen(csv)};
    for (bool head = true; vg_lines_next(&lines); head = false) {
        const char *at = lines.line, *end = lines.line + lines.length;
        for (int column = 0; at <= end; column++) {
            bool quoted = false;
            const char *field = at;
            for (; at < end && (quoted || *at != ','); at++)
                quoted ^= *at == '"';
            size_t size = (size_t)(at - field);
            if (head && size == strlen(name) && memcmp(field, name, size) == 0)
                wanted = column;
            if (!head && column == wanted && size > 0) {
                assert_true(count < most);
                values[count++] = strtod(field, NULL);
            }
            at++;
        }
    }
    return wanted < 0 ? -1 : count;
}

static void expect_among(double value, const double *values, int64_t count, const char *what)
{
    for (int64_t i = 0; i < count; i++)
        if (fabs(values[i] - value) <= 1e-8 * fmax(1, fabs(value)))
            return;
    fail_msg("%s has %.9g, and the results do not", what, value);
}

/* Columns of figures' tables, and of the tables for papers, are columns of results.h5. */
static void test_tables_are_the_results(void **state)
{
    static const struct {
        const char *csv, *table, *columns[6];
    } pairs[] = {{"tables/figure_profile.csv", "/profile", {"mean", "sem"}},
                 {"tables/figure_influence.csv", "/layers/influence", {"r", "r_partial", "null_mean", "p"}},
                 {"tables/figure_correlation.csv", "/layers/correlation", {"r", "null_mean", "p"}},
                 {"tables/figure_preferred.csv", "/layers/regions", {"center_of_mass", "p", "passing"}},
                 {"tables/figure_families.csv", "/families/comparisons", {"mean", "sem", "won_a", "tied", "won_b"}},
                 {"tables/figure_contrasts.csv", "/contrast_regions", {"mean", "sem", "p"}},
                 {"tables/figure_regions.csv", "/group_regions", {"mean", "sem"}},
                 {"tables/figure_layers.csv", "/group_regions", {"mean"}},
                 {"tables/group.csv", "/group_regions", {"mean", "sem", "p", "q", "p_largest"}},
                 {"tables/ceiling.csv", "/ceiling/regions", {"ceiling"}},
                 {"tables/scores.csv", "/regions", {"mean", "sem"}}};
    static double found[2000], kept[2000];
    vg_store_file *file;
    (void)state;
    MUST(make(&full, true));
    MUST(vg_store_open(sample_path("%s/results.h5%s", folder, ""), &file));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int c = 0; c < 6 && pairs[i].columns[c] != NULL; c++) {
            const char *column = pairs[i].columns[c];
            vg_store_about about;
            char *csv = read_text(pairs[i].csv), what[120];
            snprintf(what, sizeof what, "%s: %s", pairs[i].csv, column);
            MUST(vg_store_describe(file, pairs[i].table, &about));
            assert_true(about.shape[0] <= 2000);
            MUST(vg_store_read(file, pairs[i].table, column, VG_STORE_F64, NULL, NULL, kept));
            int count = csv_column(csv, column, found, 2000);
            if (count <= 0)
                fail_msg("%s: no numbers", what);
            for (int n = 0; n < count; n++)
                expect_among(found[n], kept, about.shape[0], what);
            free(csv);
        }
    vg_store_close(file);
}

/* Every mark of every figure stands for a number of its table. */
static void test_marks_are_the_tables(void **state)
{
    static const char *const figures[] = {"scores",    "regions",     "models",  "contrasts", "layers", "preferred",
                                          "influence", "correlation", "profile", "families",  "unique"};
    static double values[4000], column[2000];
    sample s = full;
    (void)state;
    for (int unique = 0; unique < 2; unique++) {
        s.unique = unique == 1;
        MUST(make(&s, true));
        for (size_t f = unique == 1 ? sizeof figures / sizeof *figures - 1 : 0; f < sizeof figures / sizeof *figures - (unique == 0); f++) {
            char *svg = read_text(sample_path("figures/%s.svg%s", figures[f], "")),
                 *csv = read_text(sample_path("tables/figure_%s.csv%s", figures[f], ""));
            char head[600];
            int count = 0;
            snprintf(head, sizeof head, "%.*s", (int)strcspn(csv, "\n"), csv);
            for (char *rest, *name = strtok_r(head, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
                int more = csv_column(csv, name, column, 2000);
                assert_true(more >= 0 && count + more <= 4000);
                for (int n = 0; n < more; n++)
                    values[count++] = column[n];
            }
            int marks = count_of(svg, "data-value=\"");
            assert_true(marks > 0);
            for (const char *at = svg; (at = strstr(at, "data-value=\"")) != NULL;) {
                at += strlen("data-value=\"");
                if (*at != '"')
                    expect_among(strtod(at, NULL), values, count, figures[f]);
            }
            free(svg);
            free(csv);
        }
    }
}

static void expect_map(const char *name, const sample *s, int space, int subject, int64_t first, int64_t count)
{
    const char *path = sample_path("%s/report/maps/%s", folder, name);
    vg_responses *map;
    float values[64];
    MUST(vg_responses_open(&path, 1, NULL, &map));
    assert_int_equal(vg_responses_rows(map), 1);
    assert_int_equal(vg_responses_voxels(map), count);
    MUST(vg_responses_read(map, 0, (vg_matrix){.data = values, .rows = 1, .columns = count, .ld = count}));
    for (int64_t v = 0; v < count; v++) {
        double mean = 0;
        for (int i = 0; i < s->subjects; i++)
            mean += (double)sample_score(s, space, i, first + v) / s->subjects;
        expect_near((double)values[v], subject < 0 ? mean : (double)sample_score(s, space, subject, first + v), 1e-6);
    }
    vg_responses_close(map);
}

static void test_maps_are_the_results(void **state)
{
    const sample volume = {.subjects = 2, .models = 1, .layers = 2};
    (void)state;
    MUST(make(&full, true));
    expect_map("lh.alpha.activations.01.mean.shape.gii", &full, 1, -1, 0, 6);
    expect_map("rh.alpha.gradient_norm.mean.shape.gii", &full, 3, -1, 6, 6);
    expect_map("s2/rh.be<ta.gradient_norm.score.shape.gii", &full, 9, 1, 6, 6);
    MUST(make(&volume, false));
    expect_map("alpha.gradient_norm.mean.nii.gz", &volume, 2, -1, 0, SAMPLE_VOXELS);
    expect_map("s2/alpha.activations.00.score.nii.gz", &volume, 0, 1, 0, SAMPLE_VOXELS);
    const char *path = sample_path("%s/report/maps/%s", folder, "alpha.gradient_norm.mean.nii.gz");
    vg_responses *map;
    MUST(vg_responses_open(&path, 1, NULL, &map));
    vg_space space = vg_responses_space(map);
    assert_int_equal(space.dimensions[0], 5);
    expect_near(space.affine[0][0], -2, 1e-6);
    expect_near(space.affine[1][3], -126, 1e-6);
    expect_near(space.affine[2][2], 2.5, 1e-6);
    vg_responses_close(map);
}

/* What the layers, the contrasts and the leakage report say is what results.h5 says. */
static void test_statistics_are_the_results(void **state)
{
    static double values[100];
    (void)state;
    MUST(make(&full, true));
    char *svg = read_text("figures/contrasts.svg");
    assert_int_equal(count_marks(svg, "class=\"cell ", values, 100), 2 * SAMPLE_REGIONS);
    for (int i = 0; i < 2 * SAMPLE_REGIONS; i++)
        expect_near(values[i], sample_difference(i / SAMPLE_REGIONS, i % SAMPLE_REGIONS), 1e-9);
    assert_int_equal(count_of(svg, "*</text>"), 1);
    free(svg);
    svg = read_text("figures/preferred.svg");
    assert_int_equal(count_marks(svg, "class=\"mean ", values, 100), 1); /* the best layer of the others does not pass */
    expect_near(values[0], 0.4, 1e-9);
    assert_int_equal(count_marks(svg, "class=\"unsure", values, 100), SAMPLE_REGIONS - 1);
    expect_near(values[1], 1.8, 1e-9);
    free(svg);
    svg = read_text("figures/correlation.svg");
    assert_int_equal(count_marks(svg, "class=\"mean ", values, 100), 1);
    expect_near(values[0], 0.6, 1e-9);
    assert_non_null(strstr(svg, "2 voxels: no r"));
    assert_non_null(strstr(svg, "p 0.125, spins 0.020<"));
    assert_null(strstr(svg, "No spins of the sphere"));
    free(svg);
    char *csv = read_text("tables/layer_correlation.csv");
    assert_non_null(strstr(csv, "model_a,name_a,model_b,name_b,voxels,r,null_mean,p,spin_mean,p_spin,spins\n"));
    assert_non_null(strstr(csv, ",activations,9,0.6,0.45,0.125,0.05,0.02,49\n"));
    free(csv);
    char *html = read_text("index.html"), *leakage = strstr(html, "id=\"leakage\"");
    assert_non_null(leakage);
    *strstr(leakage, "</p>") = '\0';
    for (int i = 0; i < full.subjects; i++)
        assert_non_null(strstr(leakage, sample_path("<td data-value=\"%s%s", i == 0 ? "17" : i == 1 ? "18" : "19", "\">")));
    assert_non_null(strstr(leakage, "data-value=\"-0.003\""));
    free(html);
}

/* Left and right stand side by side, and their mean is not drawn beside them. */
static void test_left_and_right(void **state)
{
    static double values[400];
    sample s = full;
    (void)state;
    s.sides = true;
    MUST(make(&s, true));
    char *svg = read_text("figures/regions.svg");
    assert_int_equal(count_marks(svg, "class=\"mean ", values, 400), 8 * SAMPLE_REGIONS);
    assert_int_equal(count_of(svg, ">STS</text>"), 4); /* once a panel */
    assert_int_equal(count_of(svg, ">L</text>"), 4);
    assert_int_equal(count_of(svg, ">R</text>"), 4);
    free(svg);
}

/* With a nuisance p is of unique variance: the answer speaks of that, and the null's band stands in its figure, not among scores. */
static void test_unique_is_what_is_tested(void **state)
{
    sample s = full;
    double most = -INFINITY;
    sample_space spaces[SAMPLE_MOST];
    (void)state;
    s.unique = true;
    MUST(make(&s, true));
    int count = sample_spaces(&s, spaces);
    for (int p = 0; p < count; p++)
        for (int g = 0; g < SAMPLE_REGIONS && strcmp(spaces[p].name, "rate_length") != 0; g++) {
            double mean = 0;
            for (int i = 0; i < s.subjects; i++)
                mean += sample_region_mean(&s, p, i, g) / s.subjects;
            most = fmax(most, mean / 10 - 0.02);
        }
    char *html = read_text("index.html"), *answer = strstr(html, "<ol class=\"answer\">"), *svg = read_text("figures/scores.svg");
    assert_non_null(answer);
    *strstr(answer, "</ol>") = '\0';
    assert_non_null(strstr(answer, "unique variance"));
    expect_near(strtod(strstr(answer, "data-value=\"") + 12, NULL), most, 1e-8);
    assert_non_null(strstr(answer, "That is not above chance"));
    assert_null(strstr(svg, "class=\"null\""));
    free(svg);
    free(html);
}

/* ---- incomplete results -------------------------------------------------------------------------------------------------------- */

static void page_says(const sample *s, const char *const *texts)
{
    MUST(make(s, false));
    char *html = read_text("index.html");
    for (; *texts != NULL; texts++)
        if (strstr(html, *texts) == NULL)
            fail_msg("the page does not say: %s", *texts);
    *strstr(html, "</main>") = '\0';
    assert_null(strstr(html, " nan")); /* what is not there is not called a number that is none */
    assert_null(strstr(html, ">nan"));
    free(html);
}

static void test_nan(void **state)
{
    (void)state;
    page_says(&(sample){.subjects = 2, .models = 1, .layers = 2, .nan = true, .null = true},
              (const char *const[]){"No score is a number", "missing-scores", "missing-regions", "missing-layers", "missing-brain",
                                    "missing-words", NULL});
}

static void test_one_subject(void **state)
{
    (void)state;
    page_says(&(sample){.subjects = 1, .models = 1, .layers = 2},
              (const char *const[]){"id=\"one-subject\"", "figure-scores", "No null was computed", NULL});
}

static void test_one_space(void **state)
{
    (void)state;
    page_says(&(sample){.subjects = 2, .models = 1},
              (const char *const[]){"id=\"one-space\"", "figure-scores", "missing-layers", "no control", NULL});
}

static void test_no_spins(void **state)
{
    sample s = full;
    (void)state;
    s.vertices = 0;
    page_says(&s,
              (const char *const[]){"figure-correlation", ">p 0.125<", "No spins of the sphere: they take responses on a surface", NULL});
}

static void test_unfinished(void **state)
{
    sample s = full;
    (void)state;
    s.unfinished = true;
    page_says(&s, (const char *const[]){"id=\"unfinished\"", "11 of 12 spaces are there", "figure-scores", "missing-profile", "preliminary",
                                        NULL});
}

static void test_not_above_chance(void **state)
{
    sample s = full;
    (void)state;
    s.subjects = 1;
    s.models = 1;
    s.layers = 0; /* one space, whose best region stays under .2 ... */
    MUST(make(&s, false));
    char *html = read_text("index.html");
    double most = -1;
    for (int g = 0; g < SAMPLE_REGIONS; g++)
        most = fmax(most, sample_region_mean(&s, 0, 0, g));
    assert_non_null(strstr(html, most > 0.2 ? "That is above chance" : "That is not above chance"));
    free(html);
}

static void test_bad_input(void **state)
{
    char path[128];
    (void)state;
    assert_int_equal(vg_report_write(folder, &(vg_report_options){0}), VG_INVALID);
    assert_non_null(strstr(vg_message(), "neither results.h5"));
    MUST(make(&full, true));
    snprintf(path, sizeof path, "%s/features.h5", folder);
    assert_int_equal(vg_report_write(path, &(vg_report_options){0}), VG_INVALID);
    assert_non_null(strstr(vg_message(), "no /subjects"));
    snprintf(path, sizeof path, "%s/lh.sample", folder);
    truncate(path, 60);
    assert_int_equal(vg_report_write(folder, &(vg_report_options){.surface = {path, NULL}}), VG_INVALID);
    assert_non_null(strstr(vg_message(), "cut off"));
    snprintf(path, sizeof path, "%s/results.h5.sum", folder);
    assert_int_equal(vg_report_write(folder, &(vg_report_options){.surface = {path, NULL}}), VG_INVALID);
    assert_non_null(strstr(vg_message(), "no surface"));
    snprintf(path, sizeof path, "%s/results.h5", folder);
    FILE *file = fopen(path, "r+b");
    fseek(file, 3000, SEEK_SET);
    fputs("damage", file);
    fclose(file);
    assert_int_equal(vg_report_write(folder, &(vg_report_options){0}), VG_INVALID);
}

int main(int argc, char **argv)
{
    if (argc > 2) { /* FOLDER VERTICES LAYERS */
        sample s = full;
        s.vertices = atoi(argv[2]);
        s.layers = argc > 3 ? atoi(argv[3]) : s.layers;
        sample_write(&s, argv[1]);
        return 0;
    }
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_halves),
                                       CASE(test_regions_are_the_results),
                                       CASE(test_scores_are_the_results),
                                       CASE(test_data_are_the_results),
                                       CASE(test_answer_is_the_results),
                                       CASE(test_text_stays_text),
                                       CASE(test_tables_are_the_figures),
                                       CASE(test_tables_are_the_results),
                                       CASE(test_marks_are_the_tables),
                                       CASE(test_maps_are_the_results),
                                       CASE(test_statistics_are_the_results),
                                       CASE(test_left_and_right),
                                       CASE(test_unique_is_what_is_tested),
                                       CASE(test_nan),
                                       CASE(test_one_subject),
                                       CASE(test_one_space),
                                       CASE(test_no_spins),
                                       CASE(test_unfinished),
                                       CASE(test_not_above_chance),
                                       CASE(test_bad_input)};
    return cmocka_run_group_tests_name("report: the page", tests, NULL, NULL);
}
