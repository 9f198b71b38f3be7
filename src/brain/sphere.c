/* sphere: a hemisphere's vertices on a sphere, and which of them lies nearest to where a rotation turns each: what spins of maps take
 * (Alexander-Bloch et al. 2018, "On testing for spatial correspondence between maps of human brain structure and function", NeuroImage
 * 178:540-551). Nearest on the sphere is nearest through space. Places lie in the cells of a grid over the cube around the unit
 * sphere, sorted by cell: a search looks at the block of cells around a place, wider until nothing outside can be nearer. */
#include <math.h>
#include <stdlib.h>

#include "voxgrad/brain.h"

enum { MOST_CELLS = 128 }; /* along a side: 8 MB of borders at most */

struct vg_sphere {
    int64_t vertices, side; /* cells along a side */
    double *place;          /* (vertices, 3) on the unit sphere */
    double *sorted;         /* the same by cell, and there by vertex */
    int32_t *vertex;        /* (vertices) which is the n-th of them */
    int32_t *first;         /* (side^3 + 1) of each cell, among sorted */
};

static int64_t cell_of(const vg_sphere *s, double x)
{
    int64_t cell = (int64_t)floor((x + 1) * 0.5 * (double)s->side);
    return cell < 0 ? 0 : cell >= s->side ? s->side - 1 : cell;
}

static int64_t cell_at(const vg_sphere *s, const double *place)
{
    return (cell_of(s, place[0]) * s->side + cell_of(s, place[1])) * s->side + cell_of(s, place[2]);
}

/* ---- opening --------------------------------------------------------------------------------------------------------------------- */

/* Places at distance 1 from the origin; their distances in the file may differ by 1 %. */
static vg_status take_places(const char *path, const vg_surface *surface, vg_sphere *s)
{
    double least = INFINITY, most = 0;
    int64_t nearest = 0, furthest = 0;
    for (int64_t v = 0; v < s->vertices; v++) {
        double x = (double)surface->position[3 * v], y = (double)surface->position[3 * v + 1], z = (double)surface->position[3 * v + 2];
        double radius = sqrt(x * x + y * y + z * z);
        nearest = radius < least ? v : nearest;
        furthest = radius > most ? v : furthest;
        least = fmin(least, radius);
        most = fmax(most, radius);
        s->place[3 * v] = x / radius;
        s->place[3 * v + 1] = y / radius;
        s->place[3 * v + 2] = z / radius;
    }
    if (!(least > 0) || most > 1.01 * least)
        return vg_fail(VG_INVALID,
                       "%s: is no sphere: vertex %lld is %.4g mm from the origin, vertex %lld %.4g mm; give the surface's sphere "
                       "(FreeSurfer's lh.sphere.reg, rh.sphere.reg)",
                       path, (long long)nearest, least, (long long)furthest, most);
    return VG_OK;
}

/* Counting sort: `first` counts, then says where each cell ends, then, filled from the last vertex on, where it begins. */
static vg_status sort_places(vg_sphere *s)
{
    int64_t cells = s->side * s->side * s->side;
    VG_TRY(VG_NEW(&s->first, cells + 1, "a sphere's grid"));
    VG_TRY(VG_NEW(&s->vertex, s->vertices, "a sphere's grid"));
    VG_TRY(VG_NEW(&s->sorted, 3 * s->vertices, "a sphere's grid"));
    for (int64_t v = 0; v < s->vertices; v++)
        s->first[cell_at(s, s->place + 3 * v)]++;
    for (int64_t c = 1; c <= cells; c++)
        s->first[c] += s->first[c - 1];
    for (int64_t v = s->vertices - 1; v >= 0; v--) {
        int64_t n = --s->first[cell_at(s, s->place + 3 * v)];
        s->vertex[n] = (int32_t)v;
        for (int d = 0; d < 3; d++)
            s->sorted[3 * n + d] = s->place[3 * v + d];
    }
    return VG_OK;
}

static vg_status fill(const char *path, vg_sphere *s)
{
    vg_surface surface;
    VG_TRY(vg_surface_open(path, &surface));
    s->vertices = surface.vertices;
    s->side = (int64_t)(2 / sqrt(12.566370614359173 / (double)s->vertices)); /* a cell as wide as vertices are apart */
    s->side = s->side < 1 ? 1 : s->side > MOST_CELLS ? MOST_CELLS : s->side;
    vg_status status = VG_NEW(&s->place, 3 * s->vertices, "vertices of a sphere");
    if (status == VG_OK)
        status = take_places(path, &surface, s);
    vg_surface_free(&surface);
    return status == VG_OK ? sort_places(s) : status;
}

