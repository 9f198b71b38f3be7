#!/usr/bin/env python3
"""Goldens of the room `brain`: alignment and filtering by numpy and scipy, written independently of the C code.

    python tests/oracle/make_brain_goldens.py [DATA]        # writes tests/golden/brain_*.npy

Simulated words and responses; nothing here was recorded. DATA (holds fsaverage5/): also how many vertices each language region has
in the Destrieux atlas, by nibabel.
"""
import pathlib
import sys

import numpy as np
from scipy.signal import savgol_filter
from scipy.stats import gamma

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
rng = np.random.default_rng(20)


def save(name, array, dtype=np.float32):
    np.save(GOLDEN / f"brain_{name}.npy", np.ascontiguousarray(array, dtype=dtype))


def zscore(x):
    x = x - x.mean(axis=0)
    sd = x.std(axis=0)
    return np.where(sd > 1e-12, x / np.where(sd > 1e-12, sd, 1), 0)


# ---- words: some before the run, some after it, some exactly on borders of TRs, one long silence ------------------------------
N, P, T, START, TR = 70, 17, 40, 7.4, 0.72
onset = np.sort(rng.uniform(START - 6 * TR, START + (T + 3) * TR, N))
onset[20:40] = START + np.arange(5, 25) * TR  # on borders, as far as doubles go
onset = np.sort(onset[(onset < START + 27 * TR) | (onset > START + 32 * TR)])
N = len(onset)
offset = onset + rng.uniform(0.05, 0.6, N)
features = rng.standard_normal((N, P)).astype(np.float32)
features[:, 5] = 0.1  # constant over words, not over TRs
save("times", np.stack([onset, offset], axis=1), np.float64)
save("features", features)


def grid_rows(moment, first, reduce):
    x = features.astype(np.float64)
    row = np.floor((moment - START) / TR)
    out = np.zeros((T - first, P))
    for g, r in enumerate(range(first, T)):
        if (row == r).any():
            out[g] = reduce(x[row == r], axis=0)
    return out


def lanczos_rows(moment, first):
    out = np.zeros((T - first, P))
    for g, r in enumerate(range(first, T)):
        x = (moment - (START + (r + 0.5) * TR)) / TR
        w = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        if w.sum() > np.abs(w).sum() / 2:
            out[g] = w @ features.astype(np.float64) / w.sum()
    return out


def hrf_rows(moment, h):
    t = START + TR * np.arange(T)[:, None] - moment[None, :]
    return np.where((t > 0) & (t <= 32), h(np.maximum(t, 1e-9)), 0) @ features.astype(np.float64)


def spm(t):
    return gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6


def glover(t):
    return (t / 5.4) ** 6 * np.exp(-(t - 5.4) / 0.9) - 0.35 * (t / 10.8) ** 12 * np.exp(-(t - 10.8) / 0.9)


def delayed(grid, delays):
    first = -max(delays)
    return np.concatenate([grid[np.arange(T) - d - first] for d in delays], axis=1)


delays = [1, 2, 4]
save("align_mean", zscore(delayed(grid_rows(onset, -4, np.mean), delays)))
save("align_sum_trim", zscore(delayed(grid_rows(offset, -4, np.sum), delays)[3:-2, [0, 17, 34]]))
save("align_raw", delayed(grid_rows((onset + offset) / 2, 0, np.mean), [0])[:, :2])
save("align_lanczos", zscore(delayed(lanczos_rows(onset, -4), delays)[:, [0, 5, 17, 34]]))
save("align_spm", zscore(hrf_rows(onset, spm))[:, :3])
save("align_glover", zscore(hrf_rows(onset, glover))[:, :3])
row = np.floor((onset - START) / TR)
save("align_counts", [T - len({r for r in row if 0 <= r < T}), (row < -4).sum(), (row >= T).sum()], np.int64)

# ---- responses: drift, noise, a large mean, a constant voxel, a line -----------------------------------------------------------
ROWS, VOXELS, TR = 64, 18, 2.0
t = np.arange(ROWS)
y = rng.standard_normal((ROWS, VOXELS)) + 3 * np.cos(np.pi * t / ROWS)[:, None] + 1000 * rng.uniform(0, 1, VOXELS)
y[:, 3] = 0.1
y[:, 4] = 5 + 0.25 * t
y = y.astype(np.float32)
save("responses", y)
y = y.astype(np.float64)


