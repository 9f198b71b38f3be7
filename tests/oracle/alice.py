"""The main job once more, independently: from the words of Alice to a score per subject, region and feature space, in float64.

Written from the specification ("Defaults, exactly"), not from the C sources, so that both can only agree by being right:
TextGrid -> tokens -> windows -> gradient_norm, gradient_x_input, activations -> TRs -> nested cross-validated ridge.
The language model is written out below and differentiated by torch's autograd; --check holds it against transformers,
its gradients against central differences and the ridge against plain normal equations, and says how far scores may move.

    python tests/oracle/alice.py DATA [--output tests/golden] [--check]

DATA holds alice/ and stories260K/. Writes alice_*.npy and alice.txt; prints mean and SEM over subjects, space by region.
"""
import argparse
import itertools
import json
import os
import pathlib
import re
import time

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # read while numpy is imported; the same bits wherever run

import numpy as np
import safetensors.torch
import tokenizers
import torch

PAUSES = {"", "sp", "sil", "<p>", "#", "..."}
CONTEXT, K = 40, 10
START, TR, ROWS, DELAYS = 20.0, 2.0, 362, (1, 2, 3, 4, 5)
GAP = max(DELAYS)
ALPHAS = np.logspace(-1, 8, 20)
FOLDS = 5
REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
GOLDEN_ROWS, GOLDEN_LAYERS = 60, ("00", "02", "05", "final")
TIE = 1e-5


# Words and tokens

def read_words(path):
    """Words and onsets (s) of the TextGrid's only tier, `word`; blanks around a text are no part of it."""
    interval = r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = \S+\s+text = "((?:[^"]|"")*)"'
    text = path.read_text("utf-8")
    assert re.findall(r'name = "(.*?)"', text) == ["word"]
    found = [(label.replace('""', '"').strip(), float(onset)) for onset, label in re.findall(interval, text)]
    return zip(*[(label, onset) for label, onset in found if label not in PAUSES])


def tokenize(words, tokenizer):
    """Token ids of the joined text, without BOS, and for each word its first token's place (words + 1 places).

    Word w owns the space before it; a token belongs to the word of its last character."""
    ends = np.cumsum([len(word) + 1 for word in words]) - 1  # past the last character; the next word's space is there
    encoding = tokenizer.encode(" ".join(words), add_special_tokens=False)
    last = np.array([max(end, 1) - 1 for _, end in encoding.offsets])
    owner = np.searchsorted(ends, last, side="right")
    assert (np.diff(owner) >= 0).all() and (np.bincount(owner, minlength=len(words)) > 0).all()
    return np.array(encoding.ids), np.searchsorted(owner, np.arange(len(words) + 1))


# The language model: Llama, rotate-half rotary positions (Su et al. 2021), RMSNorm (Zhang and Sennrich 2019), gated SiLU, grouped keys

