"""Trains the demo's language model: a small decoder of the Llama family on stories of jobs/demo/grammar.py, in a few minutes on one CPU core.

Writes, in the layout of Hugging Face, model/tokenizer.json (BPE with byte fallback, as SentencePiece makes it), model/config.json and
model/model.safetensors (float16), and prints the loss on held-out stories beside that of a model which knows only how frequent each token is.

    pip install -r requirements.txt
    python train.py [--steps N]
"""

import argparse
import json
import math
import random
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import grammar

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model"
SEED = 20240601
UNKNOWN, BOS, EOS = 0, 1, 2
VOCABULARY = 512
SPACE = "▁"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "torch_dtype": "float16",
}


def normalizer():
    return normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])


def train_tokenizer(texts):
    """Learns the merges within words, punctuation apart, then lays the vocabulary out as Llama's is: specials, 256 bytes, pieces."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer()
    words = pre_tokenizers.Split(Regex(SPACE), behavior="merged_with_next")
    learner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Punctuation()])
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY - 3 - 256, show_progress=False))
    learned = json.loads(learner.to_str())["model"]

    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += sorted(learned["vocab"], key=learned["vocab"].get)
    start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    layout = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": pieces[i], **added} for i in (UNKNOWN, BOS, EOS)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE},
            {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [start, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": learned["merges"]},
    }
    (MODEL / "tokenizer.json").write_text(json.dumps(layout, ensure_ascii=False) + "\n", encoding="utf-8")
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


def batch_of(stories, starts, rows, length, rng):
    """Windows (rows, length): BOS, then a slice that begins where a word begins: half of them at a story's start, half inside one, because the
    windows in which voxgrad explains a word slide over the story."""
    out = torch.empty(rows, length, dtype=torch.long)
    for row in range(rows):
        i = rng.randrange(len(stories))
        last = len(stories[i]) - (length - 1)
        begin = 0 if rng.random() < 0.5 else rng.choice([s for s in starts[i] if s <= last])
        out[row] = torch.tensor([BOS] + stories[i][begin : begin + length - 1])
    return out


def cross_entropy(model, windows):
    """Nats a token, each token after BOS predicted from those before it in its window."""
    with torch.no_grad():
        logits = model(windows[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).double(), windows[:, 1:].flatten()).item()


def train(model, stories, starts, steps):
    rng = random.Random(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.05)
    for step in range(steps):
        rate = 4e-3 * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        windows = batch_of(stories, starts, 8, CONFIG["max_position_embeddings"], rng)
        logits = model(windows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.3f}", flush=True)


def save(model):
    """Writes float16 weights, and leaves the model in memory with exactly these."""
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, str(MODEL / "model.safetensors"), metadata={"format": "pt"})
    (MODEL / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    model.half().float()


def report(model, tokenizer, train_ids, held_out, rng):
    """Loss on held-out stories and on the demo's own story, beside the entropy of single tokens."""
    counts = Counter(token for ids in train_ids for token in ids)
    total = sum(counts.values())
    text = " ".join((HERE / "story.txt").read_text(encoding="utf-8").split())
    told = tokenizer.encode(text, add_special_tokens=False).ids
    length = CONFIG["max_position_embeddings"]
    test = [ids[: length - 1] for ids in held_out]
    told_windows = [told[i : i + length - 1] for i in range(0, len(told) - length + 2, 64)]
    for name, slices in (("held-out stories", test), ("story.txt", told_windows)):
        windows = torch.tensor([[BOS] + ids for ids in slices])
        unigram = sum(-math.log((counts[t] + 1) / (total + VOCABULARY)) for ids in slices for t in ids) / sum(map(len, slices))
        print(f"{name}: {cross_entropy(model, windows):.3f} nats a token; single tokens by their frequency: {unigram:.3f}")
    print(f"story.txt: {len(text.split())} words, {len(told)} tokens; parameters {sum(p.numel() for p in model.parameters())}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--stories", type=int, default=8000)
    options.add_argument("--threads", type=int, default=1)
    options = options.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    MODEL.mkdir(exist_ok=True)

    rng = random.Random(SEED)
    texts = [grammar.story(rng) for _ in range(options.stories)]
    tokenizer = train_tokenizer(texts[:4000])
    begins_word = {i for piece, i in tokenizer.get_vocab().items() if piece.startswith(SPACE)}
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    ids = [story for story in ids if len(story) >= CONFIG["max_position_embeddings"]]
    held_out, ids = ids[:200], ids[200:]
    starts = [[i for i, token in enumerate(story) if token in begins_word] for story in ids]

    torch_config = {key: value for key, value in CONFIG.items() if key not in ("architectures", "torch_dtype", "model_type")}
    model = LlamaForCausalLM(LlamaConfig(**torch_config, attn_implementation="sdpa"))
    train(model, ids, starts, options.steps)
    save(model)
    report(model.eval(), tokenizer, ids, held_out, rng)


if __name__ == "__main__":
    main()
