/* fit_regions: which voxels make which region, subject by subject. */
#include <stdlib.h>
#include <string.h>

#include "fit.h"

static vg_status read_labels(const vg_study *study, char ***labels, int64_t *count)
{
    char *text;
    size_t size;
    VG_TRY(vg_text_read(study->atlas.columns_file, &text, &size));
    vg_lines lines = {.path = study->atlas.columns_file, .text = text, .size = size};
    int64_t total = 0;
    while (vg_lines_next(&lines))
        total++;
    vg_status status = VG_NEW(labels, total, "labels");
    lines = (vg_lines){.path = study->atlas.columns_file, .text = text, .size = size};
    while (status == VG_OK && vg_lines_next(&lines)) {
        status = vg_format(&(*labels)[*count], "%.*s", (int)lines.length, lines.line);
        *count += status == VG_OK;
    }
    free(text);
    return status;
}

/* Labels may repeat: columns of one label are one region. */
static vg_status label_atlas(const fit_subject *subject, char **labels, int64_t count, vg_atlas *atlas)
{
    if (count != subject->voxels)
        return vg_fail(VG_INVALID, "subject %s has %lld columns, and atlas.columns labels %lld", subject->study->name,
                       (long long)subject->voxels, (long long)count);
    VG_TRY(VG_NEW(&atlas->labels, count, "labels"));
    VG_TRY(VG_NEW(&atlas->names, count, "labels"));
    atlas->voxels = count;
    for (int64_t v = 0; v < count; v++) {
        int64_t n = v > 0 && strcmp(labels[v], labels[v - 1]) == 0 ? atlas->labels[v - 1] : 0;
        while (n < atlas->name_count && strcmp(atlas->names[n], labels[v]) != 0)
            n++;
        if (n == atlas->name_count) {
            VG_TRY(vg_store_name_check(labels[v], strlen(labels[v]), "region"));
            VG_TRY(vg_format(&atlas->names[n], "%s", labels[v]));
            atlas->name_count++;
        }
        atlas->labels[v] = (int32_t)n;
    }
    return VG_OK;
}

/* The study's rules; a label is looked for in one hemisphere, where the study says so and the label does not. */
static vg_status make_rule(const vg_study *study, const vg_study_region *region, vg_region_rule *rule)
{
    const char *side = strcmp(study->atlas.region_hemisphere, "left") == 0    ? "lh:"
                       : strcmp(study->atlas.region_hemisphere, "right") == 0 ? "rh:"
                                                                              : "";
    char **labels;
    VG_TRY(VG_NEW(&labels, region->member_count + 1, "regions"));
    *rule = (vg_region_rule){region->name, (const char *const *)labels};
    for (int64_t m = 0; m < region->member_count; m++) {
        bool sided = strncmp(region->members[m], "lh:", 3) == 0 || strncmp(region->members[m], "rh:", 3) == 0;
        VG_TRY(vg_format(&labels[m], "%s%s", sided ? "" : side, region->members[m]));
    }
    return VG_OK;
}

static void free_rules(vg_region_rule *rules, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t m = 0; rules[i].labels != NULL && rules[i].labels[m] != NULL; m++)
            free((void *)rules[i].labels[m]);
        free((void *)rules[i].labels);
    }
    free(rules);
}

static vg_status regions_by_rules(const vg_study *study, fit_subject *subject)
{
    vg_region_rule *rules;
    VG_TRY(VG_NEW(&rules, study->atlas.region_count, "regions"));
    vg_status status = VG_OK;
    for (int64_t i = 0; status == VG_OK && i < study->atlas.region_count; i++)
        status = make_rule(study, &study->atlas.regions[i], &rules[i]);
    if (status == VG_OK)
        status = vg_regions_create(&subject->atlas, rules, study->atlas.region_count, &subject->regions);
    free_rules(rules, study->atlas.region_count);
    return status == VG_OK ? VG_OK : vg_fail_within(status, "atlas.regions: ");
}

static bool looks_destrieux(const vg_atlas *atlas)
{
    for (int64_t i = 0; i < atlas->name_count; i++)
        if (strcmp(atlas->names[i], "G_temp_sup-G_T_transv") == 0)
            return true;
    return false;
}

/* Of the language regions of the Destrieux atlas those that have voxels here; of one hemisphere, where the study says so. */
static int64_t destrieux(const vg_study *study, const vg_atlas *atlas, vg_region_rule *rules)
{
    int64_t all = vg_destrieux_rules(atlas, rules), count = 0;
    const char *side = strcmp(study->atlas.region_hemisphere, "left") == 0    ? " lh"
                       : strcmp(study->atlas.region_hemisphere, "right") == 0 ? " rh"
                                                                              : "";
    for (int64_t i = 0; i < all; i++) {
        size_t length = strlen(rules[i].name), end = strlen(side);
        vg_regions alone = {0};
        if (length < end || strcmp(rules[i].name + length - end, side) != 0)
            continue;
        if (vg_regions_create(atlas, &rules[i], 1, &alone) == VG_OK)
            rules[count++] = rules[i];
        vg_regions_free(&alone);
    }
    return count;
}

