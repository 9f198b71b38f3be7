/* blocks: who does which block of work, and how much memory a rank may take. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static const double *sort_cost; /* qsort has no context; one thread plans */

static int dearer(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    if (sort_cost[i] != sort_cost[j])
        return sort_cost[i] < sort_cost[j] ? 1 : -1;
    return i < j ? -1 : i > j;
}

vg_status vg_assign_blocks(const double *cost, int64_t blocks, int ranks, int *owner)
{
    int64_t *order;
    VG_TRY(VG_NEW(&order, blocks, "blocks"));
    for (int64_t i = 0; i < blocks; i++)
        order[i] = i;
    sort_cost = cost;
    if (blocks > 0)
        qsort(order, (size_t)blocks, sizeof *order, dearer);
    for (int64_t i = 0; i < blocks; i++)
        owner[order[i]] = (int)(i % ranks);
    free(order);
    return VG_OK;
}

bool vg_is_part(const vg_study *study)
{
    return study->how.parts > 0 || study->how.only != NULL;
}

bool vg_part_has(const vg_study *study, const vg_study_model *model, const vg_study_story *story, int64_t index)
{
    const char *only = study->how.only;
    if (study->how.parts > 0 && index % study->how.parts != study->how.part - 1)
        return false;
    if (only == NULL)
        return true;
    return strncmp(only, "model=", 6) == 0 ? strcmp(only + 6, model->name) == 0 : strcmp(only + 6, story->name) == 0;
}

vg_status vg_load_note(vg_comm *comm, const char *stage, double seconds, double busy)
{
    size_t *sizes;
    void *all = NULL;
    int ranks = vg_comm_ranks(comm), slowest = 0;
    double sum = 0;
    VG_AGREE(comm, VG_NEW(&sizes, ranks, "ranks"));
    vg_status status = vg_comm_gather(comm, &busy, sizeof busy, 0, &all, sizes);
    const double *each = all;
    for (int r = 0; each != NULL && r < ranks; r++) {
        sum += each[r];
        slowest = each[r] > each[slowest] ? r : slowest;
    }
    if (each != NULL && ranks > 1 && sum > 0)
        vg_log(VG_LOG_INFO, "%s: load: rank %d worked longest, %.2f s of %.2f s, %.1f %% more than the mean of %d ranks", stage, slowest,
               each[slowest], seconds, 100 * (each[slowest] * ranks / sum - 1), ranks);
    free(all);
    free(sizes);
    return status;
}

int vg_thread_count(const vg_study *study, const vg_comm *comm)
{
    cpu_set_t mine;
    int cores = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1, all = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (study->threads > 0)
        return (int)study->threads;
    if (cores >= all) /* not bound: the ranks of this node share its cores */
        cores /= vg_comm_local_ranks(comm);
    return cores > 0 ? cores : 1;
}

vg_memory vg_memory_of(const vg_study *study, int local_ranks)
{
    if (study->memory > 0)
        return (vg_memory){.bytes = study->memory, .sharers = 1};
    return (vg_memory){.bytes = (int64_t)(0.8 * (double)vg_machine_memory("")) / local_ranks, .sharers = local_ranks};
}

vg_status vg_memory_plan(vg_comm *comm, const vg_study *study, vg_memory *memory)
{
    vg_memory *all = NULL;
    size_t *sizes;
    *memory = vg_memory_of(study, vg_comm_local_ranks(comm));
    VG_AGREE(comm, VG_NEW(&sizes, vg_comm_ranks(comm), "ranks"));
    vg_status status = vg_comm_allgather(comm, memory, sizeof *memory, (void **)&all, sizes);
    for (int r = 0; status == VG_OK && r < vg_comm_ranks(comm); r++) {
        memory->bytes = all[r].bytes < memory->bytes ? all[r].bytes : memory->bytes;
        memory->sharers = all[r].sharers < memory->sharers ? all[r].sharers : memory->sharers;
    }
    free(all);
    free(sizes);
    return status;
}
