"""What a word costs by the customary Python way: captum and plain torch on a model of GPT-2's shape (124M), random weights, float32.

One window of 64 tokens (BOS and 63) per word, target: the log-probability of a given next token, the last K = 10 tokens attributed,
a token standing for a word. Every method is timed once a repeat, in turn, so that a busy machine is busy for all of them:
  forward               the plain forward, for scale
  saliency              captum Saliency, L1 a token
  input_x_gradient      captum InputXGradient, L2 a token
  gradient_plain        torch.autograd.grad alone; both of the above from one backward
  erasure               plain torch: the window and its K deletions, the K as one batch
  integrated_gradients  captum IntegratedGradients, Gauss-Legendre, 50 steps, BOS real, baseline of the mean embedding's direction
  layer_conductance     captum LayerConductance of every layer, one call a layer, the same path; the last position's units

    python bench/peers/attribution_peer.py --words 16 --path-words 1 --repeats 5 > peers.jsonl
    python bench/peers/attribution_peer.py --beside "COMMAND"    # COMMAND runs once a repeat, in turn with the methods

Prints one JSON line a method: {"method", "seconds_per_word" (median), "n" (repeats), "least", "most", "words", ...}. A COMMAND prints
JSON lines with "method" and "seconds_per_word"; they come back as medians too, with "ratio" (the peer's median / its own) where the
peer has a method of that name. The first line describes the machine by CPU model and cores, and the versions.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

import captum.attr
import torch
import transformers

TOKENS, K, STEPS = 64, 10, 50


class LastPosition(torch.nn.Module):
    """Embeddings (rows, tokens, width) -> log-probabilities at the last position, the vocabulary head evaluated there alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, embeddings):
        return self.model(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1).logits[:, -1].log_softmax(-1)


class Peer:
    def __init__(self, layers):
        torch.manual_seed(0)
        config = transformers.GPT2Config(n_layer=layers, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
        self.network = LastPosition(transformers.GPT2LMHeadModel(config).eval().requires_grad_(False))
        self.table = self.network.model.get_input_embeddings().weight
        mean = self.table.mean(0)
        self.baseline = mean * self.table.norm(dim=1).median() / mean.norm()
        self.layers = self.network.model.transformer.h

    def windows(self, words):
        """Ids (words, TOKENS) that begin with BOS, and the next token of each."""
        ids = torch.randint(self.table.shape[0], (words, TOKENS + 1), generator=torch.Generator().manual_seed(1))
        ids[:, 0] = self.network.model.config.bos_token_id
        return ids[:, :-1], ids[:, -1]

    def start(self, x):
        """The path's beginning: the baseline everywhere, BOS real."""
        start = self.baseline.expand_as(x).clone()
        start[:, 0] = x[:, 0]
        return start

    def forward(self, ids, target):
        with torch.no_grad():
            return self.network(self.table[ids]).gather(1, target[:, None])

    def saliency(self, ids, target):
        return captum.attr.Saliency(self.network).attribute(self.table[ids].requires_grad_(), target)[:, -K:].sum(-1)

    def input_x_gradient(self, ids, target):
        return captum.attr.InputXGradient(self.network).attribute(self.table[ids].requires_grad_(), target)[:, -K:].norm(dim=-1)

    def gradient_plain(self, ids, target):
        x = self.table[ids].requires_grad_()
        gradient, = torch.autograd.grad(self.network(x).gather(1, target[:, None]).sum(), x)
        return gradient[:, -K:].abs().sum(-1), (gradient * x.detach())[:, -K:].norm(dim=-1)

    def erasure(self, ids, target):
        keep = torch.stack([torch.arange(TOKENS)[torch.arange(TOKENS) != i] for i in range(TOKENS - K, TOKENS)])
        with torch.no_grad():
            whole = self.network(self.table[ids]).gather(1, target[:, None])
            without = self.network(self.table[ids[:, keep].flatten(0, 1)])
            return whole - without.gather(1, target.repeat_interleave(K)[:, None]).view(-1, K)

    def integrated_gradients(self, ids, target):
        x = self.table[ids]
        return captum.attr.IntegratedGradients(self.network).attribute(x, self.start(x), target, n_steps=STEPS)[:, -K:].sum(-1)

    def layer_conductance(self, ids, target):
        x = self.table[ids]
        return torch.stack([captum.attr.LayerConductance(self.network, layer).attribute(x, self.start(x), target, n_steps=STEPS)[:, -1]
                            for layer in self.layers])


METHODS = ("forward", "saliency", "input_x_gradient", "gradient_plain", "erasure", "integrated_gradients", "layer_conductance")
PATH_METHODS = METHODS[-2:]


def measure(peer, method, words, batch):
    """Seconds per word of `words` words, `batch` at a time."""
    ids, target = peer.windows(words)
    began = time.perf_counter()
    for at in range(0, words, batch):
        getattr(peer, method)(ids[at:at + batch], target[at:at + batch])
    return (time.perf_counter() - began) / words


def run_beside(command):
    """Seconds per word by method of a command that prints JSON lines."""
    out = subprocess.run(shlex.split(command), check=True, stdout=subprocess.PIPE, text=True).stdout
    records = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = {record["method"]: record["seconds_per_word"] for record in records if "seconds_per_word" in record}
    if not found:
        raise SystemExit(f"{command}: printed no JSON line with \"method\" and \"seconds_per_word\"")
    return found


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "versions": {name: importlib.metadata.version(name) for name in ("captum", "torch", "transformers")}}


def summary(method, times, **more):
    return {"method": method, "seconds_per_word": statistics.median(times), "n": len(times),
            "least": min(times), "most": max(times)} | more


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=positive, default=16, help="words a repeat (default 16)")
    parser.add_argument("--path-words", type=positive, default=1, help="words a repeat for the two path methods (default 1)")
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--batch", type=positive, default=1, help="words a call (default 1, the customary way)")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--layers", type=positive, default=12, help="12 is GPT-2; fewer only to try the script")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD",
                        help="default: all of " + ", ".join(METHODS))
    parser.add_argument("--beside", metavar="COMMAND", help="a program to be timed in turn with the methods")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peer = Peer(arguments.layers)
    print(json.dumps(machine() | {"layers": arguments.layers, "tokens": TOKENS, "attributed": K, "steps": STEPS}), flush=True)
    measure(peer, "gradient_plain", 2, 1)  # first touches
    words = {method: arguments.path_words if method in PATH_METHODS else arguments.words for method in arguments.methods}
    times, beside = {method: [] for method in arguments.methods}, {}
    for repeat in range(arguments.repeats):
        for method in arguments.methods:
            times[method].append(measure(peer, method, words[method], arguments.batch))
            print(f"repeat {repeat + 1} of {arguments.repeats}: {method} {times[method][-1]:.4f} s a word", file=sys.stderr)
        if arguments.beside:
            for method, seconds in run_beside(arguments.beside).items():
                beside.setdefault(method, []).append(seconds)
    for method in arguments.methods:
        print(json.dumps(summary(method, times[method], words=words[method], batch=arguments.batch)))
    for method, seconds in beside.items():
        ratio = {"ratio": statistics.median(times[method]) / statistics.median(seconds)} if method in times else {}
        print(json.dumps(summary(method, seconds, program=arguments.beside, **ratio)))


if __name__ == "__main__":
    main()
