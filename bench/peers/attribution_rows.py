"""voxgrad beside captum and plain torch, row by row: GPT-2's shape, random weights, float32, K = 10 tokens attributed, the same target.

Each row is the same work by both, timed in turn, repeat by repeat; medians and their ratio go to a Markdown table.

    python bench/peers/attribution_rows.py --voxgrad build/release/voxgrad --repeats 3 > bench/results/attribution.md

What is compared is processor time, by default on one thread each, which other work on the machine hardly changes; wall time is in the
table of --wall. Words a repeat are few, because a captum conductance takes a minute a word; it is called for --layers of the 12 layers
and multiplied. Peers: attribution_peer.py (one word a call, as a user writes
it). voxgrad: `voxgrad bench attribution`, for the long ones without its untimed first round. Equal error: tests/attribution/test_paths
asserts that on a trained model 39 nodes of the trapezoid err no more than 50 of Gauss-Legendre.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

import attribution_peer
from attribution_peer import K, TOKENS, Peer, machine

LONG = 1000


class LongPeer(Peer):
    """More of what is compared: erasure one word at a time, and windows of 1,000 tokens."""

    def saliency_and_input_x_gradient(self, ids, target):
        return self.saliency(ids, target), self.input_x_gradient(ids, target)

    def erasure_one_by_one(self, ids, target):
        keep = [torch.arange(TOKENS)[torch.arange(TOKENS) != i] for i in range(TOKENS - K, TOKENS)]
        whole = self.forward(ids, target)
        return torch.cat([whole - self.forward(ids[:, k], target) for k in keep], 1)

    def saliency_long(self, ids, target):
        return self.saliency(ids, target)


# What, the peer's method, its words a repeat, the factor to reach, voxgrad's options, the bench's method.
ROWS = [
    ("gradient_norm and gradient_x_input", "saliency_and_input_x_gradient", 6, 3, "--words 64", "gradient_norm+gradient_x_input"),
    ("erasure of 10 words", "erasure_one_by_one", 3, 6, "--words 64", "erasure"),
    ("integrated_gradients, 50 nodes, whole window", "integrated_gradients", 1, 2, "--words 1 --steps 49 --cold", "integrated_gradients"),
    ("the same at equal error: 39 nodes of ours", "integrated_gradients", 1, 2.5, "--words 1 --steps 38 --cold", "integrated_gradients"),
    ("integrated_gradients, 50 nodes, path: recent", "integrated_gradients", 1, 8, "--words 4 --steps 49 --path recent", "integrated_gradients"),
    ("layer_conductance, 12 layers, 50 nodes", "layer_conductance", 1, 8, "--words 1 --steps 49 --cold", "layer_conductance"),
    ("gradient_norm, anchored, 1,000-token windows", "saliency_long", 1, 30, f"--words 256 --window {LONG} --context anchored", "gradient_norm"),
    ("forward pass, 2,048 positions a batch", "forward", 6, None, "--words 32 --batch 2048", "surprisal"),
]


clock = time.process_time


def peer_seconds(peer, method, words):
    attribution_peer.TOKENS = LONG if method == "saliency_long" else TOKENS
    ids, target = peer.windows(words)
    began = clock()
    for at in range(words):
        getattr(peer, method)(ids[at:at + 1], target[at:at + 1])
    attribution_peer.TOKENS = TOKENS
    return (clock() - began) / words


def our_record(program, threads, options, method):
    command = [program, "bench", "attribution", "--quiet", "--device", "cpu", "--model", "gpt2", "--threads", str(threads), "--repeats", "1",
               "--attributed", str(K), "--methods", method, *options.split()]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxgrad", type=pathlib.Path, required=True)
    parser.add_argument("--repeats", type=attribution_peer.positive, default=3)
    parser.add_argument("--threads", type=attribution_peer.positive, default=1)
    parser.add_argument("--wall", action="store_true", help="compare wall time, on a machine with nothing else to do")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 6, 11], help="those that captum's conductance is timed for")
    parser.add_argument("--rows", type=int, nargs="+", default=range(len(ROWS)), help="which rows, from 0 on (default: all)")
    arguments = parser.parse_args()
    global clock
    clock, key = (time.perf_counter, "seconds_per_word") if arguments.wall else (time.process_time, "cpu_seconds_per_word")
    torch.set_num_threads(arguments.threads)
    peer = LongPeer(12)
    times = len(peer.layers) / len(arguments.layers)
    peer.layers = [peer.layers[i] for i in arguments.layers]
    peer_seconds(peer, "gradient_plain", 2)
    theirs, ours, loads = {i: [] for i in arguments.rows}, {i: [] for i in arguments.rows}, []
    try:
        for repeat in range(arguments.repeats):
            run_rows(peer, arguments, key, times, theirs, ours, loads)
    except KeyboardInterrupt:
        print("interrupted: the table has what was measured", file=sys.stderr)
    write_table(arguments, key, theirs, ours, loads)


def run_rows(peer, arguments, key, times, theirs, ours, loads):
    """Each row once; two rows with the same peer share one call of it."""
    cached = {}
    for i in arguments.rows:
        what, method, words, _, options, ours_method = ROWS[i]
        if (method, words) not in cached:
            cached[method, words] = peer_seconds(peer, method, words) * (times if method == "layer_conductance" else 1)
        record = our_record(str(arguments.voxgrad), arguments.threads, options, ours_method)
        theirs[i].append(cached[method, words])
        ours[i].append(record)
        loads.append(os.getloadavg()[0])
        print(f"{what}: {theirs[i][-1]:.4f} and {record[key]:.4f} s a word, load {loads[-1]:.1f}", file=sys.stderr, flush=True)


def write_table(arguments, key, theirs, ours, loads):
    about = machine()
    print(f"# Attribution beside captum and torch\n\n{about['cpu']}, {about['cores']} cores, {arguments.threads} threads each; "
          f"{', '.join(f'{name} {version}' for name, version in about['versions'].items())}; load average while measuring: median "
          f"{statistics.median(loads):.1f}, {min(loads):.1f} to {max(loads):.1f}. GPT-2's shape (124M), random weights, float32, windows of "
          f"{TOKENS} tokens, K = {K}. Medians of n repeats in turn; {'seconds' if arguments.wall else 'processor seconds'} a word; in brackets "
          f"least and most. captum's layer_conductance: {len(arguments.layers)} of 12 layers timed, times {12 / len(arguments.layers):g}.\n")
    print("| work | n | captum / torch | voxgrad | ratio | to reach | counted GFLOP a word | of the product rate |\n|---|---|---|---|---|---|---|---|")
    for i in filter(lambda row: ours[row], arguments.rows):
        x, y = theirs[i], [record[key] for record in ours[i]]
        ratio = statistics.median(x) / statistics.median(y)
        part = statistics.median(record["fraction_of_gemm" if arguments.wall else "cpu_fraction_of_gemm"] for record in ours[i])
        work = ours[i][0]["gflop_per_word"]
        print(f"| {ROWS[i][0]} | {len(y)} | {statistics.median(x):.3f} ({min(x):.3f}, {max(x):.3f}) | {statistics.median(y):.4f} ({min(y):.4f}, {max(y):.4f}) "
              f"| {ratio:.1f} | {ROWS[i][3] or '-'} | {work:.1f} | {100 * part:.0f} % |")
    print(f"\nMost memory of a voxgrad process: {max(r['peak_bytes'] for i in arguments.rows for r in ours[i]) / 1e9:.2f} GB (weights: 0.50 GB).")


if __name__ == "__main__":
    main()
