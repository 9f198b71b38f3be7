/* faithfulness: does a method's ranking of the K words say what the model used? Comprehensiveness: what f loses when the first of the
 * ranking go; sufficiency: what it loses when they alone stay (DeYoung et al. 2020, eq. 1 and 2, here among the K words, all that came
 * earlier being as it was), over 10, 20 .. 100 % of the words (AOPC: the mean over these), by `delete` and by `mask`, each less what a
 * random ranking of the same words gives. f is the study's target: by default the heard token's log-probability. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { FRACTIONS = 10, MEASURES = 2, KINDS = 2, EACH = KINDS * MEASURES * FRACTIONS };
static const char *const kinds[KINDS] = {"delete", "mask"};
static const char *const measures[MEASURES] = {"comprehensiveness", "sufficiency"};

/* What one word says of one ranking: f(x) - f(erased), (KINDS, MEASURES, FRACTIONS); NaN: nothing. */
typedef struct {
    double loss[KINDS][MEASURES][FRACTIONS];
} reading;

/* One model. Rankings: the study's outputs with a column a word. */
typedef struct {
    vg_comm *comm;
    const vg_study *study;
    vg_explained explained;
    vg_memory memory;
    int64_t model, every, rankings, words; /* words: of all stories */
    reading *readings;                     /* (rankings, 2, words): the method's own, and the random one beside it */
} job;

/* ---- which entries -------------------------------------------------------------------------------------------------------------- */

/* The study with those of its features that give a number a word; features: (feature_count), the caller's. */
static vg_status keep_words(const vg_study *study, vg_study *kept, vg_study_feature **features)
{
    *kept = *study;
    VG_TRY(VG_NEW(features, study->feature_count, "features"));
    kept->features = *features;
    kept->feature_count = 0;
    for (int64_t i = 0; i < study->feature_count; i++) {
        const vg_study_feature *feature = &study->features[i];
        if (*feature->method != '\0' && vg_space_scores_words(feature->method, strcmp(feature->by_word, "true") == 0))
            kept->features[kept->feature_count++] = *feature;
    }
    if (kept->feature_count > 0)
        return VG_OK;
    return vg_fail(VG_INVALID,
                   "%s: none of its features gives a number for each of the words before (gradient_norm, gradient_x_input, "
                   "integrated_gradients, erasure, layer_conductance by_word: true)",
                   study->path);
}

/* ---- one word ---------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    double score;
    int64_t column;
} ranked;

static int greater_first(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return a->column < b->column ? -1 : a->column > b->column;
}

/* How many of n words a fraction is: 10, 20 .. 100 %, rounded up. */
static int64_t count_of(int64_t fraction, int64_t n)
{
    return ((fraction + 1) * n + FRACTIONS - 1) / FRACTIONS;
}

/* gone (MEASURES * FRACTIONS, words, k), row `row` of it: the first of the ranking go, or all but them. order: best first (n). */
static void mark_sets(const ranked *order, int64_t n, int64_t words, int64_t k, int64_t row, uint8_t *gone)
{
    for (int64_t q = 0; q < FRACTIONS; q++)
        for (int64_t i = 0; i < n; i++) {
            bool first = i < count_of(q, n);
            gone[(q * words + row) * k + order[i].column] = first;
            gone[((FRACTIONS + q) * words + row) * k + order[i].column] = !first;
        }
}

/* ---- one block ------------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const job *j;
    vg_attribution *attribution;
    int64_t block, first_word, words, outputs; /* first_word: of the block, among all stories' words */
    const vg_output *output;
    vg_block_values room;
    uint8_t *gone;     /* (MEASURES * FRACTIONS, words, K) */
    int64_t *ranked;   /* (words) how many of the K words are there to be ranked */
    double *whole, *f; /* (words), (MEASURES * FRACTIONS, words) */
} chunk;

static void free_chunk(chunk *c)
{
    vg_block_values_free(c->attribution, &c->room);
    free(c->gone);
    free(c->ranked);
    free(c->whole);
    free(c->f);
}

