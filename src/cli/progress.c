/* progress: subcommands about unfinished work: status, merge. Neither starts MPI. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* ---- status ------------------------------------------------------------------------------------------------------------------------ */

/* One rank's share of a journal. */
typedef struct {
    int64_t blocks;
    double took, last;
} rank_work;

static void print_duration(double seconds)
{
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        printf("%ld h %ld min", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        printf("%ld min %ld s", whole / 60, whole % 60);
    else
        printf("%ld s", whole);
}

static int compare_numbers(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, compare_numbers);
    return count > 0 ? values[count / 2] : 0;
}

/* Ranks whose blocks take half as long again as the others', by the median over ranks. */
static vg_status print_slow(const rank_work *ranks, int64_t count)
{
    double *means;
    int64_t n = 0;
    VG_TRY(VG_NEW(&means, count, "ranks"));
    for (int64_t r = 0; r < count; r++)
        if (ranks[r].blocks > 0)
            means[n++] = ranks[r].took / (double)ranks[r].blocks;
    double usual = median(means, n);
    free(means);
    for (int64_t r = 0; r < count && n > 2; r++)
        if (ranks[r].blocks > 1 && ranks[r].took / (double)ranks[r].blocks > 1.5 * usual)
            printf("  slow: rank %lld, %.2f s a block; half of the ranks need %.2f s or less\n", (long long)r,
                   ranks[r].took / (double)ranks[r].blocks, usual);
    return VG_OK;
}

/* Blocks since the run that is at work began: an earlier one's say nothing of the rate. */
static vg_status print_rate(const vg_store_block *list, int64_t count, int64_t blocks, double began)
{
    int64_t most = 0, recent = 0;
    double last = began;
    rank_work *ranks;
    for (int64_t i = 0; i < count; i++)
        most = list[i].rank >= most ? list[i].rank + 1 : most;
    VG_TRY(VG_NEW(&ranks, most, "ranks"));
    for (int64_t i = 0; i < count; i++) {
        if (list[i].ended < began)
            continue;
        recent++;
        last = list[i].ended > last ? list[i].ended : last;
        ranks[list[i].rank].blocks++;
        ranks[list[i].rank].took += list[i].took;
    }
    vg_status status = VG_OK;
    if (recent > 0 && last > began) {
        double rate = (double)recent / (last - began);
        printf("  rate: %.3g blocks/s; left: ", rate);
        print_duration((double)(blocks - count) / rate);
        double ago = difftime(time(NULL), (time_t)last);
        printf("; last block %.0f s ago\n", ago > 0 ? ago : 0.0);
        status = print_slow(ranks, most);
    }
    free(ranks);
    return status;
}

/* "2026-01-31T12:00:00Z" as Unix time; 0 where it is none. */
static double parse_time(const char *text)
{
    struct tm utc = {0};
    return text != NULL && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc) != NULL ? (double)timegm(&utc) : 0;
}

/* features or fit: finished, at work, or neither. */
static vg_status print_stage(const char *folder, const char *name, const json_t *note, bool *found)
{
    const json_t *entry = json_object_get(note, strcmp(name, "features") == 0 ? "features" : "fit");
    const char *began = json_string_value(json_object_get(entry, "began")), *ended = json_string_value(json_object_get(entry, "ended"));
    char *path;
    vg_store_block *list;
    int64_t count, blocks;
    VG_TRY(vg_format(&path, "%s/%s.h5", folder, name));
    vg_status status = VG_OK;
    if (vg_store_unfinished(path)) {
        *found = true;
        status = vg_store_progress(path, &list, &count, &blocks);
        if (status == VG_OK) {
            printf("%s: %lld of %lld blocks, %.1f %%", name, (long long)count, (long long)blocks,
                   blocks > 0 ? 100.0 * (double)count / (double)blocks : 100.0);
            if (began != NULL)
                printf("; %lld ranks since %s", (long long)json_integer_value(json_object_get(entry, "ranks")), began);
            printf("\n");
            status = print_rate(list, count, blocks, parse_time(began));
            free(list);
        }
    } else if (access(path, R_OK) == 0) {
        *found = true;
        printf("%s: done", name);
        if (ended != NULL)
            printf(", %s, %.1f s on %lld ranks", ended, json_real_value(json_object_get(entry, "seconds")),
                   (long long)json_integer_value(json_object_get(entry, "ranks")));
        printf("\n");
    }
    free(path);
    return status;
}

/* Who holds the folder, as the lock's words say. */
static vg_status print_lock(const char *folder)
{
    char *path, *text;
    size_t size;
    VG_TRY(vg_format(&path, "%s/voxgrad.lock", folder));
    if (access(path, R_OK) == 0 && vg_text_read(path, &text, &size) == VG_OK) {
        vg_lines lines = {.path = path, .text = text, .size = size};
        printf("held by");
        for (const char *between = " "; vg_lines_next(&lines); between = ", ")
            printf("%s%.*s", between, (int)lines.length, lines.line);
        printf("\n");
        free(text);
    }
    free(path);
    return VG_OK;
}

static vg_status print_status(const char *folder)
{
    char *path;
    bool found = false;
    VG_TRY(vg_format(&path, "%s/run.json", folder));
    json_t *note = json_load_file(path, 0, NULL);
    free(path);
    vg_status status = print_stage(folder, "features", note, &found);
    if (status == VG_OK)
        status = print_stage(folder, "results", note, &found);
    json_decref(note);
    VG_TRY(status);
    if (!found)
        return vg_fail(VG_INVALID, "%s: there is neither finished nor unfinished work of voxgrad here", folder);
    return print_lock(folder);
}

vg_status vg_command_status(int argc, char **argv)
{
    static const vg_command_help help = {
        "status DIR",
        "Prints how far the work in an output folder is: blocks done, rate, time left, slow ranks, who is at work.\n"
        "Reads the journal and run.json alone; never starts MPI.",
        "  voxgrad status results/demo\n  watch -n 60 voxgrad status results/demo\n", 1, false};
    const vg_option options[] = {{0}};
    bool proceed;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    return proceed ? print_status(argv[0]) : VG_OK;
}

/* ---- merge -------------------------------------------------------------------------------------------------------------------------- */

vg_status vg_command_merge(int argc, char **argv)
{
    static const vg_command_help help = {
        "merge OUT.h5 IN.h5.part...",
        "Puts the parts that array tasks made (features --part, --only) together: bitwise the file that one run writes.\n"
        "Parts of another plan, and blocks that are in two of them, are refused. Where blocks are missing, OUT.h5.part is made,\n"
        "and \"voxgrad features\" goes on with it (exit code 4).",
        "  voxgrad features --part 1/2 study.yaml && voxgrad features --part 2/2 study.yaml\n"
        "  voxgrad merge results/features.h5 results/part-*/features.h5.part\n",
        -2, false};
    const vg_option options[] = {{0}};
    bool proceed;
    int64_t whole, blocks;
    VG_TRY(vg_command_parse(&help, options, argc, argv, &proceed));
    if (!proceed)
        return VG_OK;
    int count = 0;
    while (argv[count] != NULL)
        count++;
    VG_TRY(vg_store_merge(argv[0], (const char *const *)argv + 1, count - 1, &whole, &blocks));
    if (whole < blocks)
        return vg_fail(VG_INTERRUPTED,
                       "%s.part: has %lld of %lld blocks; the missing ones are done by the command that made the parts, "
                       "without --part or --only",
                       argv[0], (long long)whole, (long long)blocks);
    vg_log(VG_LOG_INFO, "merge: %lld blocks of %d parts: %s", (long long)blocks, count - 1, argv[0]);
    return VG_OK;
}
