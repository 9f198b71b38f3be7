/* csv: the tables of results.h5 as tidy CSV, a line a row, with the names that the file has. A table that is not there makes no file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* Columns in their order, texts before a '|', numbers after; what an older file or a study without a null does not have is left out. */
static const struct {
    const char *path, *file, *columns;
} tables[] = {
    {"/regions", "scores.csv", "subject,model,name,layer,region|n,mean,sem,unique,unique_sem,p"},
    {"/group_regions", "group.csv",
     "model,name,layer,region|subjects,mean,sem,sem_within,low,high,fraction,unique,unique_sem,p,q,p_largest,null_mean"},
    {"/ceiling/regions", "ceiling.csv", "region|voxels,subjects,isc,ceiling,low,high,leave_one_out"},
    {"/contrast_regions", "contrasts.csv", "a,b,region|subjects,mean,sem,low,high,p,q"},
    {"/layers/regions", "best_layers.csv", "model,name,region|subjects,mean,sem,low,high,p,q,passing,center_of_mass"},
    {"/layers/correlation", "layer_correlation.csv", "model_a,name_a,model_b,name_b|subjects,voxels,r,null_mean,p,spin_mean,p_spin,spins"},
    {"/layers/influence", "layer_influence.csv", "model,influence,scores,region|layers,r,r_partial,null_mean,p"},
    {"/families/regions", "families.csv", "family,region|subjects,mean,sem,low,high,p,q"},
    {"/families/comparisons", "families_compared.csv", "a,b,region|subjects,mean,sem,low,high,p,q,won_a,won_b,tied"},
    {"/profile", "profile.csv", "model,name,layer,region,kind|word,subjects,mean,sem"},
};

enum { MOST = 16 };

typedef struct {
    char names[MOST][32];
    char **texts[MOST];
    double *numbers[MOST];
    int64_t rows, columns;
} columns;

/* One column, where the table has it. */
static vg_status read_column(const report *r, const char *path, const char *name, bool text, columns *c)
{
    int64_t at = c->columns, count = 0;
    if (!vg_store_has_member(r->file, path, name))
        return VG_OK;
    snprintf(c->names[at], sizeof c->names[at], "%s", name);
    if (!text)
        VG_TRY(report_numbers(r, path, name, c->rows, &c->numbers[at]));
    else
        VG_TRY(vg_store_read_texts(r->file, path, name, &c->texts[at], &count));
    c->rows = text ? count : c->rows;
    c->columns++;
    return VG_OK;
}

static vg_status read_columns(const report *r, const char *path, const char *list, columns *c)
{
    bool text = true;
    while (*list != '\0' && c->columns < MOST) {
        char name[32];
        size_t n = strcspn(list, ",|");
        snprintf(name, sizeof name, "%.*s", (int)n, list);
        VG_TRY(read_column(r, path, name, text, c));
        text = text && list[n] != '|';
        list += n + (list[n] != '\0');
    }
    return VG_OK;
}

static void print(const columns *c, FILE *csv)
{
    for (int64_t i = 0; i < c->columns; i++)
        fprintf(csv, "%s%s", i > 0 ? "," : "", c->names[i]);
    fputc('\n', csv);
    for (int64_t row = 0; row < c->rows; row++) {
        if (c->texts[0] != NULL && *c->texts[0][row] == '\0')
            continue; /* not yet written by a running study */
        for (int64_t i = 0; i < c->columns; i++) {
            if (i > 0)
                fputc(',', csv);
            if (c->texts[i] != NULL)
                encode_csv(csv, c->texts[i][row]);
            else
                encode_number(csv, c->numbers[i][row]);
        }
        fputc('\n', csv);
    }
}

static vg_status write_table(const report *r, const char *folder, size_t t)
{
    columns c = {.rows = 0};
    report_buffer csv;
    char name[64];
    vg_status status;
    snprintf(name, sizeof name, "tables/%s", tables[t].file);
    VG_TRY(report_buffer_open(&csv));
    VG_GO(read_columns(r, tables[t].path, tables[t].columns, &c));
    print(&c, csv.stream);
    VG_GO(report_buffer_close(&csv));
    VG_GO(report_write_file(folder, name, csv.text, csv.size));
done:
    for (int64_t i = 0; i < MOST; i++) {
        if (c.texts[i] != NULL)
            vg_store_names_free(c.texts[i], c.rows);
        free(c.numbers[i]);
    }
    report_buffer_free(&csv);
    return status;
}

vg_status report_tables(const report *r, const char *folder)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        if (vg_store_is_dataset(r->file, tables[t].path))
            VG_TRY(write_table(r, folder, t));
    return VG_OK;
}