static vg_status explain(chunk *c)
{
    int64_t widest = 1;
    VG_TRY(vg_block_values_create(c->attribution, c->words, &c->room));
    for (int64_t o = 0; o < c->outputs; o++)
        widest = c->output[o].columns > widest ? c->output[o].columns : widest;
    VG_TRY(VG_NEW(&c->gone, (int64_t)MEASURES * FRACTIONS * c->words * widest, "sets of words"));
    VG_TRY(VG_NEW(&c->ranked, c->words, "rankings"));
    VG_TRY(VG_NEW(&c->whole, c->words, "targets"));
    VG_TRY(VG_NEW(&c->f, (int64_t)MEASURES * FRACTIONS * c->words, "targets"));
    return vg_attribution_run(c->attribution, c->block, &c->room);
}

/* Whether all methods with as many columns have a value for this column of this word: they rank the same words. */
static bool is_common(const chunk *c, int64_t k, int64_t word, int64_t column)
{
    for (int64_t o = 0; o < c->outputs; o++)
        if (c->output[o].columns == k && c->room.valid[o][word * k + column] == 0)
            return false;
    return true;
}

/* Marks what goes of every word of the block: by the scores of an output, or by chance. */
static vg_status rank_words(const chunk *c, int64_t o, bool by_chance)
{
    int64_t k = c->output[o].columns;
    ranked *order;
    VG_TRY(VG_NEW(&order, k, "rankings"));
    memset(c->gone, 0, (size_t)(MEASURES * FRACTIONS * c->words * k));
    for (int64_t w = 0; w < c->words; w++) {
        int64_t n = 0;
        for (int64_t column = 0; column < k; column++) {
            uint64_t index = (uint64_t)((c->first_word + w) * k + column);
            if (is_common(c, k, w, column))
                order[n++] = (ranked){by_chance ? vg_random_uniform((uint64_t)c->j->study->seed, VG_RANDOM_RANKING, index)
                                                : (double)c->room.values[o][w * k + column],
                                      column};
        }
        qsort(order, (size_t)n, sizeof *order, greater_first);
        mark_sets(order, n, c->words, k, w, c->gone);
        c->ranked[w] = n;
    }
    free(order);
    return VG_OK;
}

static vg_status read_ranking(const chunk *c, int64_t o, bool by_chance, reading *readings)
{
    VG_TRY(rank_words(c, o, by_chance));
    for (int kind = 0; kind < KINDS; kind++) {
        VG_TRY(
            vg_attribution_erase(c->attribution, c->block, c->output[o].columns, kind == 1, MEASURES * FRACTIONS, c->gone, c->whole, c->f));
        for (int64_t w = 0; w < c->words; w++)
            for (int64_t i = 0; i < MEASURES * FRACTIONS; i++) {
                int64_t n = c->ranked[w];
                bool all_stay = i >= FRACTIONS && n > 0 && count_of(i - FRACTIONS, n) == n; /* nothing is erased */
                readings[c->first_word + w].loss[kind][i / FRACTIONS][i % FRACTIONS] =
                    c->whole[w] - (all_stay ? c->whole[w] : c->f[i * c->words + w]);
            }
    }
    return VG_OK;
}

/* Outputs of equally many columns share the random ranking. */
static vg_status read_output(const chunk *c, int64_t o)
{
    const job *j = c->j;
    reading *own = j->readings + 2 * o * j->words, *random = own + j->words;
    int64_t same = 0;
    VG_TRY(read_ranking(c, o, false, own));
    while (c->output[same].columns != c->output[o].columns)
        same++;
    if (same == o)
        return read_ranking(c, o, true, random);
    memcpy(random + c->first_word, j->readings + (2 * same + 1) * j->words + c->first_word, (size_t)c->words * sizeof *random);
    return VG_OK;
}

static vg_status read_block(job *j, int64_t story, int64_t block, int64_t words_before)
{
    const vg_word_block *blocks;
    chunk c = {.j = j, .attribution = j->explained.attributions[story], .block = block};
    vg_attribution_blocks(c.attribution, &blocks);
    c.outputs = vg_attribution_outputs(c.attribution, &c.output);
    c.words = blocks[block].count;
    c.first_word = words_before + blocks[block].first;
    vg_status status;
    VG_GO(explain(&c));
    for (int64_t o = 0; o < c.outputs; o++)
        VG_GO(read_output(&c, o));
    vg_progress_step(c.words);
done:
    free_chunk(&c);
    return status;
}

/* ---- all blocks -------------------------------------------------------------------------------------------------------------------------
 */

static bool is_mine(const job *j, int64_t unit)
{
    return unit % j->every == 0 && unit / j->every % vg_comm_ranks(j->comm) == vg_comm_rank(j->comm);
}

