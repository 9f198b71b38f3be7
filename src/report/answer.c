/* answer: the question, and the answer in three sentences that are computed: which explanation predicts best and where, what the controls
 * reach there, how sure one can be. Where nothing is above chance, that comes first. */
#include <math.h>
#include <string.h>

#include "report.h"

typedef struct {
    int64_t space, region;
} place;

static place best_place(const report *r, bool control, int64_t region)
{
    place best = {-1, -1};
    for (int64_t i = 0; i < r->space_count; i++)
        for (int64_t g = 0; g < r->region_count; g++) {
            double tested = report_cell_at(r, i, g)->tested;
            if (r->spaces[i].control != control || (region >= 0 && g != region) || !isfinite(tested))
                continue;
            if (best.space < 0 || tested > report_cell_at(r, best.space, best.region)->tested)
                best = (place){i, g};
        }
    return best;
}

static void number(FILE *html, const char *format, double value)
{
    fputs("<b data-value=\"", html);
    encode_number(html, value);
    fputs("\">", html);
    fprintf(html, format, value);
    fputs("</b>", html);
}

static void name(FILE *html, const char *text)
{
    fputs("<b>", html);
    encode_html(html, text);
    fputs("</b>", html);
}

/* " ± 0.002 (standard error over 3 subjects)", or why there is none. */
static void say_error(const report_cell *cell, double sem, FILE *html)
{
    if (!isfinite(sem)) {
        fprintf(html, " (%s)", cell->subjects == 1 ? "one subject: there is no standard error over subjects" : "no standard error");
        return;
    }
    fputs(" \302\261 ", html);
    number(html, "%.3f", sem);
    fprintf(html, " (standard error over %lld subjects)", (long long)cell->subjects);
}

static void say_best(const report *r, place best, FILE *html)
{
    const report_cell *cell = report_cell_at(r, best.space, best.region);
    fprintf(html, "<li>Of %lld feature spaces of %lld model%s, ", (long long)r->space_count, (long long)r->model_count,
            r->model_count == 1 ? "" : "s");
    name(html, r->spaces[best.space].label);
    fputs(r->unique ? " explains most beyond the nuisance: unique variance r\302\262 = " : " predicts best: mean r = ", html);
    number(html, "%.3f", cell->tested);
    say_error(cell, cell->tested_sem, html);
    fputs(" in ", html);
    name(html, r->regions[best.region]);
    fputs(r->unique && cell->tested <= 0 ? "; not above 0, so it adds nothing to the nuisance.</li>\n" : ".</li>\n", html);
}

static void say_controls(const report *r, place best, FILE *html)
{
    place control = best_place(r, true, best.region);
    double there = report_cell_at(r, best.space, best.region)->mean;
    if (r->unique) {
        fputs("<li>With the nuisance left in, its score there is r = ", html);
        number(html, "%.3f", there);
        fputs(", which says nothing of how much of it the nuisance explains as well.</li>\n", html);
        return;
    }
    if (control.space < 0) {
        fputs("<li>The study has no control among its features (<code>rate_length</code>, <code>position</code>, <code>static</code>, "
              "<code>random</code>): whether this is more than word rate is not known.</li>\n",
              html);
        return;
    }
    double controls = report_cell_at(r, control.space, control.region)->mean;
    fputs("<li>The best control there, ", html);
    name(html, r->spaces[control.space].label);
    fputs(", reaches ", html);
    number(html, "%.3f", controls);
    fprintf(html, ": the explanation predicts %s by ", there > controls ? "better" : "worse or no better,");
    number(html, "%+.3f", there - controls);
    fputs("; a difference of two scores is no unique variance (<code>nuisance:</code> makes it).</li>\n", html);
}

/* The smallest p that any explanation has against the largest of all spaces and regions. */
static void say_chance(const report *r, place best, FILE *html)
{
    const report_cell *cell = report_cell_at(r, best.space, best.region);
    if (r->shifts == 0 || !isfinite(cell->p_largest)) {
        fputs("<li>No null was computed, so nothing here is called above chance: <code>null: {shifts: N}</code> makes one.</li>\n", html);
        return;
    }
    fputs(cell->p_largest <= 0.05 ? "<li>That is above chance: p = " : "<li><strong>That is not above chance</strong>: p = ", html);
    number(html, "%.3g", cell->p_largest);
    fprintf(html,
            " against the largest of all spaces and regions in %lld shifts of the responses against the story (the smallest p there can be "
            "is %.2g)",
            (long long)r->shifts, 1.0 / (double)(r->shifts + 1));
    fputs(cell->p_largest <= 0.05 ? ".</li>\n" : "; so no explanation of this study is.</li>\n", html);
}

vg_status report_answer(const report *r, FILE *html)
{
    place best = best_place(r, false, -1);
    bool controls_alone = best.space < 0;
    fputs("<p class=\"question\">Which explanation of the language model predicts which part of the brain?</p>\n", html);
    if (controls_alone)
        best = best_place(r, true, -1);
    if (best.space < 0) {
        fprintf(html, "<p class=\"notice\" id=\"nothing\">%s</p>\n",
                r->unfinished ? "No space has been fitted yet: the study is still running."
                              : "No score is a number: every voxel of every space is NaN, so there is nothing to compare. Look at the "
                                "voxels under Quality.");
        return VG_OK;
    }
    if (controls_alone)
        fputs("<p class=\"notice\">The study has controls alone and no explanation of a model.</p>\n", html);
    fputs("<ol class=\"answer\">\n", html);
    say_best(r, best, html);
    if (!controls_alone)
        say_controls(r, best, html);
    say_chance(r, best, html);
    fputs("</ol>\n", html);
    return VG_OK;
}
