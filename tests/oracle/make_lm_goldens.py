#!/usr/bin/env python3
"""Golden files of the language models: transformers in float64.

Tiny random models, one a family, go to tests/golden/models/FAMILY (config.json, model.safetensors; weights in float16, phi's in bfloat16), what they
and, where its folder is given, stories260K compute to tests/golden/lm. Weights are read back from the file, so both sides hold the same numbers.

    make_lm_goldens.py [FOLDER_OF_STORIES260K]

transformers casts RMSNorm, some softmaxes and the rotary angles to float32 even in a float64 model; `exact()` undoes that.
Made with torch 2.15 and transformers 5.23.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import transformers
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.phi import modeling_phi
from transformers.models.qwen2 import modeling_qwen2

HERE = pathlib.Path(__file__).resolve().parent.parent / "golden"
VOCABULARY, WIDTH, LAYERS, TOKENS = 97, 16, 2, 8


def frequencies(config, dimensions):
    """Rotary frequencies in double: plain, or Llama 3's (its paper's code: three ranges of wavelengths)."""
    rope = config.rope_parameters
    plain = rope["rope_theta"] ** (-torch.arange(0, dimensions, 2, dtype=torch.float64) / dimensions)
    if rope.get("rope_type", "default") == "default":
        return plain
    assert rope["rope_type"] == "llama3"
    old, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    wavelength = 2 * math.pi / plain
    smooth = (old / wavelength - low) / (high - low)
    between = (1 - smooth) * plain / rope["factor"] + smooth * plain
    slowed = torch.where(wavelength > old / low, plain / rope["factor"], plain)
    return torch.where((wavelength <= old / low) & (wavelength >= old / high), between, slowed)


def exact():
    def rms_norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    def rotary(self, x, position_ids, *_, **__):
        own = frequencies(self.config, 2 * len(self.inv_freq))
        assert torch.allclose(own, self.inv_freq.double(), rtol=1e-6, atol=0)
        angle = position_ids[:, :, None].double() * own
        both = torch.cat((angle, angle), dim=-1)
        return both.cos(), both.sin()

    for module, name in ((modeling_llama, "Llama"), (modeling_mistral, "Mistral"), (modeling_qwen2, "Qwen2")):
        getattr(module, name + "RMSNorm").forward = rms_norm
    for module, name in ((modeling_llama, "Llama"), (modeling_mistral, "Mistral"), (modeling_qwen2, "Qwen2"), (modeling_phi, "Phi"),
                         (modeling_gpt_neox, "GPTNeoX")):
        getattr(module, name + "RotaryEmbedding").forward = rotary
    plain = torch.nn.functional.softmax
    torch.nn.functional.softmax = lambda x, dim=None, _stacklevel=3, dtype=None: plain(x, dim=dim)


def save(name, array, kind="<f4"):
    np.save(HERE / "lm" / f"{name}.npy", np.ascontiguousarray(np.asarray(array.detach() if hasattr(array, "detach") else array).astype(kind)))


def final_norm(model):
    inner = model.base_model
    return next(getattr(inner, n) for n in ("norm", "ln_f", "final_layernorm", "final_layer_norm") if hasattr(inner, n))


def run(model, x):
    """Inputs of the blocks and of the final norm, stacked; logits; attention."""
    seen = {}
    hook = final_norm(model).register_forward_pre_hook(lambda _, args: seen.update(last=args[0]))
    out = model(inputs_embeds=x[None], output_hidden_states=True, output_attentions=True, use_cache=False)
    hook.remove()
    return [h for h in out.hidden_states[:-1]] + [seen["last"]], out.hidden_states[-1], out.logits[0], out.attentions


def goldens(name, model, tokens, next_token, rows, logit_rows):
    """rows: positions of which hidden states are kept; logit_rows: of which logits are."""
    save(f"{name}_tokens", np.array(tokens + [next_token]), "<i4")
    x = model.get_input_embeddings().weight[torch.tensor(tokens)].detach().requires_grad_()
    layers, final, logits, attention = run(model, x)
    for h in layers:
        h.retain_grad()
    f = torch.log_softmax(logits[-1], -1)[next_token]
    f.backward()
    save(f"{name}_layers", torch.stack([h[0, rows] for h in layers]))
    save(f"{name}_final", final[0, -1])
    save(f"{name}_logits", logits[logit_rows])
    save(f"{name}_attention", torch.stack([a[0, :, -1] for a in attention]))
    save(f"{name}_gradient", x.grad)
    save(f"{name}_gradient_layers", torch.stack([h.grad[0, rows] for h in layers[1:]]))
    direction = torch.from_numpy(np.random.default_rng(7).normal(size=x.shape)) * x.detach().abs().mean()
    # Sixteen bits of the direction are enough: both sides use these.
    direction = direction.to(torch.float16).double()
    save(f"{name}_direction", direction)

    def both(y):
        h, _, z, _ = run(model, y)
        return torch.stack([v[0, rows] for v in h]), z[-1]

    _, (dlayers, dlogits) = torch.func.jvp(both, (x.detach(),), (direction,))
    save(f"{name}_tangent_layers", dlayers)
    save(f"{name}_tangent_logits", dlogits)


def tiny_models():
    common = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    usual = dict(common, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, intermediate_size=24, max_position_embeddings=64)
    llama3 = dict(rope_type="llama3", rope_theta=100.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
    yield "llama", transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **usual, num_key_value_heads=2, head_dim=6, rope_parameters=llama3, rms_norm_eps=1e-5, tie_word_embeddings=False)), torch.float16
    yield "qwen2", transformers.Qwen2ForCausalLM(transformers.Qwen2Config(
        **usual, num_key_value_heads=1, rope_parameters=dict(rope_type="default", rope_theta=1e6), tie_word_embeddings=True)), torch.float16
    yield "gpt2", transformers.GPT2LMHeadModel(transformers.GPT2Config(
        **common, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_inner=24, n_positions=16)), torch.float16
    yield "phi", transformers.PhiForCausalLM(transformers.PhiConfig(
        **usual, num_key_value_heads=2, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5),
        hidden_act="gelu_new")), torch.bfloat16
    yield "gpt_neox", transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(
        **usual, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))), torch.float16


def fill(model, seed):
    """Weights large enough that attention looks at something and activations bend."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            norm = any(part in name for part in ("norm", "ln_"))
            p.copy_(1.0 + 0.2 * noise if norm and name.endswith("weight") else 0.2 * noise if p.dim() == 1 else 0.35 * noise)


