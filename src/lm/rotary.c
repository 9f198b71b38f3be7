/* rotary: the frequencies of rotary positions. Pair i of d entries turns by position * theta^(-2 i / d) (Su et al. 2021, "RoFormer",
 * section 3.2.2). Longer contexts: all slowed down by a factor (Chen et al. 2023, position interpolation), or, Llama 3, only those
 * that turn less than low_factor times in the old context, with a smooth passage up to high_factor turns. */
#include <math.h>

#include "model.h"

static double llama3(const vg_config *config, double frequency)
{
    double turns = config->old_positions * frequency / 6.283185307179586477;
    if (turns < config->low_factor)
        return frequency / config->factor;
    if (turns > config->high_factor)
        return frequency;
    double smooth = (turns - config->low_factor) / (config->high_factor - config->low_factor);
    return (1.0 - smooth) * frequency / config->factor + smooth * frequency;
}

void vg_rotary_frequencies(const vg_config *config, double *frequency)
{
    for (int64_t i = 0; i < config->rotary / 2; i++) {
        double plain = pow(config->theta, -2.0 * (double)i / (double)config->rotary);
        frequency[i] = config->scaling == VG_ROPE_LINEAR   ? plain / config->factor
                       : config->scaling == VG_ROPE_LLAMA3 ? llama3(config, plain)
                                                           : plain;
    }
}
