/* Protects: the elementary functions that softmax, activations and targets stand on, over their whole range, at its edges, and for what
 * is not finite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "cpu_math.h"

static void exp_single_is_exp(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 1750000; i++) {
        float x = (float)(-87.0 + 1e-4 * i);
        worst = fmax(worst, fabs((double)exp_single(x) / exp((double)x) - 1));
    }
    printf("largest relative error %.2e\n", worst);
    assert_true(worst < 1.5e-7);
    assert_true(exp_single(0.0f) == 1.0f);
    assert_true(exp_single(-87.1f) == 0.0f);
    assert_true(exp_single(-INFINITY) == 0.0f);
    assert_true(exp_single(1e30f) == exp_single(88.0f) && isfinite(exp_single(INFINITY)));
    assert_true(isnan(exp_single(NAN)));
}

static void exp_double_is_exp(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 1417000; i++) {
        double x = -708.0 + 1e-3 * i;
        worst = fmax(worst, fabs(exp_double(x) / exp(x) - 1));
    }
    printf("largest relative error %.2e\n", worst);
    assert_true(worst < 4e-16);
    assert_true(exp_double(0.0) == 1.0);
    assert_true(exp_double(-INFINITY) == 0.0 && exp_double(-709.0) == 0.0);
    assert_true(isfinite(exp_double(INFINITY)) && isnan(exp_double(NAN)));
}

static void normal_cdf_is_the_normal_distribution(void **state)
{
    (void)state;
    double middle = 0, tail = 0;
    for (int i = 0; i <= 2600000; i++) {
        float density, x = (float)(-13.0 + 1e-5 * i);
        double cdf = 0.5 * erfc(-(double)x * M_SQRT1_2), error = fabs((double)normal_cdf(x, &density) / cdf - 1);
        middle = x > -5 ? fmax(middle, error) : middle;
        tail = fmax(tail, error);
        assert_true(fabs((double)density - exp(-0.5 * (double)x * (double)x) / sqrt(2 * M_PI)) < 1e-7);
    }
    printf("largest relative error %.2e above -5, %.2e above -13\n", middle, tail);
    assert_true(middle < 6e-7 && tail < 6e-7);
    float density;
    assert_true(normal_cdf(INFINITY, &density) == 1.0f || isnan(normal_cdf(INFINITY, &density)));
    assert_true(isnan(normal_cdf(NAN, &density)));
}

static void sigmoid_is_bounded(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 1740000; i++) {
        float x = (float)(-87.0 + 1e-4 * i);
        worst = fmax(worst, fabs((double)sigmoid(x) * (1 + exp(-(double)x)) - 1));
    }
    printf("largest relative error %.2e\n", worst);
    assert_true(worst < 3e-7);
    assert_true(sigmoid(-1e30f) >= 0.0f && sigmoid(-1e30f) < 1e-38f && sigmoid(1e30f) == 1.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_single_is_exp),
        cmocka_unit_test(exp_double_is_exp),
        cmocka_unit_test(normal_cdf_is_the_normal_distribution),
        cmocka_unit_test(sigmoid_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