def main():
    torch.set_grad_enabled(True)
    (HERE / "lm").mkdir(parents=True, exist_ok=True)
    exact()
    everything = slice(None)
    for seed, (name, model, dtype) in enumerate(tiny_models()):
        folder = HERE / "models" / name
        fill(model, seed)
        model.to(dtype).save_pretrained(folder, safe_serialization=True)
        (folder / "generation_config.json").unlink(missing_ok=True)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "transformers_version"}, indent=1) + "\n")
        again = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64)
        tokens = np.random.default_rng(100 + seed).integers(3, VOCABULARY, TOKENS + 1).tolist()
        goldens(name, again, tokens[:-1], tokens[-1], everything, [0, TOKENS // 2, TOKENS - 1])
    if len(sys.argv) > 1:
        model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager", dtype=torch.float64)
        with torch.no_grad():
            text = model.generate(torch.tensor([[1]]), attention_mask=torch.ones(1, 1), max_new_tokens=64, do_sample=False, eos_token_id=None)[0].tolist()
        save("stories260K_greedy", np.array(text), "<i4")
        # A window from the model's own text, so that the goldens hold no one's sentences.
        goldens("stories260K", model, text[:20], text[20], [0, 13, 19], [13, 19])


if __name__ == "__main__":
    main()
