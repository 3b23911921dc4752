"""vLLM on the CPU: device vllm:cpu. Loads a Hugging Face folder of a causal language model, quantised or not.

A serving engine gives no logits: tier T2. Answers, for every id of every row: `topk_ids` I64 and `topk_logprobs` F32 [B, S, K], the K = 20 (or
vocabulary) most probable next ids in falling order. Each row is a prompt of its own; padding (attention_mask 0) never reaches the engine, and its
places hold id -1 and 0. The engine counts positions from 0, so position_ids is no input; every call computes the whole text.

Computes in float32 where the kernels can: not for FP8 and packed integers. In one process, without CUDA graphs or compilation. int4 weights need a CPU
with AVX-512.
"""
import contextlib
import importlib.util
import json
import os
import sys

import fr_runner

REMEDY = "run tools/install_consumers vllm, or set FLAGRELEASE_PYTHON_VLLM to a Python that has vllm"
TOP = 20
LONGEST = 8192


def version(*names):
    from importlib import metadata
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return ""


class Vllm(fr_runner.Runner):
    def __init__(self):
        # Found, not imported: that takes half a minute, and a probe needs none of it.
        for name in ("torch", "vllm", "numpy"):
            if importlib.util.find_spec(name) is None:
                raise fr_runner.RunnerError("start", "no module %s in %s" % (name, sys.executable), REMEDY)
        os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_OFFLINE="1",
                          VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind", VLLM_LOGGING_LEVEL="WARNING", VLLM_TARGET_DEVICE="cpu",
                          VLLM_HOST_IP="127.0.0.1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="")
        self.engine = None

    def probe(self):
        return {"engine": "vllm", "engine_version": version("vllm-cpu", "vllm"), "chip": fr_runner.host_probe()["cpu"],
                "versions": {name: version(name) for name in ("torch", "numpy", "transformers", "compressed-tensors") if version(name)}}

    def load(self, path, outputs, threads):
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        try:
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
                config = json.load(file)
        except (OSError, ValueError) as error:
            raise fr_runner.RunnerError("bad-model", "config.json: %s" % error)
        if threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)
        unknown = [name for name in outputs if name not in ("topk_ids", "topk_logprobs")]
        if unknown:
            raise fr_runner.RunnerError("bad-input", "vLLM has no output %s; it has topk_ids, topk_logprobs" % unknown[0])
        self.close()
        vllm = fr_runner.need("vllm", REMEDY)
        text = config.get("text_config") or config
        stored = config.get("quantization_config") or {}
        exact = not stored or (stored.get("quant_method") == "compressed-tensors" and stored.get("format") == "int-quantized")
        self.vocabulary = int(text.get("vocab_size") or 0)
        self.top = min(TOP, self.vocabulary) if self.vocabulary else TOP
        self.longest = min(int(text.get("max_position_embeddings") or LONGEST), LONGEST)
        with self.guard():
            self.engine = vllm.LLM(folder, dtype="float32" if exact else "auto", max_model_len=self.longest,
                              enforce_eager=True, max_logprobs=self.top, skip_tokenizer_init=True, enable_prefix_caching=False,
                              disable_log_stats=True, seed=0, trust_remote_code=False)
            # Kernels are looked for when they are first used: a model without one is a matter of load.
            self.ask([0])
        self.wanted = outputs or ["topk_ids", "topk_logprobs"]
        return {"inputs": [fr_runner.spec(name, "I64", [-1, -1]) for name in ("input_ids", "attention_mask")],
                "outputs": [fr_runner.spec(name, dtype, [-1, -1, self.top]) for name, dtype in (("topk_ids", "I64"), ("topk_logprobs", "F32"))
                            if name in self.wanted]}

    @contextlib.contextmanager
    def guard(self):
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            message = "%s: %s" % (type(error).__name__, error)
            words = ("not supported", "nsupported", "has no attribute", "Failed to find a kernel", "object has no")
            unsupported = isinstance(error, NotImplementedError) or any(word in message for word in words)
            raise fr_runner.RunnerError("unsupported" if unsupported else "failed", message)

    def ask(self, ids):
        """For each id the K best next ones: [(ids, logprobs)]."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0, logprobs=self.top, prompt_logprobs=self.top, detokenize=False, ignore_eos=True)
        answer = self.engine.generate([{"prompt_token_ids": ids}], params, use_tqdm=False)[0]
        # Entry i of prompt_logprobs speaks of id i given those before it: of what follows id i - 1.
        steps = []
        for step in list(answer.prompt_logprobs[1:]) + [answer.outputs[0].logprobs[0]]:
            best = sorted(step.items(), key=lambda item: (-item[1].logprob, item[0]))[:self.top]
            steps.append(([token for token, _ in best], [entry.logprob for _, entry in best]))
        return steps

    def close(self):
        if self.engine is None:
            return
        import gc

        from vllm.distributed import cleanup_dist_env_and_memory

        self.engine = None
        gc.collect()
        cleanup_dist_env_and_memory()

    def run(self, inputs):
        import numpy as np

        if self.engine is None:
            raise fr_runner.RunnerError("bad-input", "no model is loaded")
        for name in inputs:
            if name not in ("input_ids", "attention_mask") or inputs[name].dtype != "I64" or inputs[name].array.ndim != 2:
                raise fr_runner.RunnerError("bad-input", "input %s is not what the model takes: input_ids, attention_mask, I64 [batch, sequence]" % name)
        if "input_ids" not in inputs:
            raise fr_runner.RunnerError("bad-input", "input input_ids is missing")
        ids = inputs["input_ids"].array
        mask = inputs["attention_mask"].array != 0 if "attention_mask" in inputs else np.ones(ids.shape, bool)
        if mask.shape != ids.shape or mask.sum(1).max(initial=0) >= self.longest:
            raise fr_runner.RunnerError("bad-input", "attention_mask must have the shape of input_ids and fewer than %d ones in a row" % self.longest)
        top_ids = np.full(ids.shape + (self.top,), -1, np.int64)
        top_logprobs = np.zeros(ids.shape + (self.top,), np.float32)
        # Row after row: how the engine packs prompts together may change the last bits.
        for b, row in enumerate(mask):
            columns = np.flatnonzero(row)
            if len(columns) == 0:
                continue
            with self.guard():
                steps = self.ask(ids[b, columns].tolist())
            top_ids[b, columns] = [tokens for tokens, _ in steps]
            top_logprobs[b, columns] = [logprobs for _, logprobs in steps]
        answers = {"topk_ids": top_ids, "topk_logprobs": top_logprobs}
        return {name: answers[name] for name in self.wanted}


if __name__ == "__main__":
    fr_runner.serve("vllm", Vllm, tier="T2")
