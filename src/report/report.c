/* report: the folder that a person looks at: index.html, figures/, tables/, maps/. Whatever is missing from the results, the rest is made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

static vg_status make_folder(const char *folder, const char *name)
{
    char *path;
    VG_TRY(vg_format(&path, "%s%s%s", folder, *name != '\0' ? "/" : "", name));
    vg_status status = VG_OK;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        status = vg_fail(errno == ENOSPC ? VG_NO_SPACE : VG_INVALID, "%s: the report's folder cannot be made: %s; choose another with -o",
                         path, strerror(errno));
    free(path);
    return status;
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* A folder means its results.h5, or the unfinished one of a running study. */
static vg_status find_results(const char *results, char **path)
{
    static const char *const names[] = {"results.h5", "results.h5.part"};
    for (int i = 0; i < 2 && is_folder(results); i++) {
        VG_TRY(vg_format(path, "%s/%s", results, names[i]));
        if (access(*path, R_OK) == 0)
            return VG_OK;
        free(*path);
        *path = NULL;
    }
    if (is_folder(results))
        return vg_fail(VG_INVALID, "%s: has neither results.h5 nor results.h5.part; voxgrad fit makes them", results);
    return vg_format(path, "%s", results);
}

static vg_status write_all(const report *r, const char *folder)
{
    static const char *const folders[] = {"", "figures", "tables", "maps"};
    const char *missing = NULL;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        VG_TRY(make_folder(folder, folders[i]));
    VG_TRY(report_tables(r, folder));
    VG_TRY(report_maps(r, folder, &missing));
    if (missing != NULL)
        vg_log(VG_LOG_INFO, "report: no maps: %s", missing);
    return report_page(r, folder);
}

/* results.h5 is verified against its checksums first: HDF5 does not survive every damage. */
static vg_status verify(const char *path)
{
    vg_comm *comm;
    bool summed;
    if (report_ends_in(path, ".part"))
        return VG_OK;
    VG_TRY(vg_comm_alone(&comm));
    vg_status status = vg_store_verify(comm, path, &summed);
    vg_comm_finish(comm);
    return status;
}

vg_status vg_report_write(const char *results, const vg_report_options *options)
{
    char *path = NULL, *folder = NULL;
    report r = {0};
    double began = vg_seconds();
    vg_status status;
    VG_GO(find_results(results, &path));
    VG_GO(verify(path));
    VG_GO(options->output != NULL ? vg_format(&folder, "%s", options->output) : vg_path_beside(path, "report", &folder));
    VG_GO(report_load(path, options, &r));
    VG_GO(write_all(&r, folder));
    vg_log(VG_LOG_INFO, "report: %lld spaces, %lld subjects, %.2f s: %s/index.html", (long long)r.space_count, (long long)r.subject_count,
           vg_seconds() - began, folder);
done:
    report_free(&r);
    free(folder);
    free(path);
    return status;
}
