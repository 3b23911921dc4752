"""A checkpoint of the families llama, qwen2, qwen3 as GGUF, written with the `gguf` package: independent of what flagrelease writes."""
import json
import os

import gguf
import numpy

import support

LAYER = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
FILE_TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def name_of(name):
    if name in WHOLE:
        return WHOLE[name]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return "blk.%s.%s.%s" % (layer, LAYER[stem], kind)


def interleaved(array, heads):
    """llama.cpp turns neighbours of a llama head where transformers turns its halves: rows (r, i) of a head become (i, r)."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def write(folder, path, kind):
    """kind: F32, F16 or Q8_0, of the matrices; vectors are always F32."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    family, heads = config["model_type"], config["num_attention_heads"]
    groups = config.get("num_key_value_heads", heads)
    assert family in ("llama", "qwen2", "qwen3") and not config.get("rope_scaling"), family
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    theta = config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta") or 10000.0
    writer.add_rope_freq_base(theta)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_tokenizer_model("none")
    tied = config.get("tie_word_embeddings", False)
    tensors = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        tensors.update(support.fr_runner.read_tensors(os.path.join(folder, file)))
    for name, tensor in tensors.items():
        if name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight"):
            continue
        array = support.floats(tensor)
        if family == "llama" and (".q_proj." in name or ".k_proj." in name):
            array = interleaved(array, heads if ".q_proj." in name else groups)
        array = numpy.ascontiguousarray(array)
        if array.ndim == 1 or kind == "F32":
            writer.add_tensor(name_of(name), array)
        elif kind == "Q8_0" and array.shape[-1] % 32 == 0:
            blocks = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name_of(name), blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name_of(name), array.astype(numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
