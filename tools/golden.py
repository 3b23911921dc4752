#!/usr/bin/env python3
"""Writes a golden file: what `transformers` computes with a checkpoint. One file, to be copied to any machine that has it.

    golden.py CHECKPOINT OUT.safetensors [--inputs FILE.safetensors | --batch 2 --length 24 --seed 0]
              [--task causal_lm|classification|embedding] [--greedy 16] [--no-noise]

OUT.safetensors holds the inputs (`input_ids`, and `attention_mask`, `position_ids` where given) and the outputs under the
names of the transformers signature (`logits`; `last_hidden_state`, `sentence_embedding`), plus `hidden.0` ... `hidden.L`, which are
`output_hidden_states`: hidden.0 the embeddings, hidden.i what layer i reads, hidden.L after the final norm. Computed in
float32 from the stored weights, eager attention, no cache. `flagrelease validate CHECKPOINT --golden OUT.safetensors` compares.
OUT.json beside it says with what, names the noise of each output, and the ids that greedy decoding appends to row 0.

Needs torch, transformers, safetensors. No network: CHECKPOINT is a folder. No code of the checkpoint is executed.
"""
import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

transformers.utils.logging.disable_progress_bar()

TASKS = {"causal_lm": AutoModelForCausalLM, "classification": AutoModelForSequenceClassification, "embedding": AutoModel}


def task_of(folder):
    """The task that the files of a checkpoint speak of."""
    if (folder / "modules.json").exists():
        return "embedding"
    name = (json.loads((folder / "config.json").read_text()).get("architectures") or [""])[0]
    if name.endswith("ForSequenceClassification"):
        return "classification"
    return "causal_lm" if name.endswith("ForCausalLM") else "embedding"


def load(folder, task, dtype=torch.float32):
    """The model, every tensor of the file used and every tensor of the model found."""
    config = AutoConfig.from_pretrained(folder)
    model, info = TASKS[task].from_pretrained(folder, config=config, dtype=dtype, attn_implementation="eager",
                                              local_files_only=True, output_loading_info=True)
    wrong = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(kind)}
    if wrong:
        sys.exit(f"{folder}: transformers did not load it cleanly: {wrong}")
    return model.eval()


def pooling(folder):
    """The steps of a sentence-transformers folder: ("last" | "first" | "mean", whether normalised)."""
    modules = json.loads((folder / "modules.json").read_text()) if (folder / "modules.json").exists() else []
    kind, normalised = None, False
    for module in modules:
        if module["type"].endswith(".Pooling"):
            options = json.loads((folder / module["path"] / "config.json").read_text())
            kind = next(name for key, name in (("pooling_mode_lasttoken", "last"), ("pooling_mode_cls_token", "first"),
                                               ("pooling_mode_mean_tokens", "mean")) if options.get(key))
        normalised |= module["type"].endswith(".Normalize")
    return kind, normalised


def pooled(hidden, mask, kind, normalised):
    """[B,S,H] and [B,S] -> [B,H]."""
    if mask is None:
        mask = torch.ones(hidden.shape[:2], dtype=torch.int64)
    if kind == "mean":
        weight = mask[..., None].to(hidden.dtype)
        out = (hidden * weight).sum(1) / weight.sum(1)
    else:
        place = torch.arange(hidden.shape[1]) * mask
        index = place.argmax(1) if kind == "last" else mask.argmax(1)
        out = hidden[torch.arange(len(hidden)), index]
    return torch.nn.functional.normalize(out, dim=-1) if normalised else out


def reset(model):
    """Forgets earlier runs. Rotary tables of kind "dynamic" keep the frequencies of the longest sequence they have seen."""
    for table in model.modules():
        if hasattr(table, "original_inv_freq"):
            table.register_buffer("inv_freq", table.original_inv_freq.clone(), persistent=False)
            table.max_seq_len_cached = table.original_max_seq_len


@torch.no_grad()
def run(model, inputs, pool=(None, False)):
    """One pass without cache: {"logits" or "last_hidden_state", "hidden.N", ...} in the type of the model."""
    reset(model)
    result = model(**inputs, output_hidden_states=True, use_cache=False, return_dict=True)
    out = {f"hidden.{i}": h for i, h in enumerate(result.hidden_states)}
    if getattr(result, "logits", None) is not None:
        out["logits"] = result.logits
    else:
        out["last_hidden_state"] = result.last_hidden_state
        if pool[0]:
            out["sentence_embedding"] = pooled(result.last_hidden_state, inputs.get("attention_mask"), *pool)
    return {name: value.contiguous() for name, value in out.items()}


