/* Protects: no bytes make the reader of FreeSurfer's annotations crash, leak or read past its input; its labels are names there are. */
#include "fuzz.h"

#include <stdlib.h>

#include "../../src/brain/atlas.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vg_atlas atlas;
    if (vg_annot_parse("fuzz.annot", bytes, size, &atlas) != VG_OK)
        return 0;
    for (int64_t v = 0; v < atlas.voxels; v++)
        if (atlas.labels[v] < -1 || atlas.labels[v] >= atlas.name_count)
            abort();
    vg_atlas_free(&atlas);
    return 0;
}
