"""Golden files of attribution: every feature space once more in torch, float64, on stories260K, from the definitions and not from the C sources.

The text is the model's own (greedy from BOS), so that the goldens hold no one's sentences. The language model is alice.py's. Path integrals are
composite Gauss-Legendre of 828 nodes, far beyond what is tested (with 190 the golden itself was wrong by 2e-2 at a baseline ratio of 0.1); `gauss50` is the customary rule with 50 nodes.

    python tests/oracle/make_attribution_goldens.py FOLDER_OF_STORIES260K [--output tests/golden/attribution]
"""
import argparse
import pathlib

import numpy as np
import tokenizers
import torch

from alice import Llama, tokenize

TOKENS, CONTEXT, K = 300, 40, 10
PATH_CONTEXT = 30                      # words: windows of about 60 tokens
ROWS = [1, 3, 7, 12, 30, 55, 80, 110]  # words of the story's beginning, where columns are missing, and later ones
LONG = list(range(40, 136, 6))         # words of which path integrals are taken
LAYERS = (0, 1, 3, 5)


class Model(Llama):
    def states(self, x, hidden=None, silent=None, writes=None):
        """Logits at the last position, and all positions of 00 .. layers. hidden: keys nobody attends to; silent: values that are zero;
        writes: a list that takes what each block's attention writes."""
        states, last = [x], x.shape[1]
        for layer in range(self.config["num_hidden_layers"]):
            block = f"model.layers.{layer}."
            self.hidden, self.silent, self.weights_of = hidden, silent, None
            write = self.attention(self.norm(x, block + "input_layernorm.weight"), block + "self_attn.")
            if writes is not None:
                writes.append(write)
            x = x + write
            x = x + self.mlp(self.norm(x, block + "post_attention_layernorm.weight"), block + "mlp.")
            states.append(x)
        final = self.norm(x, "model.norm.weight")
        head = self.table if self.config["tie_word_embeddings"] else self.weights["lm_head.weight"]
        return final[:, -1] @ head.T, states, final

    def attention(self, x, prefix):
        rows, tokens, _ = x.shape

        def project(name, heads):
            return (x @ self.weights[f"{prefix}{name}_proj.weight"].T).view(rows, tokens, heads, -1).transpose(1, 2)
        query, key, value = self.rotate(project("q", self.heads)), self.rotate(project("k", self.key_heads)), project("v", self.key_heads)
        if self.silent is not None:
            value = value * (~self.silent)[None, None, :, None]
        key, value = (t.repeat_interleave(self.heads // self.key_heads, 1) for t in (key, value))
        score = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        forbidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        if self.hidden is not None:
            forbidden = forbidden | self.hidden[None, :]
        weight = score.masked_fill(forbidden, -torch.inf).softmax(-1)
        self.attended = getattr(self, "attended", [])
        self.attended.append(weight[:, :, -1].detach().clone())  # what is kept must not hold a graph
        return (weight @ value).transpose(1, 2).reshape(rows, tokens, -1) @ self.weights[f"{prefix}o_proj.weight"].T


def f_of(logits, target, kind="log_prob", reference=None):
    log_p = logits.log_softmax(-1)
    if kind == "log_prob":
        return log_p[..., target]
    if kind == "surprisal":
        return -log_p[..., target] / np.log(2)
    if kind == "prob":
        return log_p[..., target].exp()
    if kind == "logit":
        return logits[..., target]
    if kind == "contrast":
        others = torch.cat([logits[..., :target], logits[..., target + 1:]], -1)
        return logits[..., target] - others.max(-1).values
    if kind == "entropy":
        return -(log_p.exp() * log_p).sum(-1) / np.log(2)
    return (reference.exp() * (reference - log_p)).sum(-1)


class Story:
    def __init__(self, model, ids, first):
        self.model, self.ids, self.first, self.context = model, ids, first, CONTEXT
        self.bos = model.config["bos_token_id"]
        norms = model.table.norm(dim=1)
        self.median = norms.sort().values[[(len(norms) - 1) // 2, len(norms) // 2]].mean()
        mean = model.table.mean(0)
        self.mean, self.mean_scaled = mean, mean * self.median / mean.norm()

    def window(self, n, begin=None, more=0):
        """Ids of BOS and the context of word n, and the K words' places in it."""
        begin = self.first[max(0, n - self.context)] if begin is None else begin
        window = [self.bos, *self.ids[begin:self.first[n] + more]]
        places = [(max(self.first[w], begin) - begin + 1, max(self.first[w + 1], begin) - begin + 1) if w >= 0 else (1, 1) for w in range(n - K, n)]
        return torch.tensor([int(i) for i in window]), places

    def embed(self, window):
        return self.model.table[window][None]

    def gradient(self, n, kind="log_prob", parts=1, begin=None, argmax=False, reference=None):
        """df/dx (tokens, width) of the window, x, f, places; parts: of so many tokens of the word, their sum."""
        total, f = 0, 0
        for part in range(parts):
            window, places = self.window(n, begin, part)
            x = self.embed(window).requires_grad_()
            logits, _, _ = self.model.states(x)
            target = int(logits[0].argmax()) if argmax else int(self.ids[self.first[n] + part])
            value = f_of(logits[0], target, kind, reference)
            gradient, = torch.autograd.grad(value, x)
            whole = len(window) - part
            total, f = total + gradient[0, :whole], f + value.detach()
            x = x.detach()[0, :whole]
        return total, x, float(f), places


def gradient_norm(gradient, places):
    return [float(gradient[b:e].abs().sum()) for b, e in places]


def erasures(story, n):
    """(kinds, K): f(x) - f(x without a word)."""
    window, places = story.window(n)
    target, table, out = int(story.ids[story.first[n]]), story.model.table, np.full((5, K), np.nan)
    whole = f_of(story.model.states(story.embed(window))[0][0], target)
    for j, (b, e) in enumerate(places):
        if e <= b:
            continue
        keep = torch.ones(len(window), dtype=torch.bool)
        keep[b:e] = False
        x = story.embed(window)
        zero, replaced = x.clone(), x.clone()
        zero[0, b:e], replaced[0, b:e] = 0, table[5]
        without = [story.model.states(x[:, keep])[0], story.model.states(zero)[0], story.model.states(replaced)[0],
                   story.model.states(x, hidden=~keep)[0], story.model.states(x, silent=~keep)[0]]
        out[:, j] = [float(whole - f_of(z[0], target)) for z in without]
    return out


def nodes_of(each=12, steps=64, halvings=5):
    """Composite Gauss-Legendre: `each` nodes on every 1/steps of the way, the first of which is halved towards 0 some times more."""
    a, w = np.polynomial.legendre.leggauss(each)
    edges = [0.0, *[2.0 ** -i / steps for i in range(halvings, 0, -1)], *[i / steps for i in range(1, steps + 1)]]
    return (np.concatenate([(hi - lo) / 2 * a + (hi + lo) / 2 for lo, hi in zip(edges, edges[1:])]),
            np.concatenate([(hi - lo) / 2 * w for lo, hi in zip(edges, edges[1:])]))


def path(story, n, baseline, rule, recent=False, parts=1):
    """Integrated gradients (K) by a rule (places, weights), f(x) - f(x')."""
    scores, change = np.zeros(K), 0.0
    for part in range(parts):
        window, places = story.window(n, more=part)
        moved = torch.zeros(len(window), 1, dtype=torch.float64)
        moved[(places[0][0] if recent else 1):places[-1][1]] = 1
        x, target = story.embed(window), int(story.ids[story.first[n] + part])
        difference = (x - baseline) * moved
        along = 0
        for begin in range(0, len(rule[0]), 100):  # nodes at a time, for memory
            a = torch.tensor(rule[0][begin:begin + 100])[:, None, None]
            y = (x - difference + a * difference).requires_grad_()
            f = f_of(story.model.states(y)[0], target)
            gradient, = torch.autograd.grad(f.sum(), y)
            along = along + (torch.tensor(rule[1][begin:begin + 100])[:, None] * (gradient * difference).sum(-1)).sum(0)
        ends = f_of(story.model.states(torch.cat([x, x - difference]))[0], target)
        scores += [float(along[b:e].sum()) for b, e in places]
        change += float(ends[0] - ends[1])
    return scores, change


def conductance(story, n, baseline, rule):
    """Of sites block, attn, mlp: `last` and `sum` (layers, width); by_word (layers, K) at the last position; all along the whole window's path."""
    window, places = story.window(n)
    moved = torch.zeros(len(window), 1, dtype=torch.float64)
    moved[1:] = 1
    x, target = story.embed(window), int(story.ids[story.first[n]])
    difference = (x - baseline) * moved
    last, total, words = 0, 0, 0
    for a, weight in zip(*rule):
        y = x - difference + a * difference

        def everything(y):
            writes = []
            logits, states, _ = story.model.states(y, writes=writes)
            return torch.stack([s[0] for s in states]), torch.stack([w[0] for w in writes])
        (states, writes), (dstates, dwrites) = torch.func.jvp(everything, (y,), (difference,))
        leaf = y.detach().requires_grad_()
        writes = []
        logits, states, _ = story.model.states(leaf, writes=writes)
        gradients = torch.autograd.grad(f_of(logits[0], target), [*states, *writes], allow_unused=True)
        layers = len(writes)
        dy = torch.stack([g[0] for g in gradients[:layers + 1]])
        dw = torch.stack([g[0] for g in gradients[layers + 1:]])
        block, attn = dy * dstates, dw * dwrites
        mlp = dy[1:] * (dstates[1:] - dstates[:-1] - dwrites)
        last = last + weight * torch.cat([block[:, -1], attn[:, -1], mlp[:, -1]])
        total = total + weight * torch.cat([block.sum(1), attn.sum(1), mlp.sum(1)])
        by_word = []
        for b, e in places:
            part = torch.zeros_like(difference)
            part[:, b:e] = difference[:, b:e]
            _, (dpart, _) = torch.func.jvp(everything, (y,), (part,))
            by_word.append((dy[:, -1] * dpart[:, -1]).sum(-1))
        words = words + weight * torch.stack(by_word, -1)
    return last.detach(), total.detach(), words.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parents[1] / "golden/attribution")
    parser.add_argument("--only", choices=("windows", "path"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = Model(arguments.model)
    tokenizer = tokenizers.Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    tokens = [model.config["bos_token_id"]]
    with torch.no_grad():
        while len(tokens) < TOKENS:
            tokens.append(int(model.states(model.table[torch.tensor(tokens)][None])[0][0].argmax()))
    words = tokenizer.decode(tokens[1:]).split()
    ids, first = tokenize(words, tokenizer)
    story = Story(model, ids, first)
    print(len(words), "words,", len(ids), "tokens, multi-token words:", int((np.diff(first) > 1).sum()))
    arguments.output.mkdir(parents=True, exist_ok=True)

    def save(name, array, kind="<f4"):
        np.save(arguments.output / f"{name}.npy", np.ascontiguousarray(np.asarray(array, kind)))

    save("ids", ids, "<i4")
    save("first", first, "<i4")
    save("rows", ROWS, "<i4")
    save("long", LONG, "<i4")
    if arguments.only != "path":
        windows(story, save)
    if arguments.only != "windows":
        paths(story, save, arguments.output)
    print("written:", sum(p.stat().st_size for p in arguments.output.glob("*.npy")), "bytes")


def windows(story, save):
    """What is read from single windows."""
    model, ids, first = story.model, story.ids, story.first
    reference = model.states(story.embed(torch.tensor([story.bos])))[0][0].log_softmax(-1).detach()
    kinds = ("log_prob", "logit", "prob", "surprisal", "contrast", "entropy", "kl")
    save("targets", [[gradient_norm(g, places) for g, _, _, places in [story.gradient(n, kind, reference=reference)]][0] for kind in kinds for n in ROWS])
    save("argmax", [gradient_norm(g, places) for g, _, _, places in [story.gradient(n, argmax=True) for n in ROWS]])
    several = [story.gradient(n, parts=int(first[n + 1] - first[n])) for n in ROWS]
    save("whole_word", [gradient_norm(g, places) for g, _, _, places in several])
    save("x_input", [[float((g * x)[b:e].norm()) for b, e in places] for g, x, _, places in several])
    anchored = [story.gradient(n, begin=first[20 * max(0, -(-(n - 40) // 20))]) for n in ROWS]
    growing = [story.gradient(n, begin=0) for n in ROWS]
    of_tokens = [story.gradient(n, begin=max(0, first[n] - 30)) for n in ROWS]
    save("contexts", [gradient_norm(g, places) for g, _, _, places in anchored + growing + of_tokens])
    save("erasure", np.stack([erasures(story, n) for n in ROWS], 1))
    attention, surprisal = [], []
    with torch.no_grad():
        for n in ROWS:
            window, places = story.window(n)
            model.attended = []
            log_p = model.states(story.embed(window))[0][0].log_softmax(-1)
            attention.append([[[float(head[b:e].sum()) for b, e in places] for head in layer[0]] for layer in model.attended])
            whole = 0.0
            for t in range(first[n], first[n + 1]):
                longer, _ = story.window(n, more=t - first[n])
                whole -= float(f_of(model.states(story.embed(longer))[0][0], int(ids[t]))) / np.log(2)
            surprisal.append([-float(log_p[ids[first[n]]]) / np.log(2), whole, -float((log_p.exp() * log_p).sum()) / np.log(2)])
        heard = []
        for n in ROWS:
            own = int(first[n + 1] - first[n])
            _, states, final = model.states(story.embed(story.window(n, more=own)[0]))
            heard.append([[s[0, -1].numpy(), s[0, -own:].mean(0).numpy()] for s in (states[0], states[3], states[5], final)])
    save("attention", attention)
    save("surprisal", surprisal)
    save("heard", heard)


def paths(story, save, folder):
    """Path integrals; the text's context is shorter here."""
    first = story.first
    story.context = PATH_CONTEXT
    fine, gauss = nodes_of(), [(np.polynomial.legendre.leggauss(50)[0] + 1) / 2, np.polynomial.legendre.leggauss(50)[1] / 2]
    truth = [[path(story, n, ratio * story.mean_scaled, fine) for n in LONG] for ratio in (1.0, 0.3, 0.1)]
    save("path", [[s for s, _ in t] for t in truth], "<f8")
    save("change", [[c for _, c in t] for t in truth], "<f8")
    save("gauss50", [path(story, n, story.mean_scaled, gauss)[0] for n in LONG], "<f8")
    save("recent", [path(story, n, story.mean_scaled, fine, recent=True)[0] for n in LONG[:6]], "<f8")
    save("parts", [path(story, n, story.mean_scaled, fine, parts=int(first[n + 1] - first[n]))[0] for n in LONG[:4]], "<f8")
    error = np.linalg.norm(np.load(folder / "gauss50.npy") - np.load(folder / "path.npy")[0], axis=1)
    print("Gauss-Legendre, 50 nodes, median relative error", np.median(error / np.linalg.norm(np.load(folder / "path.npy")[0], axis=1)))
    coarse = nodes_of(10, 32, 3)
    last, total, words_part = zip(*[conductance(story, n, story.mean_scaled, coarse) for n in (3, 55, 110)])
    picked = [*LAYERS, *(6 + l - 1 for l in LAYERS[1:]), *(11 + l - 1 for l in LAYERS[1:])]  # block, attn 01.., mlp 01..
    save("conductance_last", torch.stack(last)[:, picked])
    save("conductance_sum", torch.stack(total)[:, picked])
    save("conductance_words", torch.stack(words_part)[:, list(LAYERS)])
    influence = [[(s[6:11] + s[11:16]).sum(-1).abs().numpy(), s[1:6].abs().sum(-1).numpy(), (s[1:6].sum(-1) / t[0].sum()).numpy()] for s, t in zip(last, total)]
    save("influence", influence)


if __name__ == "__main__":
    main()
