"""Writes a model folder of Llama 2's shape (7B parameters) with random weights in bfloat16, two shards: something larger than a machine's memory.

    python3 bench/peers/random_llama.py FOLDER TOKENIZER [LAYERS]

TOKENIZER: a tokenizer.json with a vocabulary of at most 32,000. 32 layers unless said: 13.5 GB. Needs numpy.
"""
import json
import pathlib
import shutil
import struct
import sys

import numpy

WIDTH, MLP, VOCABULARY, HEADS = 4096, 11008, 32000, 32


def tensors(layers):
    """Name, shape, and whether it is a norm's, which is all ones."""
    yield "model.embed_tokens.weight", (VOCABULARY, WIDTH), False
    for layer in range(layers):
        block = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{block}{norm}.weight", (WIDTH,), True
        for projection in "qkvo":
            yield f"{block}self_attn.{projection}_proj.weight", (WIDTH, WIDTH), False
        for projection in ("gate", "up"):
            yield f"{block}mlp.{projection}_proj.weight", (MLP, WIDTH), False
        yield f"{block}mlp.down_proj.weight", (WIDTH, MLP), False
    yield "model.norm.weight", (WIDTH,), True
    yield "lm_head.weight", (VOCABULARY, WIDTH), False


def bfloat16(values):
    return (values.view(numpy.uint32) >> 16).astype(numpy.uint16)


def write_shard(path, part, generator):
    header, end = {}, 0
    for name, shape, _ in part:
        begin, end = end, end + 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, norm in part:
            values = numpy.ones(shape, numpy.float32) if norm else 0.02 * generator.standard_normal(shape, numpy.float32)
            file.write(bfloat16(values.ravel()).tobytes())


def main():
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    folder, layers = pathlib.Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) == 4 else 32
    folder.mkdir(parents=True, exist_ok=True)
    everything, generator, shard_of = list(tensors(layers)), numpy.random.default_rng(1), {}
    half = len(everything) // 2
    for number, part in enumerate((everything[:half], everything[half:]), 1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        write_shard(folder / shard, part, generator)
        shard_of |= {name: shard for name, _, _ in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": MLP,
        "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "vocab_size": VOCABULARY,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "bos_token_id": 1,
        "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    shutil.copy(sys.argv[2], folder / "tokenizer.json")


if __name__ == "__main__":
    main()
