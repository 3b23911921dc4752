"""Hugging Face transformers on the CPU: device transformers:cpu. Loads a folder with config.json and safetensors.

Weights are widened to float32 and attention is the eager one; so are those of compressed-tensors and fp8, whose
quantised activations are rounded as the checkpoint says; other quantised checkpoints keep the type that their quantiser wants. No
code of the checkpoint is executed. Outputs by the class that config.json names: `logits` (causal_lm, classification), else
`last_hidden_state`, and `sentence_embedding` where modules.json describes a pooling. `hidden.N` (0: embeddings, N: after layer N, the last one
after the final norm) are given if they are asked for.

A causal model with keys and values in every layer takes `past_key_values.N.key|value` [B, heads, P, size] and answers `present.N.*`: they are put
into a new DynamicCache at each call, so nothing is kept between calls. Others (recurrent states) have no such inputs.
"""
import importlib.util
import inspect
import json
import os
import re
import sys

import fr_runner

REMEDY = "run tools/install_consumers transformers, or set FLAGRELEASE_PYTHON_TRANSFORMERS to a Python that has torch and transformers"
# Quantisers whose kernels want the type of the checkpoint; the others compute in float32 with weights that stand for the stored ones.
KEEP_TYPE = {"gptq", "awq", "fbgemm_fp8", "bitsandbytes", "mxfp4"}
TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def version(name):
    from importlib import metadata
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