static vg_status read_blocks(job *j)
{
    const vg_word_block *blocks;
    int64_t unit = 0, before = 0, mine = 0;
    for (int64_t s = 0; s < j->study->story_count; s++) {
        int64_t count = vg_attribution_blocks(j->explained.attributions[s], &blocks);
        for (int64_t b = 0; b < count; b++, unit++)
            mine += is_mine(j, unit) ? blocks[b].count : 0;
    }
    vg_progress_begin("faithfulness", mine, "words");
    unit = 0;
    for (int64_t s = 0; s < j->study->story_count; s++) {
        int64_t count = vg_attribution_blocks(j->explained.attributions[s], &blocks);
        for (int64_t b = 0; b < count; b++, unit++)
            if (is_mine(j, unit)) {
                VG_TRY(read_block(j, s, b, before));
                VG_TRY(vg_comm_border(j->comm));
            }
        vg_attribution_rest(j->explained.attributions[s]);
        before += j->explained.passages[s].words;
    }
    vg_progress_end();
    return VG_OK;
}

static vg_status prepare(job *j, const vg_stories *stories, vg_device *device)
{
    const vg_output *outputs;
    VG_TRY(vg_explained_open(j->study, stories, device, j->model, j->memory, NULL, &j->explained));
    for (int64_t s = 0; s < j->study->story_count; s++)
        j->words += j->explained.passages[s].words;
    j->rankings = vg_attribution_outputs(j->explained.attributions[0], &outputs);
    VG_TRY(VG_NEW(&j->readings, 2 * j->rankings * j->words, "faithfulness"));
    double *all = (double *)j->readings;
    for (int64_t i = 0; i < 2 * j->rankings * j->words * EACH; i++)
        all[i] = NAN;
    return VG_OK;
}