def regress_out(basis):
    return y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]


count = int(np.floor(2 * ROWS * TR / 40))
cosines = np.stack([np.cos(np.pi * (2 * t + 1) * k / (2 * ROWS)) for k in range(count + 1)], axis=1)
save("high_pass", zscore(regress_out(cosines)))
save("high_pass_trim", zscore(regress_out(cosines)[2:-5])[:, :3])
save("polynomial", zscore(regress_out(np.polynomial.legendre.legvander(np.linspace(-1, 1, ROWS), 3))))
save("savgol", y - savgol_filter(y, 21, 3, axis=0))  # 40 s: 20 rows, made odd
save("plain", zscore(y))

# ---- atlas ------------------------------------------------------------------------------------------------------------------------
if len(sys.argv) > 1:
    import nibabel

    groups = {
        "HG": ["G_temp_sup-G_T_transv"],
        "HS": ["S_temporal_transverse"],
        "STG": ["G_temp_sup-Lateral", "G_temp_sup-Plan_polar", "G_temp_sup-Plan_tempo"],
        "STS": ["S_temporal_sup"],
        "IFG": ["G_front_inf-Opercular", "G_front_inf-Orbital", "G_front_inf-Triangul"],
        "LatS": ["Lat_Fis-ant-Horizont", "Lat_Fis-ant-Vertical", "Lat_Fis-post"],
    }
    counts = []
    for hemisphere in "lr":
        labels, _, names = nibabel.freesurfer.read_annot(f"{sys.argv[1]}/fsaverage5/{hemisphere}h.aparc-a2009s_mics.annot")
        names = [name.decode() for name in names]
        counts.append([[np.isin(labels, [names.index(n) for n in group]).sum(), np.flatnonzero(np.isin(labels, [names.index(n) for n in group])).sum()]
                       for group in groups.values()])
    save("destrieux", counts, np.int64)  # hemisphere x region x (vertices, sum of their numbers)

# ---- volumes and surfaces, as nibabel writes them (few and small; the numbers are simulated) ------------------------------------------
import nibabel  # noqa: E402

MAPS = pathlib.Path(__file__).resolve().parent.parent / "brain" / "files"
MAPS.mkdir(exist_ok=True)
values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0.5, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
scaled = nibabel.Nifti1Image(values.astype(np.int16), affine)
scaled.header.set_slope_inter(0.5, -3)
nibabel.save(scaled, MAPS / "scaled.nii.gz")
nibabel.save(nibabel.Nifti2Image(values.astype(np.float64), affine), MAPS / "two.nii")
big = nibabel.Nifti1Image(values.astype(">f4"), None, nibabel.Nifti1Header(endianness=">"))
big.header.set_zooms((2, 2, 3, 1.5))
nibabel.save(big, MAPS / "big.nii")
labels = np.where(values[..., 0] % 3 == 0, 0, values[..., 0] % 3 * 10)
nibabel.save(nibabel.Nifti1Image(labels.astype(np.uint8), affine), MAPS / "labels.nii.gz")

gifti, nifti = nibabel.gifti, nibabel.nifti1
surface = np.arange(4 * 6, dtype=np.float32).reshape(4, 6) / 4  # T x V
left = gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexLeft"})
series = [gifti.GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32") for row in surface]
nibabel.save(gifti.GiftiImage(darrays=series, meta=left), MAPS / "series.func.gii")
table = [gifti.GiftiDataArray(np.ascontiguousarray(surface.T), intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32")]
(MAPS / "table_right.func.gii.gz").write_bytes(__import__("gzip").compress(gifti.GiftiImage(darrays=table).to_bytes(), mtime=0))
names = gifti.GiftiLabelTable()
for key, label in ((0, "Unknown"), (7, "HG"), (9, "STS")):
    entry = gifti.GiftiLabel(key, 1.0, 0.0, 0.0, 1.0)
    entry.label = label
    names.labels.append(entry)
keys = gifti.GiftiDataArray(np.array([7, 0, 9, 9, 7, 5], np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32")
nibabel.save(gifti.GiftiImage(darrays=[keys], labeltable=names), MAPS / "lh.labels.label.gii")