/* Without rules: the language regions, where labels are the Destrieux atlas'; else every label. */
static vg_status regions_by_default(const vg_study *study, fit_subject *subject)
{
    vg_region_rule rules[VG_DESTRIEUX_RULES];
    int64_t count = study->atlas.label_count > 0 && looks_destrieux(&subject->atlas) ? destrieux(study, &subject->atlas, rules) : 0;
    return vg_regions_create(&subject->atlas, count > 0 ? rules : NULL, count, &subject->regions);
}

/* Labels of the left hemisphere on voxels of the right one are a mistake that nothing else would show. */
static vg_status check_sides(const fit_subject *subject, const vg_study *study)
{
    const vg_atlas *atlas = &subject->atlas;
    for (int64_t v = 0; atlas->hemispheres != NULL && v < subject->voxels; v++) {
        char side = vg_responses_voxel(subject->runs[0], v).hemisphere,
             label = atlas->labels[v] >= 0 ? atlas->hemispheres[atlas->labels[v]] : 0;
        if (side != '\0' && label != '\0' && side != label)
            return vg_fail(VG_INVALID,
                           "atlas.labels: %s labels the %s hemisphere where subject %s has the %s one; list the files in the same order",
                           study->atlas.labels[0], label == 'L' ? "left" : "right", subject->study->name, side == 'L' ? "left" : "right");
    }
    return VG_OK;
}

static vg_status make_regions(const vg_study *study, fit_subject *subject, char **labels, int64_t label_count)
{
    if (study->atlas.label_count > 0) {
        VG_TRY(vg_atlas_open((const char *const *)study->atlas.labels, study->atlas.label_count,
                             *study->atlas.table != '\0' ? study->atlas.table : NULL, subject->runs[0], &subject->atlas));
        VG_TRY(check_sides(subject, study));
    } else if (label_count > 0) {
        VG_TRY(label_atlas(subject, labels, label_count, &subject->atlas));
    } else {
        VG_TRY(vg_atlas_columns(subject->runs[0], NULL, 0, &subject->atlas));
    }
    return study->atlas.region_count > 0 ? regions_by_rules(study, subject) : regions_by_default(study, subject);
}

/* Columns without names and without labels: one region of all. */
static vg_status whole_as_region(fit_subject *subject)
{
    VG_TRY(VG_NEW(&subject->atlas.labels, subject->voxels, "labels"));
    VG_TRY(VG_NEW(&subject->atlas.names, 1, "labels"));
    VG_TRY(vg_format(&subject->atlas.names[0], "all"));
    subject->atlas.voxels = subject->voxels;
    subject->atlas.name_count = 1;
    return vg_regions_create(&subject->atlas, NULL, 0, &subject->regions);
}

/* Beside the regions "all": every voxel, for averages. */
static vg_status add_whole(fit_subject *subject)
{
    vg_regions *regions = &subject->regions;
    for (int64_t r = 0; r < regions->count; r++)
        if (strcmp(regions->regions[r].name, "all") == 0)
            return VG_OK;
    vg_region *grown = realloc(regions->regions, (size_t)(regions->count + 1) * sizeof *grown);
    if (grown == NULL)
        return vg_fail(VG_NO_MEMORY, "no memory for %lld regions", (long long)regions->count + 1);
    regions->regions = grown;
    vg_region *whole = &grown[regions->count];
    *whole = (vg_region){.count = subject->voxels};
    VG_TRY(vg_format(&whole->name, "all"));
    regions->count++;
    VG_TRY(VG_NEW(&whole->voxels, subject->voxels, "regions"));
    for (int64_t v = 0; v < subject->voxels; v++)
        whole->voxels[v] = v;
    return VG_OK;
}

vg_status vg_fit_all_regions(fit_job *job)
{
    const vg_study *study = job->study;
    char **labels = study->atlas.columns;
    int64_t count = study->atlas.column_count;
    vg_status status = VG_OK;
    if (study->atlas.columns_file != NULL)
        status = read_labels(study, &labels, &count);
    for (int64_t i = 0; status == VG_OK && i < job->subject_count; i++) {
        fit_subject *subject = &job->subjects[i];
        if (count == 0 && study->atlas.label_count == 0 && vg_responses_names(subject->runs[0]) == NULL)
            status = whole_as_region(subject);
        else
            status = make_regions(study, subject, labels, count);
        if (status == VG_OK)
            status = add_whole(subject);
        job->region_rows += subject->regions.count;
    }
    if (study->atlas.columns_file != NULL)
        vg_store_names_free(labels, count);
    return status;
}
