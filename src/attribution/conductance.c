/* conductance: integrands of path spaces at the nodes of a tile. Conductance of unit y (Dhamdhere et al. 2019, eq. 3): df/dy * dy/da along
 * the path; all layers come from one vjp and one jvp. By input word i: sum over the layer's last-position units of df/dy * (dy/dx_i)(x_i -
 * x'_i), from a jvp along each word's own part of the path. */
#include <math.h>
#include <stdlib.h>

#include "sweep.h"

/* ---- integrated gradients (Sundararajan et al. 2017, eq. 1) ----------------------------------------------------------------- */

int64_t vg_scores_size(const vg_attribution *a, const vg_entry *entry)
{
    (void)a;
    return entry->request.words;
}

/* A word takes the sum over its tokens, or their mean. */
vg_status vg_scores_integrand(const vg_tile *tile, const vg_entry *entry, double *values)
{
    int64_t k = tile->words;
    for (int64_t node = 0; node < tile->nodes; node++)
        for (int64_t j = 0; j < k; j++) {
            int32_t tokens = tile->segment[j + 2] - tile->segment[j + 1];
            double by = entry->reduce == VG_REDUCE_MEAN && tokens > 1 ? (double)tokens : 1;
            values[node * k + j] = tile->scores[node * (k + 2) + 1 + j] / by;
        }
    return VG_OK;
}

/* ---- a layer's units at the nodes --------------------------------------------------------------------------------------------- */

/* Rows of positions: (nodes, positions, width), the last ones wanted. */
typedef struct {
    const float *data;
    int64_t positions;
} rows_of;

static rows_of cotangent_of(const vg_tile *tile, vg_site site, int64_t l)
{
    int64_t whole = tile->length - tile->cotangents->from;
    const float *data = site == VG_SITE_ATTN ? tile->cotangents->attention[l - 1] : tile->cotangents->layer[l];
    return (rows_of){data, l == tile->layers ? 1 : whole};
}

/* dense (nodes, wanted, width) = scale * the last `wanted` positions of rows + keep * dense. */
static vg_status add_last(const vg_tile *tile, rows_of from, int64_t wanted, float scale, bool add, float *packed, float *dense)
{
    const vg_device_ops *ops = tile->device->ops;
    int64_t ld = from.positions * tile->width, columns = wanted * tile->width;
    VG_TRY(ops->copy(tile->device, packed, columns, from.data + ld - columns, ld, tile->nodes, columns));
    return ops->axpby(tile->device, tile->nodes * columns, scale, packed, add ? 1.0f : 0.0f, dense);
}

/* dy/da of what the site writes. What an MLP writes is the block's output less its input and less what attention wrote. */
static vg_status tangent_of(const vg_tile *tile, vg_site site, int64_t l, int64_t wanted, float *packed, float *dense)
{
    const vg_tangents *tangents = tile->tangents;
    int64_t positions = l == tile->layers ? 1 : tile->length;
    if (site == VG_SITE_ATTN)
        return add_last(tile, (rows_of){tangents->attention[l - 1], positions}, wanted, 1.0f, false, packed, dense);
    VG_TRY(add_last(tile, (rows_of){tangents->layer[l], positions}, wanted, 1.0f, false, packed, dense));
    if (site == VG_SITE_BLOCK)
        return VG_OK;
    VG_TRY(add_last(tile, (rows_of){tangents->layer[l - 1], tile->length}, wanted, -1.0f, true, packed, dense));
    return add_last(tile, (rows_of){tangents->attention[l - 1], positions}, wanted, -1.0f, true, packed, dense);
}

/* Sums over positions: out (nodes, width) from x (nodes, positions, width). */
static vg_status sum_positions(const vg_tile *tile, int64_t positions, const float *x,
                               float *out) /* NOLINT(readability-non-const-parameter): the product writes it */
{
    vg_engine *engine = tile->engine;
    float *ones;
    VG_TRY(VG_TAKE(vg_engine_arena(engine), &ones, positions, "ones"));
    VG_TRY(tile->device->ops->fill(tile->device, ones, positions, 1.0f));
    const vg_gemm g = {.m = 1,
                       .n = tile->width,
                       .k = positions,
                       .batch = tile->nodes,
                       .alpha = 1,
                       .lda = positions,
                       .ldb = tile->width,
                       .ldc = tile->width,
                       .stride_b = positions * tile->width,
                       .stride_c = tile->width,
                       .a = ones,
                       .b = x,
                       .c = out};
    return tile->device->ops->gemm(tile->device, &g);
}