@contextlib.contextmanager
def float64(model):
    """The model in float64, with what its class computes in float32 on purpose (norms, softmax) in float64 too. Tables of rotary
    positions keep their float32 rounding: it is part of what the model was trained with."""
    to, as_float, softmax = torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax
    widen = {torch.float32: torch.float64}

    def to64(self, *args, **kwargs):
        args = [widen.get(a, a) if isinstance(a, torch.dtype) else a for a in args]
        kwargs = {k: widen.get(v, v) if isinstance(v, torch.dtype) else v for k, v in kwargs.items()}
        return to(self, *args, **kwargs)

    def softmax64(x, dim=None, _stacklevel=3, dtype=None):
        return softmax(x, dim=dim, dtype=widen.get(dtype, dtype))

    def patch():
        torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax = to64, torch.Tensor.double, softmax64

    def unpatch():
        torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax = to, as_float, softmax

    def unpatched(forward):
        def call(*args, **kwargs):
            unpatch()
            try:
                return forward(*args, **kwargs)
            finally:
                patch()
        return call

    tables = [m for m in model.modules() if hasattr(m, "inv_freq")]
    was = next(model.parameters()).dtype
    model.double()
    for table in tables:
        table.forward = unpatched(table.forward)
    patch()
    try:
        yield model
    finally:
        unpatch()
        for table in tables:
            del table.forward
        model.to(was)


def noise(got, exact):
    """max|float32 - float64| / max|float64| of every output."""
    return {k: float((got[k].double() - exact[k]).abs().max() / exact[k].abs().max().clamp_min(1e-300)) for k in got}


@torch.no_grad()
def greedy(model, ids, count, **masks):
    """Appends `count` ids to each row of ids [B,S] with the cache: (ids [B,count], logits [B,count,V]; step 0 is the prefill's last
    position). masks: attention_mask and position_ids of the prefill; they are continued as a caller would, and rows padded on the
    right take their first id from their last real position."""
    reset(model)
    mask, positions = masks.get("attention_mask"), masks.get("position_ids")
    cache, chosen, logits, feed = None, [], [], ids
    for step in range(count):
        extra = {}
        if mask is not None:
            extra = {"attention_mask": mask, "position_ids": positions}
        result = model(input_ids=feed, past_key_values=cache, use_cache=True, **extra)
        cache = result.past_key_values
        last = result.logits[:, -1]
        if step == 0 and mask is not None:
            last = result.logits[torch.arange(len(ids)), (torch.arange(ids.shape[1]) * mask).argmax(1)]
            positions = positions[torch.arange(len(ids)), (torch.arange(ids.shape[1]) * mask).argmax(1)][:, None]
        logits.append(last)
        feed = last.argmax(-1)[:, None]
        chosen.append(feed)
        if mask is not None:
            mask = torch.cat([mask, torch.ones_like(feed)], 1)
            positions = positions + 1
    return torch.cat(chosen, 1), torch.stack(logits, 1)


def margin(logits):
    """The smallest difference of the two largest logits, over all leading dimensions."""
    top = logits.double().topk(2, dim=-1).values
    return float((top[..., 0] - top[..., 1]).min())


def versions():
    return {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--inputs", type=Path, help="safetensors with input_ids [B,S], and attention_mask, position_ids if wanted")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--greedy", type=int, default=16, help="ids to append to row 0 (causal_lm)")
    parser.add_argument("--no-noise", action="store_true", help="leave out the float64 run, which takes twice the memory")
    args = parser.parse_args()
    if not (args.checkpoint / "config.json").is_file():
        parser.error(f"{args.checkpoint}: no config.json: give the folder of a checkpoint")

    task = args.task or task_of(args.checkpoint)
    model = load(args.checkpoint, task)
    if args.inputs:
        given = load_file(args.inputs)
        inputs = {k: given[k].long() for k in ("input_ids", "attention_mask", "position_ids") if k in given}
        if "input_ids" not in inputs:
            parser.error(f"{args.inputs}: no tensor input_ids")
    else:
        random = torch.Generator().manual_seed(args.seed)
        inputs = {"input_ids": torch.randint(0, model.config.get_text_config().vocab_size, (args.batch, args.length), generator=random)}
    pool = pooling(args.checkpoint)
    outputs = run(model, inputs, pool)
    about = {"architecture": type(model).__name__, "model_type": model.config.model_type, "task": task, **versions(), "attention": "eager",
             "compute": "float32", "inputs": sorted(inputs), "outputs": sorted(outputs)}
    if task == "causal_lm" and args.greedy:
        ids, logits = greedy(model, inputs["input_ids"][:1], args.greedy)
        about |= {"greedy": ids[0].tolist(), "min_margin": margin(logits)}
    if not args.no_noise:
        with float64(model) as exact:
            about["noise"] = noise(outputs, run(exact, inputs, pool))
    # In the file itself too: `flagrelease validate --golden` judges by it.
    metadata = {"noise": json.dumps(about["noise"], sort_keys=True)} if "noise" in about else None
    save_file({**inputs, **outputs}, args.out, metadata=metadata)
    args.out.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