vg_status vg_sphere_open(const char *path, vg_sphere **sphere)
{
    VG_TRY(VG_NEW(sphere, 1, "a sphere"));
    vg_status status = fill(path, *sphere);
    if (status != VG_OK) {
        vg_sphere_free(*sphere);
        *sphere = NULL;
    }
    return status;
}

void vg_sphere_free(vg_sphere *s)
{
    if (s == NULL)
        return;
    free(s->place);
    free(s->sorted);
    free(s->vertex);
    free(s->first);
    free(s);
}

int64_t vg_sphere_vertices(const vg_sphere *s)
{
    return s->vertices;
}

/* ---- the nearest vertex ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    double square; /* of its distance */
    int32_t vertex;
} found;

/* Of cells low .. high along each side. */
static found look_in(const vg_sphere *s, const double place[3], const int64_t low[3], const int64_t high[3])
{
    found best = {INFINITY, 0};
    for (int64_t i = low[0]; i <= high[0]; i++)
        for (int64_t j = low[1]; j <= high[1]; j++) {
            int64_t row = (i * s->side + j) * s->side, end = s->first[row + high[2] + 1];
            for (int64_t n = s->first[row + low[2]]; n < end; n++) {
                double x = s->sorted[3 * n] - place[0], y = s->sorted[3 * n + 1] - place[1], z = s->sorted[3 * n + 2] - place[2];
                double square = x * x + y * y + z * z;
                if (square < best.square || (square == best.square && s->vertex[n] < best.vertex))
                    best = (found){square, s->vertex[n]};
            }
        }
    return best;
}

static int32_t find(const vg_sphere *s, const double place[3])
{
    double wide = 2 / (double)s->side;
    for (int64_t ring = 1;; ring++) {
        int64_t low[3], high[3];
        double reach = INFINITY; /* to the nearest wall of the block; beyond those of the grid there is nothing */
        for (int d = 0; d < 3; d++) {
            int64_t at = cell_of(s, place[d]);
            low[d] = at - ring > 0 ? at - ring : 0;
            high[d] = at + ring < s->side - 1 ? at + ring : s->side - 1;
            if (low[d] > 0)
                reach = fmin(reach, place[d] - ((double)low[d] * wide - 1));
            if (high[d] < s->side - 1)
                reach = fmin(reach, (double)(high[d] + 1) * wide - 1 - place[d]);
        }
        found best = look_in(s, place, low, high);
        reach -= 1e-12; /* rounding of walls and cells */
        if (best.square < reach * reach)
            return best.vertex;
    }
}

void vg_sphere_turn(const vg_sphere *s, const vg_rotation *rotation, int32_t *nearest)
{
    for (int64_t v = 0; v < s->vertices; v++) {
        const double *from = s->place + 3 * v;
        double to[3];
        for (int d = 0; d < 3; d++)
            to[d] = rotation->at[d][0] * from[0] + rotation->at[d][1] * from[1] + rotation->at[d][2] * from[2];
        nearest[v] = find(s, to);
    }
}

/* ---- rotations ---------------------------------------------------------------------------------------------------- */

/* A quaternion uniform over the unit sphere of four dimensions is a rotation uniform over all (Shoemake 1992, "Uniform random rotations",
 * Graphics Gems III, 124-132); its mirror image in the plane of y and z changes the sign of what leads from x to them and back. */
void vg_spin_make(uint64_t seed, uint64_t index, vg_rotation *left, vg_rotation *right)
{
    double q[4], square = 0;
    for (uint64_t i = 0; i < 4; i++) {
        q[i] = vg_random_normal(seed, VG_RANDOM_SPIN, 4 * index + i);
        square += q[i] * q[i];
    }
    for (int i = 0; i < 4; i++)
        q[i] /= sqrt(square);
    double w = q[0], x = q[1], y = q[2], z = q[3];
    *left = (vg_rotation){{{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                           {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                           {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}}};
    *right = *left;
    for (int d = 1; d < 3; d++) {
        right->at[0][d] = -left->at[0][d];
        right->at[d][0] = -left->at[d][0];
    }
}
