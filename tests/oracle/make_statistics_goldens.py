#!/usr/bin/env python3
"""Goldens of p and q: tests/golden/statistics.npy (float64), read by tests/encoding/test_statistics.c.

One array: n, p (n), q (n) by scipy.stats.false_discovery_control; the number of cases and of draws; then of each case the observed number, its
draws, and the p of scipy.stats.monte_carlo_test, `greater` and `two-sided`. Some draws equal the observed number, some p are alike.
Needs numpy, scipy. Run: python tests/oracle/make_statistics_goldens.py
"""
import pathlib

import numpy
from scipy import stats

CASES, DRAWS = 12, 39


def monte_carlo(observed, draws, alternative):
    given = iter(draws)
    result = stats.monte_carlo_test([observed], lambda size: numpy.full(size, next(given)), lambda x, axis=-1: x.mean(axis=axis),
                                    vectorized=True, n_resamples=len(draws), batch=1, alternative=alternative)
    return result.pvalue


def main():
    random = numpy.random.default_rng(0)
    p = numpy.concatenate([random.uniform(size=200), random.uniform(size=60) ** 4, [0.01, 0.01, 0.01, 1.0, 1 / 40, 1 / 40]])
    numbers = [[len(p)], p, stats.false_discovery_control(p), [CASES, DRAWS]]
    for case in range(CASES):
        draws = numpy.round(random.normal(size=DRAWS), 2)
        observed = draws[3] if case % 3 == 0 else round(random.normal(scale=2), 2)
        numbers += [[observed], draws, [monte_carlo(observed, draws, "greater"), monte_carlo(observed, draws, "two-sided")]]
    path = pathlib.Path(__file__).resolve().parent.parent / "golden/statistics.npy"
    numpy.save(path, numpy.concatenate(numbers))


if __name__ == "__main__":
    main()