/* host (nodes, width): df/dy dy/da of the units of layer l's site, at the last position or summed over all that move. */
static vg_status units(const vg_tile *tile, vg_site site, int64_t l, bool all, float *host)
{
    const vg_device_ops *ops = tile->device->ops;
    vg_arena *arena = vg_engine_arena(tile->engine);
    vg_mark mark = vg_engine_mark(tile->engine);
    rows_of dy = cotangent_of(tile, site, l);
    int64_t wanted = all ? dy.positions : 1, count = tile->nodes * wanted * tile->width;
    float *packed, *tangent, *cotangent, *sum;
    VG_TRY(VG_TAKE(arena, &packed, count, "conductance"));
    VG_TRY(VG_TAKE(arena, &tangent, count, "conductance"));
    VG_TRY(VG_TAKE(arena, &cotangent, count, "conductance"));
    VG_TRY(VG_TAKE(arena, &sum, tile->nodes * tile->width, "conductance"));
    VG_TRY(tangent_of(tile, site, l, wanted, packed, tangent));
    VG_TRY(add_last(tile, dy, wanted, 1.0f, false, packed, cotangent));
    VG_TRY(ops->hadamard(tile->device, count, tangent, cotangent, 0.0f, packed));
    if (wanted > 1)
        VG_TRY(sum_positions(tile, wanted, packed, sum));
    VG_TRY(ops->down(tile->device, host, wanted > 1 ? sum : packed, (size_t)(tile->nodes * tile->width) * sizeof *host));
    vg_engine_release(tile->engine, mark);
    return VG_OK;
}

/* ---- layer conductance ----------------------------------------------------------------------------------------------------------- */

int64_t vg_conductance_size(const vg_attribution *a, const vg_entry *entry)
{
    return entry->outputs * (entry->request.by_word ? entry->request.words : vg_model_get_shape(a->model)->width);
}

/* Directions of one jvp: as many words as keep it within the plan's batch. */
int64_t vg_conductance_directions(const vg_attribution *a, int64_t words, int64_t nodes, int64_t length)
{
    int64_t most = a->plan.batch_tokens / (nodes * length);
    return most < 1 ? 1 : most > words ? words : most;
}

/* Device memory of the integrands beside cotangents and tangents. */
size_t vg_conductance_bytes(const vg_attribution *a, int64_t nodes, int64_t length)
{
    int64_t width = vg_model_get_shape(a->model)->width, directions = vg_conductance_directions(a, INT32_MAX, nodes, length);
    int64_t all = 3 * nodes * length * width + nodes * width + length;
    int64_t by_word =
        directions * nodes * (length + 2) * width + length * (width + 1) + nodes * length + 2 * directions * nodes + nodes * width;
    return 4 * (size_t)(all > by_word ? all : by_word) + 12 * 256;
}

/* dx (directions, nodes, length, width): the difference on the tokens of words first .. first + directions - 1, each alone. */
static vg_status part_directions(const vg_tile *tile, int64_t first, int64_t directions, float *dx)
{
    const vg_device_ops *ops = tile->device->ops;
    int64_t count = directions * tile->nodes * tile->length;
    int32_t *index, *there;
    vg_mark mark = vg_engine_mark(tile->engine);
    VG_TRY(VG_NEW(&index, count, "directions"));
    for (int64_t i = 0; i < count; i++) {
        int64_t t = i % tile->length, j = first + i / tile->length / tile->nodes;
        index[i] = t >= tile->segment[1 + j] && t < tile->segment[2 + j] ? (int32_t)t : -1;
    }
    vg_status status;
    VG_GO(VG_TAKE(vg_engine_arena(tile->engine), &there, count, "directions"));
    VG_GO(ops->up(tile->device, there, index, (size_t)count * sizeof *index));
    VG_GO(ops->gather_rows(tile->device, count, tile->width, tile->difference, tile->width, there, dx, tile->width));
done:
    vg_engine_release(tile->engine, mark);
    free(index);
    return status;
}

/* host (directions, nodes): sum over units of layer l at the last position. */
static vg_status dot_units(const vg_tile *tile, const vg_tangents *tangents, int64_t l, float *host)
{
    const vg_device_ops *ops = tile->device->ops;
    vg_arena *arena = vg_engine_arena(tile->engine);
    int64_t width = tile->width, rows = tangents->directions * tile->nodes, ld = (l == tile->layers ? 1 : tile->length) * width;
    rows_of dy = cotangent_of(tile, VG_SITE_BLOCK, l);
    vg_mark mark = vg_engine_mark(tile->engine);
    float *dense, *cotangent, *out;
    int32_t *segment = NULL, *there;
    vg_status status;
    VG_GO(VG_TAKE(arena, &dense, rows * width, "conductance"));
    VG_GO(VG_TAKE(arena, &cotangent, tile->nodes * width, "conductance"));
    VG_GO(VG_TAKE(arena, &out, rows, "conductance"));
    VG_GO(VG_TAKE(arena, &there, rows + 1, "conductance"));
    VG_GO(VG_NEW(&segment, rows + 1, "conductance"));
    for (int64_t i = 0; i <= rows; i++)
        segment[i] = (int32_t)i;
    VG_GO(ops->up(tile->device, there, segment, (size_t)(rows + 1) * sizeof *segment));
    VG_GO(ops->copy(tile->device, dense, width, tangents->layer[l] + ld - width, ld, rows, width));
    VG_GO(ops->copy(tile->device, cotangent, width, dy.data + (dy.positions - 1) * width, dy.positions * width, tile->nodes, width));
    for (int64_t n = 0; n < tangents->directions; n++) {
        float *part = dense + n * tile->nodes * width;
        VG_GO(ops->hadamard(tile->device, tile->nodes * width, part, cotangent, 0.0f, part));
    }
    VG_GO(ops->reduce(tile->device, VG_SUM, rows, there, width, dense, NULL, out));
    VG_GO(ops->down(tile->device, host, out, (size_t)rows * sizeof *host));
done:
    vg_engine_release(tile->engine, mark);
    free(segment);
    return status;
}

