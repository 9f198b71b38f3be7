/* attach: whether the ranks' GPUs are linked by NCCL or their memory goes through the host (architecture.md, "Plan, blocks, determinism").
 * NCCL wants one GPU a rank; it belongs to the CUDA back end's module, which hands out a table of calls (link.h). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm_mpi.h"

static bool same_gpu(const vg_link_place *a, const vg_link_place *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->bus, b->bus) == 0;
}

bool vg_link_places_differ(const vg_link_place *places, int ranks, char *why, size_t size)
{
    int without = -1, with = 0;
    for (int r = 0; r < ranks; r++) {
        with += places[r].bus[0] != '\0';
        without = places[r].bus[0] == '\0' ? r : without;
    }
    if (with == 0)
        snprintf(why, size, "%s", "");
    else if (without >= 0)
        snprintf(why, size, "rank %d drives no GPU", without);
    for (int a = 0; without < 0 && a < ranks; a++)
        for (int b = a + 1; b < ranks; b++)
            if (same_gpu(&places[a], &places[b])) {
                snprintf(why, size, "ranks %d and %d drive the same GPU, %s of %s", a, b, places[a].bus, places[a].host);
                return false;
            }
    return without < 0;
}

static const vg_link_ops *find_links(const vg_device *device)
{
    static const vg_link_host host = {.fail = vg_fail};
    vg_link_open_function *open_function;
    *(void **)&open_function = vg_device_symbol(device, VG_LINK_OPEN);
    const vg_link_ops *ops = open_function != NULL ? open_function(&host) : NULL;
    return ops != NULL && ops->size == sizeof *ops ? ops : NULL;
}

static double read_patience(void)
{
    const char *text = getenv("VOXGRAD_LINK_TIMEOUT");
    double seconds;
    return text != NULL && vg_parse_double(text, strlen(text), &seconds) && seconds > 0 ? seconds : 300.0;
}

static vg_status prepare(vg_comm *comm, vg_device *device)
{
    if (comm->device != NULL)
        return vg_fail(VG_DEFECT, "a device is attached twice");
    comm->device = device;
    comm->ops = find_links(device);
    comm->patience = read_patience();
    VG_TRY(VG_NEW(&comm->told, comm->ranks, "ranks"));
    return comm->ops != NULL ? comm->ops->pin(STAGE_BYTES, &comm->stage) : vg_allocate(&comm->stage, STAGE_BYTES, 1, "bytes for exchange");
}

static vg_status find_places(vg_comm *comm, vg_link_place **places)
{
    vg_link_place mine = {0};
    size_t *sizes = NULL;
    vg_status status;
    *places = NULL;
    gethostname(mine.host, sizeof mine.host - 1);
    VG_AGREE_GO(comm, comm->ops != NULL ? comm->ops->bus(mine.bus) : VG_OK);
    VG_AGREE_GO(comm, VG_NEW(&sizes, comm->ranks, "ranks"));
    status = vg_comm_allgather(comm, &mine, sizeof mine, (void **)places, sizes);
done:
    free(sizes);
    return status;
}

static vg_status join(vg_comm *comm)
{
    char name[VG_LINK_NAME] = {0};
    VG_AGREE(comm, comm->rank == 0 ? comm->ops->name(name) : VG_OK);
    VG_TRY(vg_comm_broadcast(comm, name, sizeof name, 0));
    return vg_link_wait(comm, comm->ops->join(name, comm->rank, comm->ranks, &comm->link));
}

static vg_status choose(vg_comm *comm)
{
    vg_link_place *places;
    char why[512] = "";
    VG_TRY(find_places(comm, &places));
    bool differ = places != NULL && vg_link_places_differ(places, comm->ranks, why, sizeof why);
    free(places);
    if (differ && join(comm) != VG_OK)
        snprintf(why, sizeof why, "%s", vg_message());
    if (comm->rank == 0 && comm->link != NULL)
        vg_log(VG_LOG_DEBUG, "%d GPUs exchange by NCCL", comm->ranks);
    else if (comm->rank == 0 && why[0] != '\0')
        vg_log(VG_LOG_INFO, "GPUs exchange through the hosts' memory and MPI, not NCCL: %s", why);
    return VG_OK;
}

vg_status vg_comm_attach(vg_comm *comm, vg_device *device)
{
    VG_AGREE(comm, prepare(comm, device));
    return comm->ranks > 1 ? choose(comm) : VG_OK;
}

void vg_comm_detach(vg_comm *comm)
{
    char message[2048];
    if (comm == NULL || comm->device == NULL)
        return;
    snprintf(message, sizeof message, "%s", vg_message());
    if (comm->link != NULL && vg_link_wait(comm, comm->ops->finish(comm->link)) == VG_OK)
        comm->ops->leave(comm->link, true);
    else
        vg_fail(VG_OK, "%s", message); /* that the end failed too is of no interest */
    if (comm->ops != NULL && comm->stage != NULL)
        comm->ops->unpin(comm->stage);
    else
        free(comm->stage);
    free(comm->told);
    comm->told = NULL;
    comm->device = NULL;
    comm->ops = NULL;
    comm->link = NULL;
    comm->stage = NULL;
}
