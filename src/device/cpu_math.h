/* cpu_math: elementary functions without branches or calls, so that the compiler turns a loop over them into vector code.
 * Relative errors (tests/device/test_math.c): exp 9e-8, exp_double 2e-16, sigmoid 1.5e-7, normal_cdf 5e-7 down to its tails. */
#ifndef VOXGRAD_DEVICE_CPU_MATH_H
#define VOXGRAD_DEVICE_CPU_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x + low), low small beside x (what x lost when it was rounded): 0 below -87, held at exp(88) above 88; not-a-number stays.
 * x = n log 2 + r, |r| <= log(2) / 2, log 2 in two parts (Cody & Waite 1980, chapter 6), exp(r) by its Taylor series to r^7 (remainder
 * 5e-9). Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits. */
static inline float exp_of_sum(float x, float low)
{
    const float rounder = 12582912.0f;
    float clipped = -87.0f > x ? -87.0f : x;
    clipped = 88.0f < clipped ? 88.0f : clipped;
    float shifted = clipped * 1.44269504f + rounder;
    float n = shifted - rounder;
    float r = (clipped - n * 0.693359375f) + (n * 2.12194440e-4f + low);
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.0f ? 0.0f : p * power;
}

static inline float exp_single(float x)
{
    return exp_of_sum(x, 0.0f);
}

/* exp(-x^2 / 2): x^2 as the exact square of x's upper 12 bits and a rest, since an error of the exponent would be one of the result. */
static inline float exp_of_square(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= 0xFFFFF000u;
    float upper;
    memcpy(&upper, &bits, sizeof upper);
    return exp_of_sum(-0.5f * upper * upper, -0.5f * (x - upper) * (x + upper));
}

/* The same in double: 0 below -708, held at exp(709), Taylor to r^13 (remainder 4e-18). */
static inline double exp_double(double x)
{
    const double rounder = 6755399441055744.0;
    double clipped = -708.0 > x ? -708.0 : x;
    clipped = 709.0 < clipped ? 709.0 : clipped;
    double shifted = clipped * 1.4426950408889634 + rounder;
    double n = shifted - rounder;
    double r = (clipped - n * 0.693145751953125) - n * 1.42860682030941723212e-6;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r * r + r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023u) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return x < -708.0 ? 0.0 : p * power;
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + exp_single(-x));
}

/* The standard normal's density and distribution at x. With z = |x| / sqrt(2): erfc(z) = exp(-z^2) g(t) / (1 + 2 z), t = (z - 2) / (z + 2)
 * (the form of Shepherd & Laframboise 1981, Math. Comp. 36, eq. 1); g interpolated at degree 9 on z in 0 .. 9.5, error 2e-8. */
static inline float normal_cdf(float x, float *density)
{
    float z = (x < 0.0f ? -x : x) * 0.707106781f;
    float e = exp_of_square(x);
    float t = (z - 2.0f) / (z + 2.0f);
    float g = -0.000428000889f;
    g = g * t - 0.00127277396f;
    g = g * t + 0.00132489881f;
    g = g * t + 0.00866948313f;
    g = g * t - 0.00805760909f;
    g = g * t - 0.0542150589f;
    g = g * t + 0.164054238f;
    g = g * t - 0.166030406f;
    g = g * t - 0.092763916f;
    g = g * t + 1.27697838f;
    float tail = 0.5f * e * g / (1.0f + 2.0f * z);
    *density = 0.398942280f * e;
    return x < 0.0f ? tail : 1.0f - tail;
}

#endif