static vg_status by_word(const vg_tile *tile, const vg_entry *entry, double *values)
{
    int64_t k = tile->words, most = vg_conductance_directions(tile->attribution, k, tile->nodes, tile->length);
    float *host, *dx;
    vg_tangents tangents;
    vg_mark mark = vg_engine_mark(tile->engine);
    VG_TRY(VG_NEW(&host, most * tile->nodes, "conductance"));
    vg_status status = VG_OK;
    for (int64_t first = 0; first < k; first += most) {
        int64_t directions = k - first < most ? k - first : most;
        VG_GO(VG_TAKE(vg_engine_arena(tile->engine), &dx, directions * tile->nodes * tile->length * tile->width, "directions"));
        VG_GO(part_directions(tile, first, directions, dx));
        VG_GO(vg_engine_jvp(tile->engine, tile->tape, directions, dx, NULL, false, &tangents));
        for (int64_t o = 0; o < entry->outputs; o++) {
            VG_GO(dot_units(tile, &tangents, entry->layers[o], host));
            for (int64_t i = 0; i < directions * tile->nodes; i++)
                values[(i % tile->nodes * entry->outputs + o) * k + first + i / tile->nodes] = (double)host[i];
        }
        vg_engine_release(tile->engine, mark);
    }
done:
    vg_engine_release(tile->engine, mark);
    free(host);
    return status;
}

vg_status vg_conductance_integrand(const vg_tile *tile, const vg_entry *entry, double *values)
{
    int64_t width = tile->width;
    float *host;
    if (entry->request.by_word)
        return by_word(tile, entry, values);
    VG_TRY(VG_NEW(&host, tile->nodes * width, "conductance"));
    vg_status status = VG_OK;
    for (int64_t o = 0; status == VG_OK && o < entry->outputs; o++) {
        status = units(tile, entry->site, entry->layers[o], entry->sum_positions, host);
        for (int64_t i = 0; i < tile->nodes * width; i++)
            values[(i / width * entry->outputs + o) * width + i % width] = (double)host[i];
    }
    free(host);
    return status;
}

/* ---- layer influence (attribution.md: three named forms) ---------------------------------------------------------------------------- */

int64_t vg_influence_size(const vg_attribution *a, const vg_entry *entry)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    return shape->layers * (entry->form == VG_INFLUENCE_L1 ? shape->width : 1);
}

/* net: what the block's attention and MLP write at the last position; share: the residual there; both summed over units. l1: the residual.
 */
vg_status vg_influence_integrand(const vg_tile *tile, const vg_entry *entry, double *values)
{
    int64_t width = tile->width, each = entry->form == VG_INFLUENCE_L1 ? width : 1;
    float *host;
    VG_TRY(VG_NEW(&host, 2 * tile->nodes * width, "conductance"));
    vg_status status = VG_OK;
    for (int64_t l = 1; l <= tile->layers; l++) {
        VG_GO(units(tile, entry->form == VG_INFLUENCE_NET ? VG_SITE_ATTN : VG_SITE_BLOCK, l, false, host));
        if (entry->form == VG_INFLUENCE_NET)
            VG_GO(units(tile, VG_SITE_MLP, l, false, host + tile->nodes * width));
        for (int64_t node = 0; node < tile->nodes; node++) {
            double *to = values + (node * tile->layers + l - 1) * each;
            for (int64_t i = 0; i < width; i++) {
                double value = (double)host[node * width + i];
                if (entry->form == VG_INFLUENCE_NET)
                    value += (double)host[(tile->nodes + node) * width + i];
                to[each == 1 ? 0 : i] = (each == 1 && i > 0 ? to[0] : 0) + value;
            }
        }
    }
done:
    free(host);
    return status;
}

void vg_influence_finish(const vg_attribution *a, const vg_entry *entry, const double *integral, double change, double *values)
{
    const vg_model_shape *shape = vg_model_get_shape(a->model);
    for (int64_t l = 0; l < shape->layers; l++) {
        double sum = 0;
        if (entry->form == VG_INFLUENCE_NET)
            sum = fabs(integral[l]);
        else if (entry->form == VG_INFLUENCE_SHARE)
            sum = change != 0 ? integral[l] / change : NAN;
        else
            for (int64_t i = 0; i < shape->width; i++)
                sum += fabs(integral[l * shape->width + i]);
        values[l] = sum;
    }
}
