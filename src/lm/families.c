/* families: the one table of decoder families. A new family is a new row here; nothing else in the program knows their names.
 * Names of tensors and defaults are those of Hugging Face transformers' models of the same model_type. */
#include <string.h>

#include "model.h"

#define USUAL_KEYS                                                                                                           \
    .width = "hidden_size", .layers = "num_hidden_layers", .heads = "num_attention_heads", .mlp_width = "intermediate_size", \
    .positions = "max_position_embeddings", .activation = "hidden_act"

/* Touvron et al. 2023 and its kin share everything but a few defaults. */
#define LLAMA_TENSORS                                                                               \
    .prefix = "model.", .block = "layers.%d.", .tensors = {[VG_EMBEDDING] = "embed_tokens",         \
                                                           [VG_FINAL_NORM] = "norm",                \
                                                           [VG_HEAD] = "lm_head",                   \
                                                           [VG_NORM1] = "input_layernorm",          \
                                                           [VG_NORM2] = "post_attention_layernorm", \
                                                           [VG_QUERY] = "self_attn.q_proj",         \
                                                           [VG_KEY] = "self_attn.k_proj",           \
                                                           [VG_VALUE] = "self_attn.v_proj",         \
                                                           [VG_OUT] = "self_attn.o_proj",           \
                                                           [VG_GATE] = "mlp.gate_proj",             \
                                                           [VG_UP] = "mlp.up_proj",                 \
                                                           [VG_DOWN] = "mlp.down_proj"},            \
    .ignored = {"rotary_emb.inv_freq"}, .norm = VG_RMS_NORM, .rotary_fraction = 1.0, .keys = {USUAL_KEYS, .norm_eps = "rms_norm_eps"}

static const vg_family families[] = {
    {.name = "llama",
     LLAMA_TENSORS,
     .attention_bias = VG_BIT(VG_QUERY) | VG_BIT(VG_KEY) | VG_BIT(VG_VALUE) | VG_BIT(VG_OUT),
     .mlp_bias = VG_BIT(VG_GATE) | VG_BIT(VG_UP) | VG_BIT(VG_DOWN)},
    {.name = "mistral", LLAMA_TENSORS, .sliding = true},
    {.name = "qwen2", LLAMA_TENSORS, .biases = VG_BIT(VG_QUERY) | VG_BIT(VG_KEY) | VG_BIT(VG_VALUE)},
    {.name = "gpt2",
     .prefix = "transformer.",
     .block = "h.%d.",
     .tensors = {[VG_EMBEDDING] = "wte",
                 [VG_POSITION] = "wpe",
                 [VG_FINAL_NORM] = "ln_f",
                 [VG_HEAD] = "lm_head",
                 [VG_NORM1] = "ln_1",
                 [VG_NORM2] = "ln_2",
                 [VG_QKV] = "attn.c_attn",
                 [VG_OUT] = "attn.c_proj",
                 [VG_UP] = "mlp.c_fc",
                 [VG_DOWN] = "mlp.c_proj"},
     .biases = VG_BIT(VG_QKV) | VG_BIT(VG_OUT) | VG_BIT(VG_UP) | VG_BIT(VG_DOWN),
     .ignored = {".attn.bias", ".attn.masked_bias"},
     .norm = VG_LAYER_NORM,
     .transposed = true,
     .tied = true,
     .keys = {"n_embd", "n_layer", "n_head", "n_inner", "n_positions", "activation_function", "layer_norm_epsilon"},
     .only = {{"scale_attn_weights", true}, {"scale_attn_by_inverse_layer_idx", false}}},
    {.name = "phi",
     .prefix = "model.",
     .block = "layers.%d.",
     .tensors = {[VG_EMBEDDING] = "embed_tokens",
                 [VG_FINAL_NORM] = "final_layernorm",
                 [VG_HEAD] = "lm_head",
                 [VG_NORM1] = "input_layernorm",
                 [VG_QUERY] = "self_attn.q_proj",
                 [VG_KEY] = "self_attn.k_proj",
                 [VG_VALUE] = "self_attn.v_proj",
                 [VG_OUT] = "self_attn.dense",
                 [VG_UP] = "mlp.fc1",
                 [VG_DOWN] = "mlp.fc2"},
     .biases = VG_BIT(VG_QUERY) | VG_BIT(VG_KEY) | VG_BIT(VG_VALUE) | VG_BIT(VG_OUT) | VG_BIT(VG_UP) | VG_BIT(VG_DOWN) | VG_BIT(VG_HEAD),
     .ignored = {"rotary_emb.inv_freq"},
     .norm = VG_LAYER_NORM,
     .blocks = VG_PARALLEL,
     .rotary_fraction = 0.5,
     .keys = {USUAL_KEYS, .norm_eps = "layer_norm_eps"},
     .only = {{"qk_layernorm", false}}},
    {.name = "gpt_neox",
     .prefix = "gpt_neox.",
     .block = "layers.%d.",
     .tensors = {[VG_EMBEDDING] = "embed_in",
                 [VG_FINAL_NORM] = "final_layer_norm",
                 [VG_HEAD] = "embed_out",
                 [VG_NORM1] = "input_layernorm",
                 [VG_NORM2] = "post_attention_layernorm",
                 [VG_QKV] = "attention.query_key_value",
                 [VG_OUT] = "attention.dense",
                 [VG_UP] = "mlp.dense_h_to_4h",
                 [VG_DOWN] = "mlp.dense_4h_to_h"},
     .biases = VG_BIT(VG_QKV) | VG_BIT(VG_OUT) | VG_BIT(VG_UP) | VG_BIT(VG_DOWN),
     .ignored = {".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"},
     .norm = VG_LAYER_NORM,
     .blocks = VG_PARALLEL_TWO_NORMS,
     .qkv = VG_BY_HEAD,
     .rotary_fraction = 0.25,
     .keys = {USUAL_KEYS, .norm_eps = "layer_norm_eps"},
     .only = {{"attention_bias", true}}},
};
enum { FAMILIES = sizeof families / sizeof *families };

const vg_family *vg_family_find(const char *name)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

void vg_family_list(char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < FAMILIES && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", families[i].name);
}
