"""Ridge against himalaya (torch, CPU, float32) on the same arrays, alternately: the same penalties, folds, r2 and intercept, not nested.

    python bench/peers/himalaya_bench.py PATH/TO/bench_encoding [--threads 2] [--repeats 3] [--shapes 0,1,2]

For each shape (rows, features, voxels): medians of both in seconds and in seconds of processor time (which others' work on the machine changes
less), their ratios, and how far the scores and the chosen penalties agree. Data are
simulated: white features, responses of some of them and white noise. For more features than rows himalaya solves the linear
kernel's problem (solve_kernel_ridge_cv_eigenvalues), which is its faster one there.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time

import numpy as np

SHAPES = [(5000, 40, 20000), (2000, 40, 5000), (3000, 1000, 10000), (1000, 512, 50000), (300, 3072, 80000), (3000, 3072, 5000)]

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--shapes", default="0,1,2,3,4,5")
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
os.environ["OMP_WAIT_POLICY"] = "passive"  # waiting threads use no processor time, in either

import torch  # noqa: E402  (after the number of threads is set)
from himalaya.backend import set_backend  # noqa: E402
from himalaya.kernel_ridge import solve_kernel_ridge_cv_eigenvalues  # noqa: E402
from himalaya.ridge import solve_ridge_cv_svd  # noqa: E402
from himalaya.scoring import r2_score  # noqa: E402
from sklearn.model_selection import KFold  # noqa: E402

torch.set_num_threads(arguments.threads)
backend = set_backend("torch")
alphas = np.logspace(-1, 8, 20)


def theirs(X, Y):
    begin, used = time.perf_counter(), time.process_time()
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    options = dict(score_func=r2_score, cv=KFold(5), n_targets_batch=2000)
    if X.shape[1] > X.shape[0]:
        best, _, scores, _ = solve_kernel_ridge_cv_eigenvalues(X @ X.T, Y, torch.tensor(alphas, dtype=torch.float32), fit_intercept=True,
                                                                 **options)
    else:
        best, _, scores, _ = solve_ridge_cv_svd(X, Y, torch.tensor(alphas, dtype=torch.float32), fit_intercept=True, warn=False, **options)
    return (time.perf_counter() - begin, time.process_time() - used), best.numpy(), scores.numpy()


def ours(folder, shape):
    T, p, V = shape
    command = [arguments.program, "--folder", folder, "--rows", T, "--columns", p, "--voxels", V, "--alphas", len(alphas), "--folds", 1,
               "--inner", 5, "--threads", arguments.threads, "--score", "r2"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (result["seconds"], used), np.fromfile(folder + "/alpha.f64"), np.fromfile(folder + "/score.f64")


for index in map(int, arguments.shapes.split(",")):
    T, p, V = SHAPES[index]
    random = np.random.default_rng(index)
    X = random.standard_normal((T, p), dtype=np.float32)
    Y = random.standard_normal((T, V), dtype=np.float32) + 0.3 * (X[:, :40] @ random.standard_normal((40, V), dtype=np.float32))
    times = [], []
    with tempfile.TemporaryDirectory() as folder:
        X.tofile(folder + "/x.f32")
        Y.tofile(folder + "/y.f32")
        for _ in range(arguments.repeats):
            a, our_alpha, our_score = ours(folder, SHAPES[index])
            b, their_alpha, their_score = theirs(X, Y)
            times[0].append(a)
            times[1].append(b)
    same = np.abs(np.log(our_alpha / their_alpha)) < 1e-4
    (a, a_used), (b, b_used) = ([statistics.median(t) for t in zip(*runs)] for runs in times)
    print(json.dumps({"rows": T, "features": p, "voxels": V, "voxgrad": round(a, 3), "himalaya": round(b, 2), "ratio": round(b / a, 1),
                      "voxgrad cpu": round(a_used, 3), "himalaya cpu": round(b_used, 2), "cpu ratio": round(b_used / a_used, 1),
                      "scores differ by": float(np.abs(our_score - their_score).max()), "penalties equal": float(same.mean())}), flush=True)
