/* info: what this build is, what it stands on, which devices are here. */
#include "run.h"
#include "voxgrad_version.h"

vg_status vg_study_info(FILE *out)
{
    vg_device *device;
    fprintf(out, "voxgrad %s (%s)\nBLAS kernels: %s\n", VOXGRAD_VERSION, VOXGRAD_COMMIT, vg_device_blas_core());
    VG_TRY(vg_device_open("cpu", 0, 0, &device));
    fprintf(out, "device cpu: %s\n", device->name);
    vg_device_close(device);
    if (vg_device_open("cuda", 0, 0, &device) == VG_OK) {
        fprintf(out, "device cuda: %s\n", device->name);
        vg_device_close(device);
    } else {
        fprintf(out, "device cuda: none (%s)\n", vg_message());
    }
    fprintf(out, "methods:");
    for (const char *const *method = vg_space_methods(); *method != NULL; method++)
        fprintf(out, " %s", *method);
    fprintf(out, "\n");
    return VG_OK;
}
