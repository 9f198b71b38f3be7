"""Ridge against himalaya (torch, CPU, float32) on the same arrays, alternately: the same penalties, folds, r2 and intercept, not nested.

    python bench/peers/himalaya_bench.py PATH/TO/voxgrad [--threads 2] [--repeats 3] [--shapes 0,1,2] [--markdown FILE]

For each shape (rows, features, voxels[, bands, draws]): medians of both in seconds and in seconds of processor time (which others' work on the
machine changes less), their ratios, and how far the scores and the chosen penalties agree; one JSON line each, and a table in FILE. Data are
simulated: white features, responses of some of them and white noise. For more features than rows himalaya solves the linear
kernel's problem (solve_kernel_ridge_cv_eigenvalues), which is its faster one there; for bands its random search over T x T kernels, for
which --draws limits the draws of both, since it takes minutes.
"""
import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time

import numpy as np

SHAPES = [(5000, 40, 20000), (2000, 40, 5000), (3000, 1000, 10000), (1000, 512, 50000), (300, 3072, 80000), (3000, 3072, 5000),
          (1000, 120, 20000, 3, 5)]

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--shapes", default="0,1,2,3,4,5,6")
parser.add_argument("--draws", type=int, default=5, help="of the bands' penalties, in both")
parser.add_argument("--markdown", help="where a table goes")
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
os.environ["OMP_WAIT_POLICY"] = "passive"  # waiting threads use no processor time, in either

import torch  # noqa: E402  (after the number of threads is set)
from himalaya.backend import set_backend  # noqa: E402
from himalaya.kernel_ridge import solve_kernel_ridge_cv_eigenvalues, solve_multiple_kernel_ridge_random_search  # noqa: E402
from himalaya.ridge import solve_ridge_cv_svd  # noqa: E402
from himalaya.scoring import r2_score  # noqa: E402
from sklearn.model_selection import KFold  # noqa: E402

torch.set_num_threads(arguments.threads)
backend = set_backend("torch")
alphas = np.logspace(-1, 8, 20)


def theirs_banded(X, Y, bands):
    """Random search over Dirichlet draws of the bands' weights, kernels of T x T; the penalties are searched as in ours."""
    begin, used = time.perf_counter(), time.process_time()
    X, Y = torch.from_numpy(X), torch.from_numpy(Y)
    X = X - X.mean(0)
    each = X.shape[1] // bands
    kernels = torch.stack([X[:, b * each:(b + 1) * each] @ X[:, b * each:(b + 1) * each].T for b in range(bands)])
    _, _, scores = solve_multiple_kernel_ridge_random_search(
        kernels, Y - Y.mean(0), n_iter=arguments.draws, alphas=torch.tensor(alphas, dtype=torch.float32), score_func=r2_score, cv=KFold(5),
        n_targets_batch=2000, random_state=0, progress_bar=False)
    return (time.perf_counter() - begin, time.process_time() - used), None, scores.numpy()


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
    T, p, V, *bands = shape
    command = [arguments.program, "bench", "encoding", "--folder", folder, "--rows", T, "--columns", p, "--voxels", V, "--alphas", len(alphas), "--folds", 1,
               "--inner", 5, "--threads", arguments.threads, "--score", "r2"]
    if bands:
        command += ["--bands", bands[0], "--draws", arguments.draws]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (result["seconds"], used), np.fromfile(folder + "/alpha.f64"), np.fromfile(folder + "/score.f64")


def machine():
    with open("/proc/cpuinfo") as lines:
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")) + f", {os.cpu_count()} cores"


def measure(index):
    T, p, V, *bands = SHAPES[index]
    random = np.random.default_rng(index)
    X = random.standard_normal((T, p), dtype=np.float32)
    Y = random.standard_normal((T, V), dtype=np.float32) + 0.3 * (X[:, :40] @ random.standard_normal((40, V), dtype=np.float32))
    times = [], []
    with tempfile.TemporaryDirectory() as folder:
        X.tofile(folder + "/x.f32")
        Y.tofile(folder + "/y.f32")
        for _ in range(arguments.repeats):
            a, our_alpha, our_score = ours(folder, SHAPES[index])
            b, their_alpha, their_score = theirs_banded(X, Y, bands[0]) if bands else theirs(X, Y)
            times[0].append(a)
            times[1].append(b)
    (a, a_used), (b, b_used) = ([statistics.median(t) for t in zip(*runs)] for runs in times)
    row = {"rows": T, "features": p, "voxels": V, "bands": bands[0] if bands else 1, "draws": arguments.draws if bands else 1,
           "voxgrad": round(a, 3), "himalaya": round(b, 2), "ratio": round(b / a, 1), "voxgrad cpu": round(a_used, 3),
           "himalaya cpu": round(b_used, 2), "cpu ratio": round(b_used / a_used, 1), "repeats": arguments.repeats}
    if not bands:  # the draws are others
        row |= {"scores differ by": float(np.abs(our_score - their_score).max()),
                "penalties equal": float((np.abs(np.log(our_alpha / their_alpha)) < 1e-4).mean())}
    print(json.dumps(row), flush=True)
    return row


rows = [measure(index) for index in map(int, arguments.shapes.split(","))]
if arguments.markdown:
    with open(arguments.markdown, "w") as out:
        keys = list(dict.fromkeys(key for row in rows for key in row))
        print(f"Ridge against himalaya {importlib.metadata.version('himalaya')} (torch {torch.__version__}), {arguments.threads} threads, "
              f"{len(alphas)} penalties, 5 folds, float32. Machine: {machine()}. Medians, in turn on the same arrays; seconds; cpu: processor "
              "seconds of all threads.\n", file=out)
        print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys), file=out)
        for row in rows:
            print("| " + " | ".join(f"{row.get(key, '-'):.3g}" if isinstance(row.get(key), float) and row[key] < 1e-2
                                    else str(row.get(key, "-")) for key in keys) + " |", file=out)
