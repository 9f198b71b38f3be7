"""Goldens of ridge: tests/golden/ridge_inputs.npy (float32) and ridge_outputs.npy (float64), read by tests/encoding/test_ridge_goldens.c.

Inputs are numbers that float32 holds, so that both precisions get the same ones. One case after another, flat:
  inputs   kind, T, p, V, penalties, outer folds, inner folds, gap, runs | rows of each run | X (T, p) | Y (T, V) | penalties
  outputs  kind himalaya, scikit-learn: best penalty (V), cross-validated r2 (V)
           kind oracle: score (V), alpha (outer, V), inner score (outer, V), pooled r2 (V), r2 alpha (outer, V)
Needs numpy, himalaya 0.4.11, scikit-learn. Run: python tests/oracle/make_ridge_goldens.py
"""
import os

import numpy as np
from himalaya.backend import set_backend
from himalaya.ridge import solve_ridge_cv_svd
from himalaya.scoring import r2_score
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score

HIMALAYA, SKLEARN, ORACLE = 0, 1, 2
random = np.random.default_rng(7)


def simulate(T, p, V, noise):
    X = np.zeros((T, p))
    for t in range(T):
        X[t] = 0.6 * X[t - 1] * (t > 0) + random.standard_normal(p)
    Y = X @ random.standard_normal((p, V)) / np.sqrt(p) + noise * random.standard_normal((T, V))
    return X.astype(np.float32), Y.astype(np.float32)


# ---- the definition, written out with numpy (encoding.md, "Defaults, exactly") ----------------------------------------------


def cut(rows, run, folds):
    """Held-out rows of each fold: whole runs where there are two or more, else contiguous blocks; earlier ones longer."""
    runs = list(dict.fromkeys(run[rows]))
    if len(runs) >= 2:
        groups = np.array_split(runs, min(folds, len(runs)))
        return [rows[np.isin(run[rows], group)] for group in groups]
    return np.array_split(rows, folds)


def train_rows(rows, held, run, gap):
    near = [any(run[t] == run[u] and abs(t - u) <= gap for u in held) for t in rows]
    return rows[~np.array(near)]


def predict(X, Y, train, test, alpha):
    mx, my = X[train].mean(0), Y[train].mean(0)
    Z = X[train] - mx
    weights = np.linalg.solve(Z.T @ Z + alpha * np.eye(X.shape[1]), Z.T @ (Y[train] - my))
    return (X[test] - mx) @ weights, Y[test] - my


def correlate(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def nested(X, Y, run, alphas, outer, inner, gap):
    rows, order = np.arange(len(X)), np.argsort(alphas)  # smaller penalties first: argmax takes the first of equals
    out = {"score": [], "alpha": [], "inner": [], "r2_alpha": []}
    sse = sst = 0
    for test in cut(rows, run, outer):
        train = train_rows(rows, test, run, gap)
        table, loss, total = [], [], []
        for a in alphas[order]:
            folds = [(train_rows(train, held, run, gap), held) for held in cut(train, run, inner)]
            pairs = [predict(X, Y, fit, held, a) for fit, held in folds]
            table.append(np.mean([correlate(f, y) for f, y in pairs], axis=0))
            loss.append(sum(((y - f) ** 2).sum(0) for f, y in pairs))
            total.append(sum((y**2).sum(0) for f, y in pairs))
        best = np.argmax(np.array(table), axis=0)
        best_r2 = np.argmax(1 - np.array(loss) / np.array(total), axis=0)
        every = [predict(X, Y, train, test, a) for a in alphas[order]]
        v = np.arange(Y.shape[1])
        out["score"].append(np.array([correlate(f, y) for f, y in every])[best, v])
        out["alpha"].append(alphas[order][best])
        out["inner"].append(np.array(table)[best, v])
        out["r2_alpha"].append(alphas[order][best_r2])
        sse = sse + np.array([((y - f) ** 2).sum(0) for f, y in every])[best_r2, v]
        sst = sst + (every[0][1] ** 2).sum(0)
    return [np.mean(out["score"], axis=0), out["alpha"], out["inner"], 1 - sse / sst, out["r2_alpha"]]


# ---- cases -----------------------------------------------------------------------------------------------------------------------

inputs, outputs = [], []


def add(kind, X, Y, alphas, outer, inner, gap, runs, results):
    alphas = np.asarray(alphas, np.float32)
    head = [kind, *X.shape, Y.shape[1], len(alphas), outer, inner, gap, len(runs), *runs]
    for part in (head, X, Y, alphas):
        inputs.append(np.asarray(part, np.float32).ravel())
    for part in results:
        outputs.append(np.asarray(part, np.float64).ravel())


def himalaya(X, Y, alphas, folds):
    alphas = np.asarray(alphas, np.float32).astype(np.float64)
    best, _, scores, _ = solve_ridge_cv_svd(X.astype(np.float64), Y.astype(np.float64), alphas, fit_intercept=True, score_func=r2_score,
                                            cv=KFold(folds), warn=False)
    best = alphas[np.argmin(np.abs(np.log(alphas)[:, None] - np.log(best)), axis=0)]
    add(HIMALAYA, X, Y, alphas, 1, folds, 0, [len(X)], [best, scores])


set_backend("numpy")
grid = 10.0 ** np.array([2, -2, 0, 5, 1, 3, -1, 4, 2.5, 0.5, 1.5])  # in no order
X, Y = simulate(50, 8, 7, 2.0)
himalaya(X, Y, grid, 5)  # p < T
himalaya(X, Y, np.sort(grid)[::-1], 3)  # unequal folds, 50 = 17 + 17 + 16
doubled = X.copy()
doubled[:, 1] = doubled[:, 0]
doubled[:, 5] = doubled[:, 0]
himalaya(doubled, Y, grid, 4)
constant = X.copy()
constant[:, 3] = 2.5
himalaya(constant, Y, grid, 5)
himalaya(*simulate(26, 26, 6, 1.0), grid, 5)  # p = T
himalaya(*simulate(24, 45, 5, 1.0), grid, 4)  # p > T
himalaya(*simulate(60, 1, 4, 1.0), grid, 5)

X, Y = simulate(40, 5, 5, 1.0)
ours = [cross_val_score(Ridge(alpha=3.5), X.astype(np.float64), Y[:, v].astype(np.float64), cv=KFold(5), scoring="r2").mean() for v in range(5)]
add(SKLEARN, X, Y, [3.5], 1, 5, 0, [40], [[3.5] * 5, ours])

for T, p, V, outer, inner, gap, runs in ((72, 6, 6, 4, 3, 3, [72]), (61, 30, 4, 3, 4, 2, [61]), (90, 7, 5, 5, 5, 4, [25, 33, 32]),
                                         (64, 4, 4, 2, 3, 2, [30, 34]), (40, 50, 4, 3, 3, 1, [40])):
    X, Y = simulate(T, p, V, 2.0)
    single = np.asarray(grid, np.float32).astype(np.float64)
    run = np.repeat(np.arange(len(runs)), runs)
    results = nested(X.astype(np.float64), Y.astype(np.float64), run, single, outer, inner, gap)
    add(ORACLE, X, Y, single, outer, inner, gap, runs, results)

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
for name, parts, kind in (("ridge_inputs", inputs, "<f4"), ("ridge_outputs", outputs, "<f8")):
    path = os.path.join(folder, name + ".npy")
    np.save(path, np.concatenate(parts).astype(kind))
    print(path, os.path.getsize(path), "bytes")