class Llama:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = {name: tensor.double() for name, tensor in safetensors.torch.load_file(folder / "model.safetensors").items()}
        self.table = self.weights["model.embed_tokens.weight"]
        self.heads, self.key_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.config["rms_norm_eps"]) * self.weights[name]

    def rotate(self, x):
        """x (rows, heads, tokens, size): pair (i, i + size/2) of position t turns by t theta^(-2i/size)."""
        tokens, size = x.shape[-2:]
        frequency = self.config["rope_theta"] ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.arange(tokens, dtype=torch.float64)[:, None] * frequency
        a, b = x.chunk(2, -1)
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def attention(self, x, prefix):
        rows, tokens, width = x.shape

        def project(name, heads):
            return (x @ self.weights[f"{prefix}{name}_proj.weight"].T).view(rows, tokens, heads, -1).transpose(1, 2)
        query, key, value = self.rotate(project("q", self.heads)), self.rotate(project("k", self.key_heads)), project("v", self.key_heads)
        key, value = (t.repeat_interleave(self.heads // self.key_heads, 1) for t in (key, value))
        score = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        score = score.masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), -torch.inf)
        mixed = (score.softmax(-1) @ value).transpose(1, 2).reshape(rows, tokens, -1)
        return mixed @ self.weights[f"{prefix}o_proj.weight"].T

    def mlp(self, x, prefix):
        gate, up, down = (self.weights[f"{prefix}{name}_proj.weight"] for name in ("gate", "up", "down"))
        return (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T

    def forward(self, x):
        """x (rows, tokens, width) embeddings -> the last position's log-probabilities and its state in 00, 01, ..., final."""
        states = [x[:, -1]]
        for layer in range(self.config["num_hidden_layers"]):
            block = f"model.layers.{layer}."
            x = x + self.attention(self.norm(x, block + "input_layernorm.weight"), block + "self_attn.")
            x = x + self.mlp(self.norm(x, block + "post_attention_layernorm.weight"), block + "mlp.")
            states.append(x[:, -1])
        states.append(self.norm(x[:, -1], "model.norm.weight"))
        head = self.table if self.config["tie_word_embeddings"] else self.weights["lm_head.weight"]
        return (states[-1] @ head.T).log_softmax(-1), states


# Features: row n belongs to word n; column j of K to word n - K + j

def windows(places):
    """By length in tokens (BOS not counted): the words n >= 1 whose context is that long, 16 at most at a time."""
    length = {n: places[n] - places[max(0, n - CONTEXT)] for n in range(1, len(places) - 1)}
    for tokens, group in itertools.groupby(sorted(length, key=lambda n: (length[n], n)), key=length.get):
        group = list(group)
        for at in range(0, len(group), 16):
            yield tokens, group[at:at + 16]


def features(model, ids, places):
    """Spaces by name, each (words, columns), with `valid` of the K columns, and f, the log-probability of each word's first token."""
    words, width = len(places) - 1, model.config["hidden_size"]
    layers = [f"{layer:02d}" for layer in range(model.config["num_hidden_layers"] + 1)] + ["final"]
    spaces = {name: np.zeros((words, K)) for name in ("gradient_norm", "gradient_x_input")}
    spaces |= {f"activations/{layer}": np.zeros((words, width)) for layer in layers}
    f = np.full(words, np.nan)
    for tokens, group in windows(places):
        window = np.array([[model.config["bos_token_id"], *ids[places[n] - tokens:places[n]]] for n in group])
        x = model.table[torch.from_numpy(window)].requires_grad_()
        log_prob, states = model.forward(x)
        target = log_prob[torch.arange(len(group)), torch.from_numpy(ids[places[group]])]
        gradient, = torch.autograd.grad(target.sum(), x)
        f[group] = target.detach()
        for layer, state in zip(layers, states):
            spaces[f"activations/{layer}"][group] = state.detach()
        l1, square = gradient.abs().sum(-1).numpy(), (gradient * x).detach().square().sum(-1).numpy()
        for b, n in enumerate(group):
            for j in range(max(0, K - n), K):
                own = slice(*(1 + tokens - places[n] + places[[n - K + j, n - K + j + 1]]))
                spaces["gradient_norm"][n, j] = l1[b, own].sum()
                spaces["gradient_x_input"][n, j] = square[b, own].sum() ** 0.5
    valid = np.arange(K) >= K - np.arange(words)[:, None]
    return spaces, valid, f


# Words -> TRs -> design; responses

def standardize(x):
    """z-scores of each column, population standard deviation; a constant column becomes 0."""
    constant = (x == x[0]).all(0)
    return np.where(constant, 0, (x - x.mean(0)) / np.where(constant, 1, x.std(0)))


def design(space, onsets):
    """(words, columns) -> (ROWS, columns x delays): mean of a TR's words on a grid that begins max(delays) rows early, delays, z-scores."""
    row = np.floor((np.array(onsets) - START) / TR).astype(int) + GAP
    inside = (row >= 0) & (row < ROWS + GAP)
    grid = np.zeros((ROWS + GAP, space.shape[1]))
    np.add.at(grid, row[inside], space[inside])
    grid /= np.maximum(np.bincount(row[inside], minlength=len(grid)), 1)[:, None]
    return standardize(np.hstack([grid[GAP - delay:GAP - delay + ROWS] for delay in DELAYS]))


def read_responses(folder):
    """Names of the subjects and (ROWS, subjects x regions), high-passed at 128 s, then z-scored; the subject of zeros (s33) is left out."""
    t, basis = np.arange(ROWS), [np.ones(ROWS)]
    basis += [np.cos(np.pi * (2 * t + 1) * k / (2 * ROWS)) for k in range(1, int(2 * ROWS * TR / 128) + 1)]
    basis = np.linalg.qr(np.array(basis).T)[0]
    subjects, columns = [], []
    for path in sorted(folder.glob("s*-timecourses.txt")):
        y = np.loadtxt(path)
        assert y.shape == (ROWS, len(REGIONS)) and np.isfinite(y).all()
        if y.any():
            subjects.append(path.name.split("-")[0])
            columns.append(standardize(y - basis @ (basis.T @ y)))
    return subjects, np.hstack(columns)


# Ridge

def folds(rows):
    """(training rows, held-out rows) of contiguous blocks of `rows`, the earlier ones a row longer where they cannot be equal.

    A training row goes where a held-out row is at most GAP rows of the run away, whatever was dropped between them."""
    for held in np.array_split(rows, FOLDS):
        near = np.abs(rows[:, None] - held).min(1) <= GAP
        yield rows[~near], held


def correlate(a, b):
    """Pearson's r of columns, 0 where one is constant."""
    a, b = a - a.mean(-2, keepdims=True), b - b.mean(-2, keepdims=True)
    norm = np.sqrt((a * a).sum(-2) * (b * b).sum(-2))
    return np.divide((a * b).sum(-2), norm, out=np.zeros(norm.shape), where=norm > 0)


def scores_of_penalties(x, y, train, held):
    """(penalties, voxels): r on the held-out rows of a ridge fit to the training rows, both centred by the training rows."""
    mean = x[train].mean(0)
    u, s, v = np.linalg.svd(x[train] - mean, full_matrices=False)
    shrunk = (s / (s * s + ALPHAS[:, None]))[:, :, None] * (u.T @ (y[train] - y[train].mean(0)))
    return correlate((x[held] - mean) @ v.T @ shrunk, y[held])


def nested(x, y):
    """Score (voxels), the chosen penalties' places (outer folds, voxels), the lead of the best mean inner r over the next, and how far the
    score moves at most if any penalty within TIE of the best is taken instead."""
    every = np.arange(y.shape[1])
    score, best, lead, slack = [], [], [], []
    for train, held in folds(np.arange(len(x))):
        inner = np.mean([scores_of_penalties(x, y, *fold) for fold in folds(train)], 0)
        best.append(inner.argmax(0))  # the first of equals: the smaller penalty
        outer = scores_of_penalties(x, y, train, held)
        score.append(outer[best[-1], every])
        lead.append(inner.max(0) - np.sort(inner, 0)[-2])
        slack.append(np.where(inner > inner.max(0) - TIE, np.abs(outer - score[-1]), 0).max(0))
    return np.mean(score, 0), np.array(best), np.min(lead, 0), np.mean(slack, 0)


# Checks of this file's own parts against others' code and against definitions

def check(model, folder, ids, places, x, y):
    import transformers
    other = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens, group = next(w for w in windows(places) if w[0] == 100)
    window = torch.tensor([model.config["bos_token_id"], *ids[places[group[0]] - tokens:places[group[0]]]])[None]
    target = int(ids[places[group[0]]])
    embeddings = model.table[window].requires_grad_()
    log_prob, states = model.forward(embeddings)
    gradient, = torch.autograd.grad(log_prob[0, target], embeddings)
    theirs = model.table[window].float().requires_grad_()
    out = other(inputs_embeds=theirs, output_hidden_states=True)
    their_log_prob = out.logits[:, -1].log_softmax(-1)
    their_gradient, = torch.autograd.grad(their_log_prob[0, target], theirs)
    # hidden_states: 00 .. layers - 1, then the last one after the norm; the last block's own output is not among them
    pairs = [*zip(states[:-2], [h[:, -1] for h in out.hidden_states]), (states[-1], out.hidden_states[-1][:, -1])]
    pairs = [(log_prob, their_log_prob), *pairs, (gradient, their_gradient)]
    error = [float((a - b).detach().abs().max() / b.detach().abs().max()) for a, b in pairs]
    print("largest error against transformers in float32, relative to the largest value, of log-probabilities, states, gradient:",
          *(f"{e:.1e}" for e in error))
    assert max(error) < 1e-4
    direction, step = torch.randn(embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 1e-5
    up, down = (model.forward(embeddings.detach() + sign * step * direction)[0][0, target] for sign in (1, -1))
    slope, difference = float((gradient * direction).sum()), float((up - down) / (2 * step))
    print(f"gradient along a random direction {slope:.9f}, by central differences {difference:.9f}")
    assert abs(slope - difference) < 1e-7 * abs(slope) + 1e-8
    train, held = next(folds(np.arange(ROWS)))
    xc, yc = x[train] - x[train].mean(0), y[train] - y[train].mean(0)
    plain = [correlate(x[held] @ np.linalg.solve(xc.T @ xc + alpha * np.eye(xc.shape[1]), xc.T @ yc), y[held]) for alpha in ALPHAS]
    error = np.abs(plain - scores_of_penalties(x, y, train, held)).max()
    print(f"ridge against normal equations, largest difference of r: {error:.1e}")
    assert error < 1e-9


def check_stability(space, onsets, y, score, best, slack):
    """What a float32 implementation may differ by: features off by 1e-5 of themselves."""
    noise = np.random.default_rng(0).standard_normal(space.shape)
    moved_score, moved_best, _, _ = nested(design(space * (1 + 1e-5 * noise), onsets), y)
    same = (moved_best == best).all(0)
    moved = np.abs(moved_score - score)
    print(f"features moved by 1e-5 of themselves: r moves by at most {moved[same].max():.1e} where no penalty changes;",
          f"one does in {(~same).sum()} of {same.size}; r moves beyond the slack by at most {(moved - slack).max():.1e}")


# Output

def table(title, names, mean, sem):
    print(f"\n{title:<22}" + "".join(f"{region:>16}" for region in REGIONS) + f"{'mean':>8}")
    for name, row, error in zip(names, mean, sem):
        print(f"{name:<22}" + "".join(f"{m:>9.4f} ±{e:.4f}" for m, e in zip(row, error)) + f"{row.mean():>8.4f}")


def golden(folder, names, subjects, ids, places, spaces, f, score, best, lead, slack):
    """Files and shapes are told in alice.txt."""
    words = len(f)
    # every row of the start, where columns are missing, then evenly to the last word
    rows = np.unique(np.r_[0:4, 9:12, 39:42, np.linspace(60, words - 1, GOLDEN_ROWS - 10).round()].astype(int))
    assert len(rows) == GOLDEN_ROWS
    shape = (len(spaces), len(subjects), len(REGIONS))
    window = places[rows] - places[np.maximum(rows - CONTEXT, 0)] + 1
    files = {
        "rows": (np.array([rows, places[rows], places[rows + 1] - places[rows], window, ids[places[rows]]], "<i4").T.copy(),
                 "row x (word, place of its first token in the story, its tokens, tokens in its window with BOS, id of its first token)"),
        "log_prob": (f[rows].astype("<f8"), "row: log-probability of the word's first token; NaN for word 0"),
        "gradients": (np.array([spaces[s][rows] for s in names[:2]], "<f4"), "(gradient_norm, gradient_x_input) x row x K columns"),
        "activations": (np.array([spaces[f"activations/{layer}"][rows] for layer in GOLDEN_LAYERS], "<f4"),
                        f"layer ({', '.join(GOLDEN_LAYERS)}) x row x width"),
        "scores": (score.reshape(shape).astype("<f4"), "space x subject x region: mean r over the outer folds"),
        "alphas": (best.reshape(shape[0], FOLDS, *shape[1:]).astype("<i4"),
                   "space x outer fold x subject x region: place of the penalty among 20, log-spaced from 1e-1 to 1e8"),
        "lead": (lead.reshape(shape).round(9).astype("<f4"),
                 "space x subject x region: by how much the chosen penalty leads in mean inner r, least of the outer folds"),
        "slack": (slack.reshape(shape).astype("<f4"),
                  f"space x subject x region: how far the score moves at most with penalties whose mean inner r is within {TIE:g} of the best")}
    lines = ["Golden numbers of the Alice study by the defaults, made by tests/oracle/alice.py (float64). Little-endian, C order.", ""]
    for name, (array, meaning) in files.items():
        np.save(folder / f"alice_{name}.npy", array)
        lines.append(f"alice_{name}.npy {array.dtype.str[1:]} {array.shape}: {meaning}")
    lines += ["", f"words {words} tokens {len(ids)}", "spaces " + " ".join(names), "subjects " + " ".join(subjects)]
    lines.append("regions " + " ".join(REGIONS))
    (folder / "alice.txt").write_text("\n".join(lines) + "\n")
    print("written:", sum(path.stat().st_size for path in folder.glob("alice*")), "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="folder with alice/ and stories260K/")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parents[1] / "golden")
    parser.add_argument("--check", action="store_true", help="hold this file's parts against others' code and definitions")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    words, onsets = read_words(next((arguments.data / "alice/stim").glob("*.TextGrid")))
    model = Llama(arguments.data / "stories260K")
    ids, places = tokenize(words, tokenizers.Tokenizer.from_file(str(arguments.data / "stories260K/tokenizer.json")))
    spaces, valid, f = features(model, ids, places)
    assert all((spaces[name][~valid] == 0).all() for name in ("gradient_norm", "gradient_x_input"))
    print(f"{len(words)} words, {len(ids)} tokens, mean log-probability {np.nanmean(f):.6f}; {time.monotonic() - began:.0f} s")
    subjects, y = read_responses(arguments.data / "alice/10mm")
    names = list(spaces)
    designs = [design(spaces[name], onsets) for name in names]
    if arguments.check:
        check(model, arguments.data / "stories260K", ids, places, designs[0], y)
    score, best, lead, slack = (np.array(part) for part in zip(*[nested(x, y) for x in designs]))
    if arguments.check:
        for name, *result in zip(names, score, best, slack):
            check_stability(spaces[name], onsets, y, *result)
    print(f"{len(subjects)} subjects; scores done after {time.monotonic() - began:.0f} s")
    by_region = score.reshape(len(names), len(subjects), -1)
    table("r, mean ±SEM", names, by_region.mean(1), by_region.std(1, ddof=1) / len(subjects) ** 0.5)
    print(f"\nbest and second penalty within {TIE:g} in mean inner r in some outer fold: {(lead < TIE).sum()} of {lead.size}",
          f"(space, subject, region), within {TIE / 10:g}: {(lead < TIE / 10).sum()};",
          f"the score then moves by at most {slack.max():.2e}, by more than 1e-4 in {(slack > 1e-4).sum()};",
          f"best penalty is the smallest in {(best == 0).mean():.3f} of the folds, the largest in {(best == len(ALPHAS) - 1).mean():.3f}")
    arguments.output.mkdir(exist_ok=True)
    golden(arguments.output, names, subjects, ids, places, spaces, f, score, best, lead, slack)


if __name__ == "__main__":
    main()
