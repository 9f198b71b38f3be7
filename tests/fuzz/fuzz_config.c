/* Protects: no bytes make the reader of a model's config.json crash, loop or leak, and what it accepts is a model that can be built:
 * extents above 0, heads that divide, rotary entries inside a head. */
#include "fuzz.h"

#include <stdlib.h>

#include "model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vg_config config;
    if (vg_config_parse("fuzz/config.json", bytes, size, &config) != VG_OK)
        return 0;
    const vg_model_shape *shape = &config.shape;
    if (shape->width < 1 || shape->layers < 1 || shape->heads < 1 || shape->kv_heads < 1 || shape->heads % shape->kv_heads != 0 ||
        shape->head_size < 1 || shape->mlp_width < 1 || shape->positions < 1 || shape->vocabulary < 1 || config.rotary > shape->head_size)
        abort();
    return 0;
}
