/* nifti_write: volumes of float32 as NIfTI-1, or NIfTI-2 where a dimension is too large for it, with the space's affine as sform. */
#include <errno.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

static void give_space(const vg_space *space, nifti_image *image)
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            image->sto_xyz.m[r][c] = r < 3 ? space->affine[r][c] : c == 3;
    image->sform_code = NIFTI_XFORM_ALIGNED_ANAT;
    image->sto_ijk = nifti_dmat44_inverse(image->sto_xyz);
    double dx, dy, dz;
    nifti_dmat44_to_quatern(image->sto_xyz, NULL, NULL, NULL, NULL, NULL, NULL, &dx, &dy, &dz, NULL);
    image->dx = image->pixdim[1] = dx;
    image->dy = image->pixdim[2] = dy;
    image->dz = image->pixdim[3] = dz;
    image->xyz_units = NIFTI_UNITS_MM;
}

vg_status vg_nifti_write(const char *path, const vg_space *space, float *values, int64_t volumes)
{
    const int64_t *n = space->dimensions;
    bool wide = n[0] > INT16_MAX || n[1] > INT16_MAX || n[2] > INT16_MAX || volumes > INT16_MAX;
    const int64_t shape[8] = {volumes > 1 ? 4 : 3, n[0], n[1], n[2], volumes, 1, 1, 1};
    nifti_set_debug_level(0);
    nifti_image *image = nifti_make_new_nim(shape, DT_FLOAT32, 0);
    if (image == NULL)
        return vg_fail(VG_NO_MEMORY, "%s: no memory for a volume", path);
    image->nifti_type = wide ? NIFTI_FTYPE_NIFTI2_1 : NIFTI_FTYPE_NIFTI1_1;
    vg_status status = VG_OK;
    if (nifti_set_filenames(image, path, 0, 1) != 0)
        status = vg_fail(VG_INVALID, "%s: is no name for a NIfTI file", path);
    if (status == VG_OK) {
        give_space(space, image);
        image->data = values;
        errno = 0;
        znzFile file = nifti_image_write_hdr_img(image, 3, "wb"); /* 3: data too, and the file stays open */
        if (znz_isnull(file) || znzclose(file) != 0)
            status = vg_fail(errno == ENOSPC ? VG_NO_SPACE : VG_INVALID, "%s: cannot be written: %s", path, strerror(errno));
        image->data = NULL; /* the caller's */
    }
    nifti_image_free(image);
    return status;
}
