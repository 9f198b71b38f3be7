/* page: index.html, one file that needs no other and no network: the table of its sections, each a figure, an interactive part, or a line
 * that says what is missing. Scripts are ours, d3 and three.js, known to the browser by their checksums; data stand in JSON, which nothing
 * runs. */
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* A section has some of these; `about` explains how to read it. */
static const struct {
    const char *id, *title, *about;
    const char *figures[4];   /* names of files, as in the table below */
    const char *data;         /* "brain", "words": an interactive part */
    const char *maps, *where; /* maps of this kind of the brain's; and a sentence, where there are none */
} sections[] = {
    {"scores", "Scores by method and model",
     "How well each explanation predicts responses it was not fitted on. A dot is a subject, a diamond the mean with its within-subject "
     "standard error. Where a feature has layers, its best layer over all voxels is shown, which flatters it. The grey band ends where 95 "
     "% of the shifted stories stay below, with all spaces and regions at once; with a nuisance, unique variance is tested and has the "
     "band, "
     "further down. The broken line is the noise ceiling.",
     .figures = {"scores"}},
    {"regions", "Models across regions",
     "Mean over subjects of the region's mean score, and its standard error; left and right side by side where the atlas has both. A star: "
     "what is tested (unique variance where there is a nuisance, else the score) has a p of at most .05 against the largest of all spaces "
     "and regions. Broken lines are noise ceilings.",
     .figures = {"regions"}},
    {"brain", "Maps on the brain",
     "Mean over subjects at every vertex; with a null at first those alone that pass it. Drag to turn, wheel or + and \342\210\222 to come "
     "nearer, arrow keys "
     "to turn. Lines are the borders of regions; the pointer reads the value.",
     .data = "brain", .maps = "score", .where = "There is no map of scores."},
    {"models", "Models and methods compared",
     "The same explanation under two models, paired by subject; and the differences that the study asked for (contrasts). A star: p of at "
     "most .05 against the same shifts of both, two-sided, not corrected for the number of pairs.",
     .figures = {"models", "contrasts"}, .maps = "difference", .where = "There is no map of a contrast."},
    {"layers", "Layers",
     "Mean score of each layer in each region: the outlined layer is the largest one, whether or not it is above chance. Below it, the "
     "centre of mass of the scores over layers less their null mean: full where the best layer of the region passes its null, hollow where "
     "not. Then what a layer's influence on the prediction says of its score, and whether features prefer the same layers, against shifted "
     "stories and, on a surface, against the same layers elsewhere on the sphere (spins).",
     .figures = {"layers", "preferred", "influence", "correlation"}, .maps = "layer",
     .where = "There is no map of preferred layers: it takes a feature with layers, and null: {shifts: N}."},
    {"profile", "Context", "Which of the preceding words carries the score.", .figures = {"profile"}},
    {"families", "Explanation against representation",
     "Where explanations predict better than the model's activations, where they do not, and where it is a tie: a win needs a q below the "
     "study's level against the same shifts of both.",
     .figures = {"families", "unique"}, .maps = "winner",
     .where = "There is no map of winners: it takes two families and null: {shifts: N}."},
    {"words", "The words",
     "The story as it was heard. Choose a word: what went before is coloured by how much it explains the model's prediction "
     "of that word.",
     .data = "words"},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

static const struct {
    const char *name;
    report_drawer *draw;
} figures[] = {{"scores", report_draw_scores},       {"regions", report_draw_regions},
               {"models", report_draw_models},       {"contrasts", report_draw_contrasts},
               {"layers", report_draw_layers},       {"preferred", report_draw_preferred},
               {"influence", report_draw_influence}, {"correlation", report_draw_correlation},
               {"profile", report_draw_profile},     {"families", report_draw_families},
               {"unique", report_draw_unique}};
enum { FIGURES = sizeof figures / sizeof *figures };

static const struct {
    const char *name;
    vg_status (*write)(const report *r, FILE *json, const char **missing);
} datas[] = {{"brain", report_brain}, {"words", report_words}};

/* ---- figures ----------------------------------------------------------------------------------------------------------------- */

/* The drawing without its own style sheet: the page has one for light and dark. */
static void inline_figure(const char *name, const report_buffer *svg, FILE *html)
{
    const char *style = strstr(svg->text, "<style>"), *end = style != NULL ? strstr(style, "</style>") : NULL;
    fprintf(html, "<figure id=\"figure-%s\"><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"figure, scrolls sideways\">",
            name);
    if (end != NULL) {
        fwrite(svg->text, 1, (size_t)(style - svg->text), html);
        fputs(end + strlen("</style>"), html);
    }
    fprintf(html,
            "</div><figcaption><a href=\"figures/%s.svg\">figures/%s.svg</a> \302\267 <a href=\"tables/figure_%s.csv\">tables/figure_%s.csv"
            "</a></figcaption></figure>\n",
            name, name, name, name);
}

static vg_status keep_figure(const char *folder, const char *name, const report_buffer *svg, const report_buffer *csv)
{
    char file[80];
    snprintf(file, sizeof file, "figures/%s.svg", name);
    VG_TRY(report_write_file(folder, file, svg->text, svg->size));
    snprintf(file, sizeof file, "tables/figure_%s.csv", name);
    return report_write_file(folder, file, csv->text, csv->size);
}

static vg_status write_figure(const report *r, const char *folder, size_t f, FILE *html)
{
    report_buffer svg, csv = {0};
    const char *missing = NULL;
    vg_status status;
    VG_TRY(report_buffer_open(&svg));
    VG_GO(report_buffer_open(&csv));
    VG_GO(figures[f].draw(r, svg.stream, csv.stream, &missing));
    VG_GO(report_buffer_close(&svg));
    VG_GO(report_buffer_close(&csv));
    if (missing != NULL) {
        fprintf(html, "<p class=\"missing\" id=\"missing-%s\">%s</p>\n", figures[f].name, missing);
        goto done;
    }
    inline_figure(figures[f].name, &svg, html);
    VG_GO(keep_figure(folder, figures[f].name, &svg, &csv));
done:
    report_buffer_free(&svg);
    report_buffer_free(&csv);
    return status;
}

static vg_status write_data(const report *r, const char *name, FILE *html)
{
    report_buffer json;
    const char *missing = NULL;
    vg_status status;
    VG_TRY(report_buffer_open(&json));
    for (size_t d = 0; d < sizeof datas / sizeof *datas; d++)
        if (strcmp(datas[d].name, name) == 0)
            VG_GO(datas[d].write(r, json.stream, &missing));
    VG_GO(report_buffer_close(&json));
    if (missing != NULL)
        fprintf(html, "<p class=\"missing\" id=\"missing-%s\">%s</p>\n", name, missing);
    else
        fprintf(html, "<script type=\"application/json\" id=\"%s-data\">%s</script>\n", name, json.text);
done:
    report_buffer_free(&json);
    return status;
}

static vg_status write_section(const report *r, const char *folder, int s, FILE *html)
{
    fprintf(html, "<section id=\"%s\"><h2>%s</h2>\n<p class=\"about\">%s</p>\n", sections[s].id, sections[s].title, sections[s].about);
    for (int i = 0; i < 4 && sections[s].figures[i] != NULL; i++)
        for (size_t f = 0; f < FIGURES; f++)
            if (strcmp(figures[f].name, sections[s].figures[i]) == 0)
                VG_TRY(write_figure(r, folder, f, html));
    if (sections[s].data != NULL)
        VG_TRY(write_data(r, sections[s].data, html));
    if (sections[s].maps != NULL)
        fprintf(html, "<div class=\"view maps\" data-kind=\"%s\" data-where=\"%s\"></div>\n", sections[s].maps, sections[s].where);
    if (sections[s].data != NULL && strcmp(sections[s].data, "words") == 0)
        fputs("<div id=\"words-view\" class=\"view\"></div>\n", html);
    fputs("</section>\n", html);
    return VG_OK;
}

/* ---- the frame ----------------------------------------------------------------------------------------------------------------- */

static void write_checksum(FILE *html, const char *sha256)
{
    uint8_t bytes[32];
    for (int i = 0; i < 32; i++) {
        const char pair[3] = {sha256[2 * i], sha256[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    fputs(" 'sha256-", html);
    encode_base64(html, bytes, sizeof bytes);
    fputc('\'', html);
}

/* No network, no frame, no form; of scripts and styles those alone that were built into voxgrad. */
static void write_policy(FILE *html)
{
    fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
          "style-src",
          html);
    write_checksum(html, report_asset_get(ASSET_STYLE).sha256);
    fputs("; script-src", html);
    for (int a = ASSET_SCRIPT; a <= ASSET_THREE; a++)
        write_checksum(html, report_asset_get((report_asset_name)a).sha256);
    fputs("\">\n", html);
}

static void write_asset(FILE *html, const char *open, report_asset_name name, const char *close)
{
    report_asset asset = report_asset_get(name);
    fputs(open, html);
    fwrite(asset.text, 1, asset.size, html);
    fputs(close, html);
}

static void write_head(const report *r, FILE *html)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n", html);
    write_policy(html);
    fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light "
          "dark\">\n<title>",
          html);
    encode_html(html, r->title);
    write_asset(html, " \302\267 voxgrad</title>\n<style>", ASSET_STYLE, "</style>\n</head>\n<body>\n");
}

static void write_notices(const report *r, FILE *html)
{
    int64_t whole = 0;
    for (int64_t i = 0; i < r->space_count; i++)
        whole += r->spaces[i].whole;
    if (r->simulated)
        fputs("<p class=\"notice\" id=\"simulated\">SIMULATED responses with a known truth, not a brain.</p>\n", html);
    if (r->unfinished)
        fprintf(html,
                "<p class=\"notice\" id=\"unfinished\">This study is unfinished: %lld of %lld spaces are there. Means are preliminary; "
                "p-values, "
                "ceilings and group tables are written when it ends.</p>\n",
                (long long)whole, (long long)r->space_count);
    if (r->subject_count == 1)
        fputs("<p class=\"notice\" id=\"one-subject\">One subject: no standard error over subjects, and nothing is said about other "
              "listeners.</p>\n",
              html);
    if (r->space_count == 1)
        fputs("<p class=\"notice\" id=\"one-space\">One feature space: there is nothing to compare it with.</p>\n", html);
}

static vg_status write_body(const report *r, const char *folder, FILE *html)
{
    fputs("<header><h1>", html);
    encode_html(html, r->title);
    fputs("</h1>\n<nav aria-label=\"sections\">", html);
    for (int s = 0; s < SECTIONS; s++)
        fprintf(html, "<a href=\"#%s\">%s</a> ", sections[s].id, sections[s].title);
    fputs("<a href=\"#quality\">Quality</a></nav></header>\n<main>\n", html);
    write_notices(r, html);
    fputs("<section id=\"answer\">", html);
    VG_TRY(report_answer(r, html));
    fputs("</section>\n", html);
    for (int s = 0; s < SECTIONS; s++)
        VG_TRY(write_section(r, folder, s, html));
    fputs("<section id=\"quality\"><h2>Quality</h2>\n", html);
    VG_TRY(report_quality(r, html));
    fputs("</section>\n</main>\n", html);
    return VG_OK;
}

static void write_licence(FILE *html, const char *title, report_asset_name name)
{
    report_asset asset = report_asset_get(name);
    fprintf(html, "<h3>%s</h3><pre>", title);
    for (size_t i = 0; i < asset.size; i++) {
        const char one[2] = {asset.text[i], '\0'};
        encode_html(html, one);
    }
    fputs("</pre>\n", html);
}

static void write_foot(FILE *html)
{
    fputs("<footer><details><summary>Licences of the libraries in this page</summary>\n", html);
    write_licence(html, "d3", ASSET_D3_LICENCE);
    write_licence(html, "three.js", ASSET_THREE_LICENCE);
    fputs("</details></footer>\n", html);
    write_asset(html, "<script>", ASSET_D3, "</script>\n");
    write_asset(html, "<script>", ASSET_THREE, "</script>\n");
    write_asset(html, "<script>", ASSET_SCRIPT, "</script>\n</body></html>\n");
}

vg_status report_page(const report *r, const char *folder)
{
    report_buffer html;
    VG_TRY(report_buffer_open(&html));
    write_head(r, html.stream);
    vg_status status = write_body(r, folder, html.stream);
    if (status == VG_OK) {
        write_foot(html.stream);
        status = report_buffer_close(&html);
    }
    if (status == VG_OK)
        status = report_write_file(folder, "index.html", html.text, html.size);
    report_buffer_free(&html);
    return status;
}
