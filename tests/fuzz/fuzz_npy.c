/* Protects: no header of a .npy makes its reader go beyond the file. */
#include "fuzz.h"

#include <stdlib.h>

#include "../../src/brain/responses.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vg_npy_header header;
    if (vg_npy_parse("fuzz.npy", bytes, size, &header) != VG_OK)
        return 0;
    uint64_t numbers = (uint64_t)header.rows * (uint64_t)header.columns;
    if (header.rows < 1 || header.columns < 1 || (uint64_t)header.data + numbers * (header.wide ? 8 : 4) > size)
        abort();
    return 0;
}