class Transformers(fr_runner.Runner):
    def __init__(self):
        # Found, not imported: that takes ten seconds, and a probe needs none of it.
        for name in ("torch", "transformers", "numpy"):
            if importlib.util.find_spec(name) is None:
                raise fr_runner.RunnerError("start", "no module %s in %s" % (name, sys.executable), REMEDY)
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_TELEMETRY="1",
                          TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
        self.model = None

    def probe(self):
        names = ("torch", "numpy", "safetensors", "compressed-tensors")
        return {"engine": "transformers", "engine_version": version("transformers"), "chip": fr_runner.host_probe()["cpu"],
                "versions": {name: version(name) for name in names if version(name)}}

    def load(self, path, outputs, threads):
        torch, transformers = (fr_runner.need(name, REMEDY) for name in ("torch", "transformers"))
        self.torch, self.model = torch, None  # the old model goes before the new one comes
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        if not os.path.exists(os.path.join(folder, "config.json")):
            raise fr_runner.RunnerError("bad-model", "no config.json in %s" % os.path.basename(folder))
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True, warn_only=True)
        if threads:
            torch.set_num_threads(threads)
        model = self.open(transformers, folder)
        config = model.config.get_text_config()
        self.dtype = TYPES.get(str(model.dtype).split(".")[-1], "F32")
        self.pool = pooling(folder)
        self.generates = type(model).__name__.endswith("ForCausalLM")
        self.states = []
        tried = model(input_ids=torch.zeros((1, 1), dtype=torch.int64), use_cache=True, output_hidden_states=True, return_dict=True)
        cache = tried.get("past_key_values", tried.get("cache"))
        layers = getattr(cache, "layers", None) or []
        plain = [getattr(layer, "keys", None) is not None and layer.keys.dim() == 4 and layer.keys.shape[2] == 1
                 and getattr(layer, "values", None) is not None and layer.values.dim() == 4 for layer in layers]
        if self.generates and layers and all(plain):
            self.states = [(layer.keys.shape, layer.values.shape) for layer in layers]
        signature = inspect.signature(model.forward).parameters  # behind its decorators
        inputs = ["input_ids", "attention_mask"] + (["position_ids"] if "position_ids" in signature and layers else [])
        specs = [fr_runner.spec(name, "I64", [-1, -1]) for name in inputs] + self.state_specs("past_key_values")
        declared = {}
        if tried.get("logits") is not None:
            declared["logits"] = [-1, -1, tried.logits.shape[-1]] if tried.logits.dim() == 3 else [-1, tried.logits.shape[-1]]
        else:
            declared["last_hidden_state"] = [-1, -1, tried.last_hidden_state.shape[-1]]
            if self.pool[0]:
                declared["sentence_embedding"] = [-1, tried.last_hidden_state.shape[-1]]
        plainly = list(declared)
        self.hidden = {"hidden.%d" % i: [-1, -1, hidden.shape[-1]] for i, hidden in enumerate(tried.get("hidden_states") or [])}
        declared.update(self.hidden)
        states = self.state_specs("present")
        known = list(declared) + [spec["name"] for spec in states]
        for name in outputs:
            if name not in known:
                raise fr_runner.RunnerError("bad-input", "the model has no output %s; it has %s" % (name, ", ".join(known[:20])))
        self.wanted = outputs or plainly + [spec["name"] for spec in states]
        self.window = bool(getattr(config, "sliding_window", None))
        self.cache = "cache" if "cache" in signature else "past_key_values"  # its name since 5.24, and before
        self.model, self.inputs = model, inputs
        return {"inputs": specs, "outputs": [fr_runner.spec(name, "F32", shape) for name, shape in declared.items() if name in self.wanted]
                + [spec for spec in states if spec["name"] in self.wanted]}

    def state_specs(self, prefix):
        return [fr_runner.spec("%s.%d.%s" % (prefix, i, kind), self.dtype, [-1, shape[1], -1, shape[3]])
                for i, pair in enumerate(self.states) for kind, shape in zip(("key", "value"), pair)]

    def open(self, transformers, folder):
        torch = self.torch
        try:
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:
            text = "%s: %s" % (type(error).__name__, error)
            raise fr_runner.RunnerError("unsupported" if "model type" in text or "trust_remote_code" in text else "bad-model", text)
        name = "" if os.path.exists(os.path.join(folder, "modules.json")) else (getattr(config, "architectures", None) or [""])[0]
        kind = (transformers.AutoModelForSequenceClassification if name.endswith("ForSequenceClassification")
                else transformers.AutoModelForCausalLM if name.endswith("ForCausalLM") else transformers.AutoModel)
        quantised = getattr(config, "quantization_config", None) or {}
        method = quantised.get("quant_method") if isinstance(quantised, dict) else getattr(quantised, "quant_method", "")
        if not method and os.path.exists(os.path.join(folder, "hf_quant_config.json")):
            raise fr_runner.RunnerError("unsupported", "hf_quant_config.json: transformers reads no checkpoints of ModelOpt")
        if method and not transformers.quantizers.AutoHfQuantizer.supports_quant_method({"quant_method": method}):
            raise fr_runner.RunnerError("unsupported", "transformers has no quantiser for quant_method %s" % method)
        # MXFP4 would become bf16 when a layer first runs, and the model is float32: it is exact where floats are made of it while it is loaded.
        if method == "compressed-tensors" and quantised.get("format") == "mxfp4-pack-quantized":
            quantised["dequantize"] = True
        arguments = dict(config=config, attn_implementation="eager", local_files_only=True, output_loading_info=True,
                         trust_remote_code=False, use_safetensors=True, dtype="auto" if method in KEEP_TYPE else torch.float32)
        try:
            model, info = kind.from_pretrained(folder, **arguments)
        except (ImportError, NotImplementedError) as error:
            raise fr_runner.RunnerError("unsupported", "%s: %s" % (type(error).__name__, error))
        except MemoryError:
            raise
        except Exception as error:
            raise fr_runner.RunnerError("bad-model", "%s: %s" % (type(error).__name__, error))
        # What transformers makes up, or leaves, it only warns about.
        for what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            names = sorted(str(item[0] if isinstance(item, tuple) else item) for item in info.get(what) or [])
            if names and not (what == "unexpected_keys" and quantised):
                raise fr_runner.RunnerError("bad-model", "%d %s of %s: %s" % (len(names), what.replace("_keys", " tensors"), type(model).__name__,
                                                                              ", ".join(names[:5])))
        return model.eval()

    def run(self, inputs):
        if self.model is None:
            raise fr_runner.RunnerError("bad-input", "no model is loaded")
        given = {}
        for name, tensor in inputs.items():
            state = re.fullmatch(r"past_key_values\.(\d+)\.(key|value)", name)
            if name not in self.inputs and not (state and int(state.group(1)) < len(self.states)):
                raise fr_runner.RunnerError("bad-input", "the model has no input %s; it has %s" % (name, ", ".join(self.inputs)))
            if tensor.dtype != (self.dtype if state else "I64"):
                raise fr_runner.RunnerError("bad-input", "input %s is %s, the model wants %s" % (name, tensor.dtype, self.dtype if state else "I64"))
            given[name] = self.tensor(tensor)
        if "input_ids" not in given:
            raise fr_runner.RunnerError("bad-input", "input input_ids is missing")
        mask = given.get("attention_mask")
        # transformers counts a sliding window in columns of the cache. Padding in the middle of a row (decoding after padding on the right) would
        # push keys out of it that belong in: such a row is computed without its padding.
        if self.window and mask is not None and bool((mask[:, 1:] > mask[:, :-1]).any()) and bool((mask[:, 1:] < mask[:, :-1]).any()):
            rows = [self.compact({name: value[b:b + 1] for name, value in given.items()}) for b in range(len(mask))]
            answers = {name: self.torch.cat([row[name] for row in rows]) for name in rows[0]}
        else:
            answers = self.forward(given)
        return {name: self.answer(value) for name, value in answers.items()}

    def compact(self, given):
        """One row without the columns that its mask hides; answers have them again, as zeros."""
        torch, mask = self.torch, given["attention_mask"][0].bool()
        columns = given["input_ids"].shape[1]
        past, here = mask[:-columns], mask[-columns:]
        if not bool(here.any()):
            here = torch.ones_like(here)  # a row that says nothing still answers
        inner = {}
        for name, value in given.items():
            if name.startswith("past_key_values."):
                inner[name] = value[:, :, past]
            elif name == "attention_mask":
                inner[name] = torch.ones((1, int(past.sum() + here.sum())), dtype=value.dtype)
            else:
                inner[name] = value[:, here]
        places, answers = torch.cat([past, here]), {}
        for name, value in self.forward(inner).items():
            axis, kept = (2, places) if name.startswith("present.") else (1, here)
            if value.dim() == 2:
                answers[name] = value
                continue
            shape = list(value.shape)
            shape[axis] = len(kept)
            whole = torch.zeros(shape, dtype=value.dtype)
            answers[name] = whole.index_copy(axis, torch.nonzero(kept)[:, 0], value)
        return answers

    def forward(self, given):
        torch, cache = self.torch, None
        arguments = {name: value for name, value in given.items() if name in self.inputs}
        states = any(name.startswith("present.") for name in self.wanted)
        if self.states:
            from transformers import DynamicCache

            cache = DynamicCache()  # without a config: layers that keep everything, so that what comes out has a column per id
            for i in range(len(self.states)):
                key, value = (given.get("past_key_values.%d.%s" % (i, kind)) for kind in ("key", "value"))
                if key is not None and value is not None and key.shape[2]:
                    cache.update(key, value, i)
        for table in self.model.modules():
            # Tables of kind "dynamic" keep the frequencies of the longest text so far.
            if hasattr(table, "original_inv_freq") and hasattr(table, "original_max_seq_len"):
                table.register_buffer("inv_freq", table.original_inv_freq.clone(), persistent=False)
                table.max_seq_len_cached = table.original_max_seq_len
        arguments.update(return_dict=True, output_hidden_states=any(name in self.hidden for name in self.wanted))
        if cache is not None:
            arguments.update({self.cache: cache, "use_cache": True})
        try:
            result = self.model(**arguments)
        except RuntimeError as error:
            text = str(error)
            raise fr_runner.RunnerError("oom" if "allocate memory" in text else "failed", text)
        answers = {}
        for name in self.wanted:
            if name in self.hidden:
                answers[name] = result.hidden_states[int(name.split(".")[1])].float()
            elif name == "sentence_embedding":
                answers[name] = pooled(torch, result.last_hidden_state, given.get("attention_mask"), *self.pool).float()
            elif not name.startswith("present."):
                answers[name] = result[name].float()
        if states:
            for i, layer in enumerate(cache.layers):
                answers["present.%d.key" % i], answers["present.%d.value" % i] = layer.keys, layer.values
        return {name: answers[name] for name in self.wanted}

    def tensor(self, tensor):
        value = self.torch.from_numpy(tensor.array)
        return value.view(self.torch.bfloat16) if tensor.dtype == "BF16" else value

    def answer(self, value):
        value = value.contiguous()
        if value.dtype == self.torch.bfloat16:
            return fr_runner.Tensor(value.view(self.torch.uint16).numpy(), "BF16")
        return value.numpy()


