/* fit_place: the space that a subject's voxels lie in, as attributes of /subjects/SUBJECT/voxels, so that maps can be made from results.h5
 * alone: vertices_left and vertices_right of surfaces; dimension_i, dimension_j, dimension_k and the affine (12 numbers, row by row) of
 * volumes. */
#include "fit.h"

vg_status vg_fit_place(vg_layout *layout, const char *path, const vg_responses *responses)
{
    static const char *const sides[] = {"vertices_left", "vertices_right"}, *const dimensions[] = {"dimension_i", "dimension_j",
                                                                                                   "dimension_k"};
    vg_space space = vg_responses_space(responses);
    char affine[12 * 26] = "";
    int used = 0;
    for (int h = 0; h < 2; h++)
        if (space.vertices[h] > 0)
            VG_TRY(vg_layout_integer(layout, path, sides[h], space.vertices[h]));
    if (space.dimensions[0] == 0)
        return VG_OK;
    for (int d = 0; d < 3; d++)
        VG_TRY(vg_layout_integer(layout, path, dimensions[d], space.dimensions[d]));
    for (int i = 0; i < 12; i++)
        used += snprintf(affine + used, sizeof affine - (size_t)used, "%s%.17g", i > 0 ? " " : "", space.affine[i / 4][i % 4]);
    return vg_layout_text(layout, path, "affine", affine);
}