/* Rank 0 gets the words of the others: a word was read by one rank, and is NaN on all others. */
static vg_status bring_together(job *j)
{
    double *mine = (double *)j->readings, *all = NULL;
    int64_t count = 2 * j->rankings * j->words * EACH;
    size_t *sizes;
    VG_AGREE(j->comm, VG_NEW(&sizes, vg_comm_ranks(j->comm), "ranks"));
    vg_status status = vg_comm_gather(j->comm, mine, (size_t)count * sizeof *mine, 0, (void **)&all, sizes);
    for (int64_t r = 1; status == VG_OK && all != NULL && r < vg_comm_ranks(j->comm); r++)
        for (int64_t i = 0; i < count; i++)
            mine[i] = isnan(mine[i]) ? all[r * count + i] : mine[i];
    free(all);
    free(sizes);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------------------------------------------------
 */

/* Mean over words, and its standard error, of a ranking's value, the random one's, and their difference. */
typedef struct {
    double value, random, difference, sem;
    int64_t words;
} summary;

/* fraction FRACTIONS: their mean (AOPC). */
static double value_of(const reading *r, int kind, int measure, int fraction)
{
    const double *loss = r->loss[kind][measure];
    double sum = 0;
    if (fraction < FRACTIONS)
        return loss[fraction];
    for (int q = 0; q < FRACTIONS; q++)
        sum += loss[q];
    return sum / FRACTIONS;
}

static summary summarize(const job *j, int64_t ranking, int kind, int measure, int fraction)
{
    const reading *own = j->readings + 2 * ranking * j->words, *random = own + j->words;
    summary s = {0};
    double square = 0;
    for (int64_t w = 0; w < j->words; w++) {
        double x = value_of(&own[w], kind, measure, fraction), y = value_of(&random[w], kind, measure, fraction);
        if (isnan(x) || isnan(y))
            continue;
        s.words++;
        s.value += x;
        s.random += y;
        square += (x - y) * (x - y);
    }
    double n = (double)s.words;
    s.value /= n;
    s.random /= n;
    s.difference = s.value - s.random;
    s.sem = s.words > 1 ? sqrt(fmax(square - n * s.difference * s.difference, 0) / (n * (n - 1))) : NAN;
    return s;
}

static void name_of(const job *j, int64_t ranking, char *name, size_t size)
{
    const vg_output *outputs;
    vg_attribution_outputs(j->explained.attributions[0], &outputs);
    snprintf(name, size, "%s/%s%s%s", j->study->models[j->model].name, outputs[ranking].name, *outputs[ranking].layer != '\0' ? "/" : "",
             outputs[ranking].layer);
}

static void print_table(const job *j, FILE *out)
{
    for (int64_t r = 0; r < j->rankings; r++) {
        char name[256];
        name_of(j, r, name, sizeof name);
        fprintf(out, "%-36s", name);
        for (int kind = 0; kind < KINDS; kind++)
            for (int measure = 0; measure < MEASURES; measure++) {
                const summary s = summarize(j, r, kind, measure, FRACTIONS);
                fprintf(out, "  %8.4f +- %.4f", s.difference, s.sem);
            }
        fprintf(out, "  %6lld\n", (long long)summarize(j, r, 0, 0, FRACTIONS).words);
    }
}

static void print_csv(const job *j, FILE *out)
{
    const vg_output *outputs;
    vg_attribution_outputs(j->explained.attributions[0], &outputs);
    for (int64_t r = 0; r < j->rankings; r++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int measure = 0; measure < MEASURES; measure++)
                for (int q = 0; q <= FRACTIONS; q++) {
                    const summary s = summarize(j, r, kind, measure, q);
                    char fraction[16] = "aopc";
                    if (q < FRACTIONS)
                        snprintf(fraction, sizeof fraction, "%d", 100 * (q + 1) / FRACTIONS);
                    fprintf(out, "%s,%s,%s,%lld,%s,%s,%s,%.9g,%.9g,%.9g,%.9g,%lld\n", j->study->models[j->model].name, outputs[r].name,
                            outputs[r].layer, (long long)outputs[r].columns, kinds[kind], measures[measure], fraction, s.value, s.random,
                            s.difference, s.sem, (long long)s.words);
                }
}

static void print_head(const vg_study *study, FILE *out, FILE *csv)
{
    fprintf(
        out,
        "Change of %s when some of the K words before each word are erased, all that came earlier being as it was: mean over\n"
        "10, 20 .. 100 %% of the words (AOPC), less that of a random ranking of the same words; mean over words +- its standard error.\n"
        "comprehensiveness: the first of the ranking go (greater is better); sufficiency: they alone stay (smaller is better).\n\n"
        "%-36s  %-40s  %-40s  %6s\n%-36s  %-18s  %-20s  %-18s  %-20s\n",
        study->target.of, "", kinds[0], kinds[1], "words", "method", measures[0], measures[1], measures[0], measures[1]);
    if (csv != NULL)
        fprintf(csv, "model,method,layer,attributed,erase,measure,percent,value,random,difference,sem,words\n");
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------------------
 */

static vg_status run_model(vg_comm *comm, const vg_study *study, const vg_stories *stories, vg_device *device, int64_t model, int64_t every,
                           FILE *out, FILE *csv)
{
    job j = {.comm = comm, .study = study, .model = model, .every = every};
    vg_status status;
    VG_GO(vg_memory_plan(comm, study, &j.memory));
    VG_AGREE_GO(comm, prepare(&j, stories, device));
    VG_AGREE_GO(comm, read_blocks(&j));
    VG_GO(bring_together(&j));
    if (vg_comm_rank(comm) == 0)
        print_table(&j, out);
    if (vg_comm_rank(comm) == 0 && csv != NULL)
        print_csv(&j, csv);
done:
    free(j.readings);
    vg_explained_free(study, &j.explained);
    return status;
}

static vg_status begin(vg_comm *comm, const vg_study *study, vg_study *kept, vg_study_feature **features, vg_stories *stories,
                       vg_device **device)
{
    VG_TRY(keep_words(study, kept, features));
    VG_TRY(vg_device_open(study->device, vg_comm_local_rank(comm), vg_thread_count(study, comm), device));
    return vg_stories_open(kept, stories);
}

vg_status vg_study_faithfulness(vg_comm *comm, const vg_study *study, int64_t every, FILE *out, FILE *csv)
{
    vg_study kept;
    vg_study_feature *features = NULL;
    vg_stories stories = {0};
    vg_device *device = NULL;
    vg_status status;
    VG_AGREE_GO(comm, begin(comm, study, &kept, &features, &stories, &device));
    if (vg_comm_rank(comm) == 0)
        print_head(study, out, csv);
    for (int64_t m = 0; m < study->model_count; m++)
        VG_GO(run_model(comm, &kept, &stories, device, m, every, out, csv));
done:
    vg_stories_free(study, &stories);
    if (device != NULL)
        vg_device_close(device);
    free(features);
    return status;
}
