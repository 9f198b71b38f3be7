/* fit_share: every design of a chunk is factored by one rank and brought to the others, from device to device, where moving it takes less
 * time than making it again. The bits are the same either way, so the choice needs no place in the plan. */
#include <stdlib.h>

#include "fit.h"

/* cost (group * count + space of the chunk): operations; 0 where the design is better made by whoever needs it. */
static vg_status find_costs(const fit_job *job, int64_t first, int64_t count, double *cost)
{
    const vg_align_options options = vg_align_of(job->study, 0);
    for (int64_t i = 0; i < job->group_count * count; i++) {
        int64_t columns = vg_align_columns(&options, job->spaces[first + i % count].any->columns);
        vg_ridge_cost each;
        VG_TRY(vg_ridge_estimate(&job->groups[i / count].plan, &columns, 1, &each));
        cost[i] = vg_ridge_sharing_pays(&each) ? each.design_flops : 0;
    }
    return VG_OK;
}

static vg_ridge_design **place_of(const fit_job *job, int64_t count, int64_t i)
{
    return &job->designs[i / count * job->chunk_size + i % count];
}

static vg_status make_mine(const fit_job *job, int64_t first, int64_t count, const double *cost, const int *owner)
{
    for (int64_t i = 0; i < job->group_count * count; i++)
        if (cost[i] > 0 && owner[i] == vg_comm_rank(job->comm))
            VG_TRY(vg_fit_design(job, &job->groups[i / count], &job->spaces[first + i % count], place_of(job, count, i)));
    return VG_OK;
}

vg_status vg_fit_share(fit_job *job, int64_t first, int64_t count)
{
    int64_t all = job->group_count * count;
    double *cost = NULL;
    int *owner = NULL;
    vg_status status = VG_OK;
    if (vg_comm_ranks(job->comm) == 1 || vg_fit_regressed(job->study)) /* fold by fold there are other designs */
        return VG_OK;
    status = VG_NEW(&cost, all, "designs");
    if (status == VG_OK)
        status = VG_NEW(&owner, all, "designs");
    if (status == VG_OK)
        status = find_costs(job, first, count, cost);
    if (status == VG_OK)
        status = vg_assign_blocks(cost, all, vg_comm_ranks(job->comm), owner);
    if (status == VG_OK)
        status = make_mine(job, first, count, cost, owner);
    VG_AGREE_GO(job->comm, status);
    for (int64_t i = 0; i < all; i++)
        if (cost[i] > 0)
            VG_GO(vg_ridge_design_share(job->comm, owner[i], job->device, &job->groups[i / count].plan, place_of(job, count, i)));
done:
    free(cost);
    free(owner);
    return status;
}