def pooling(folder):
    """What modules.json (sentence-transformers) does with the hidden states: ("last" | "first" | "mean" | None, whether normalised)."""
    path = os.path.join(folder, "modules.json")
    if not os.path.exists(path):
        return None, False
    kind, normalised = None, False
    with open(path, encoding="utf-8") as file:
        modules = json.load(file)
    for module in modules:
        if module["type"].endswith(".Pooling"):
            with open(os.path.join(folder, module["path"], "config.json"), encoding="utf-8") as file:
                options = json.load(file)
            ways = {"pooling_mode_lasttoken": "last", "pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean"}
            kind = next((way for key, way in ways.items() if options.get(key)), None)
        normalised |= module["type"].endswith(".Normalize")
    return kind, normalised


def pooled(torch, hidden, mask, kind, normalised):
    """[B, S, H] -> [B, H]."""
    if mask is None:
        mask = torch.ones(hidden.shape[:2], dtype=torch.int64)
    if kind == "mean":
        weight = mask[..., None].to(hidden.dtype)
        row = (hidden * weight).sum(1) / weight.sum(1)
    else:
        index = (torch.arange(hidden.shape[1]) * mask).argmax(1) if kind == "last" else mask.argmax(1)
        row = hidden[torch.arange(len(hidden)), index]
    return torch.nn.functional.normalize(row, dim=-1) if normalised else row


if __name__ == "__main__":
    fr_runner.serve("transformers", Transformers)
