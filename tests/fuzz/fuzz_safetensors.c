/* Protects: no bytes make the reader of safetensors crash, loop, leak or read past its input; and of what it accepts every tensor lies in
 * the file, whole, with a shape whose entries are counted. */
#include "fuzz.h"

#include <stdlib.h>

#include "safetensors.h"

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void try_tensor(const vg_tensor *tensor, const uint8_t *bytes, size_t size)
{
    int64_t count = 1, each = tensor->type == VG_TENSOR_F32 ? 4 : 2;
    for (int i = 0; i < tensor->dimensions; i++)
        count *= tensor->shape[i];
    check(tensor->count == count && tensor->data >= bytes && tensor->data <= bytes + size);
    if (tensor->type == VG_TENSOR_OTHER || count > (int64_t)size)
        return check(tensor->type == VG_TENSOR_OTHER);
    check((size_t)(count * each) <= size - (size_t)(tensor->data - bytes));
    float *values = malloc((size_t)(count > 0 ? count : 1) * sizeof *values);
    vg_status status = vg_tensor_read(tensor, values);
    check(status == VG_OK || status == VG_INVALID);
    for (int64_t i = 0; status == VG_OK && i < count; i++)
        check(values[i] - values[i] == 0.0f);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vg_tensors tensors = {0};
    vg_status status = vg_tensors_parse("fuzz.safetensors", bytes, size, &tensors);
    check(status == VG_OK || status == VG_INVALID || status == VG_NO_MEMORY);
    for (int64_t i = 0; status == VG_OK && i < tensors.count; i++)
        try_tensor(&tensors.tensors[i], bytes, size);
    vg_tensors_close(&tensors);
    return 0;
}
