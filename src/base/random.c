/* random: Philox4x32-10, so that a number depends on (seed, purpose, index) and on nothing that ran before.
 * Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11, section 3 and table 2 (constants, ten rounds). */
#include <math.h>

#include "voxgrad/base.h"

static void philox(uint32_t counter[4], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * counter[0];
        uint64_t b = (uint64_t)0xCD9E8D57u * counter[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key0, (uint32_t)b, (uint32_t)(a >> 32) ^ counter[3] ^ key1, (uint32_t)a};
        for (int i = 0; i < 4; i++)
            counter[i] = next[i];
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

static void draw(uint64_t seed, vg_random_purpose purpose, uint64_t index, uint64_t bits[2])
{
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)purpose, 0};
    philox(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    bits[0] = (uint64_t)counter[1] << 32 | counter[0];
    bits[1] = (uint64_t)counter[3] << 32 | counter[2];
}

static double unit(uint64_t bits)
{
    return ((double)(bits >> 12) + 0.5) * 0x1p-52;
}

uint64_t vg_random_bits(uint64_t seed, vg_random_purpose purpose, uint64_t index)
{
    uint64_t bits[2];
    draw(seed, purpose, index, bits);
    return bits[0];
}

double vg_random_uniform(uint64_t seed, vg_random_purpose purpose, uint64_t index)
{
    return unit(vg_random_bits(seed, purpose, index));
}

double vg_random_normal(uint64_t seed, vg_random_purpose purpose, uint64_t index)
{
    uint64_t bits[2];
    draw(seed, purpose, index, bits);
    return sqrt(-2.0 * log(unit(bits[0]))) * cos(6.283185307179586477 * unit(bits[1]));
}
