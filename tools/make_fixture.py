#!/usr/bin/env python3
"""Developer tool: makes a fixture (tests/fixtures/FORMAT.md) with `transformers`, from a line of tests/fixtures/variants.json.

    make_fixture.py NAME...            makes tests/fixtures/models/NAME from its entry
    make_fixture.py --padded NAME...   makes the padded reference outputs of fixtures (those listed under "padded", if none is named)
    make_fixture.py --all              makes everything that variants.json lists

An entry of "fixtures" is
    NAME: {"base": another fixture, "config": {merge patch of its config.json; null removes a key},
           "explicit_null": [keys that config.json has with the value null],
           "dtype": "BF16" (default) | "F16" | "F32", "respell": true (config.json as this version of transformers saves it),
           "source": hub id of a model that has this, "notes": text}
A fixture is refused when transformers does not load it cleanly, when a tensor is invisible in its outputs, or when greedy
decoding is too close to a tie to be compared. Needs torch, transformers, safetensors, numpy.
"""
import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import fixture_format
import golden
import torch
from safetensors.torch import save_file
from transformers import AutoConfig

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures"
LENGTH, STEPS, PADDED_ROWS, PADDED_STEPS = 24, 16, (24, 7, 15), 8
LEAST_VISIBLE, LEAST_MARGIN = 1e-3, 0.02

# What a tensor holds, by name: (offset, gain or scale). A matrix gets scale = gain * sqrt(3 / fan_in), so that its products have
# the variance gain^2 of their input; a vector has its scale as it stands.
RULES = [
    (r"norm\.weight$", 1.0, 0.3),
    (r"\.bias$", 0.0, 0.3),
    (r"\.[qk]_proj\.weight$", 0.0, 1.4),  # attention that is clearly not uniform
    (r"^(lm_head|score)\.weight$", 0.0, 2.0),
    (r"embed_tokens\.weight$", 0.0, None),
    (r"_proj\.weight$", 0.0, 1.0),
]


def merged(value, patch):
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    out = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), change)
    return out


def entry(name, shape, dtype, tied):
    offset, gain = next((o, g) for pattern, o, g in RULES if re.search(pattern, name))
    if gain is None:  # a lookup has no fan-in; tied to the head it is one more matrix
        scale = 2.0 * (3 / shape[1]) ** 0.5 if tied else 3**0.5
    else:
        scale = gain * (3 / shape[1]) ** 0.5 if len(shape) > 1 else gain
    return {"name": name, "dtype": dtype, "shape": list(shape), "offset": offset, "scale": float(f"{scale:.6g}")}


def spec(config, task, dtype):
    """The entries of model.safetensors, in the order of their names."""
    with torch.device("meta"):
        model = golden.TASKS[task].from_config(config)
    tied = bool(config.tie_word_embeddings) and task == "causal_lm"
    names = {n: tuple(p.shape) for n, p in model.named_parameters(remove_duplicate=False) if not (tied and n == "lm_head.weight")}
    return [entry(n, names[n], dtype, tied) for n in sorted(names)]


def draw(config, task, seed):
    """Input ids [2,24]; classification has a second row of 19 ids and padding."""
    random = torch.Generator().manual_seed(seed)
    pad = config.pad_token_id if task == "classification" else None
    ids = torch.randint(4, config.vocab_size, (2, LENGTH), generator=random)
    inputs = {"input_ids": ids}
    if pad is not None:
        ids[1, 19:] = pad
        inputs["attention_mask"] = torch.ones_like(ids)
        inputs["attention_mask"][1, 19:] = 0
    return inputs


def visibility(model, entries, inputs, outputs, main):
    """How far the outputs move when a tensor loses what is its own: max|change| / max|output|, the least visible first."""
    parameters, found = dict(model.named_parameters()), []
    for e in entries:
        tensor = parameters[e["name"]].data
        kept = tensor.clone()
        tensor.fill_(e["offset"])
        moved = golden.run(model, inputs)[main]
        tensor.copy_(kept)
        found.append((float((moved - outputs[main]).abs().max() / outputs[main].abs().max()), e["name"]))
    return [[name, float(f"{value:.3g}")] for value, name in sorted(found)]


def make(name, variant):
    base = FIXTURES / "models" / variant["base"]
    config = merged(json.loads((base / "config.json").read_text()), variant.get("config", {}))
    config |= {key: None for key in variant.get("explicit_null", [])}
    with tempfile.TemporaryDirectory() as folder:
        fixture, checkpoint = Path(folder, "fixture"), Path(folder, "checkpoint")
        fixture.mkdir()
        (fixture / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        task = golden.task_of(fixture)
        parsed = AutoConfig.from_pretrained(fixture)
        if variant.get("respell"):
            parsed.architectures = config["architectures"]
            parsed.save_pretrained(fixture)
        entries = spec(parsed, task, variant.get("dtype", "BF16"))
        fixture_format.write_spec(fixture / "tensors.json", {"model.safetensors": entries})
        fixture_format.materialise(fixture, checkpoint)
        model = golden.load(checkpoint, task)
        main = "logits" if task != "embedding" else "last_hidden_state"

        candidates = []
        for seed in range(1, 9 if task == "causal_lm" else 2):  # the ids whose greedy continuation is farthest from a tie
            inputs = draw(parsed, task, seed)
            ids, logits = golden.greedy(model, inputs["input_ids"][:1], STEPS) if task == "causal_lm" else (None, None)
            candidates.append((golden.margin(logits) if ids is not None else 0.0, seed, ids))
        least, seed, ids = max(candidates, key=lambda c: c[0])
        inputs = draw(parsed, task, seed)
        outputs = golden.run(model, inputs)
        weakest = visibility(model, entries, inputs, outputs, main)
        about = {"source": variant["source"], "architecture": config["architectures"][0], "reference_class": type(model).__name__,
                 "model_type": parsed.model_type, **golden.versions(),
                 "task": {"causal_lm": "text-generation", "classification": "text-classification", "embedding": "feature-extraction"}[task],
                 "inputs": list(inputs), "outputs": [main] + [k for k in outputs if k != main]}
        with golden.float64(model) as exact:
            noise = golden.noise(outputs, golden.run(exact, inputs))
        about["noise"] = {k: float(f"{noise[k]:.3g}") for k in about["outputs"]}
        if ids is not None:
            about |= {"greedy": ids[0].tolist(), "min_margin": float(f"{least:.6g}")}
            alone, again = uncached(model, inputs["input_ids"][:1])
            if alone != about["greedy"]:
                about["notes_greedy"] = f"without cache the continuation is {alone} (min margin {again:.4g})"
        about |= {"seed": seed, "ignored_tensors": [], "invisible_tensors": [], "weakest": weakest[:3],
                  "logits_std": float(f"{outputs[main].std():.3g}"), "notes": variant.get("notes", "")}
        if weakest[0][1] < LEAST_VISIBLE:
            sys.exit(f"{name}: {weakest[0][0]} is invisible in {main} ({weakest[0][1]})")
        if ids is not None and least < LEAST_MARGIN:
            sys.exit(f"{name}: greedy decoding comes within {least} of a tie with every seed")
        save_file({k: v.clone() for k, v in {**inputs, **outputs}.items()}, fixture / "golden.safetensors")
        (fixture / "golden.json").write_text(json.dumps(about, indent=1) + "\n")
        target = FIXTURES / "models" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(fixture, target)
        note_checksum(name, checkpoint)
    print(f"{name}: weakest {weakest[0][1]} noise {about['noise'][main]} margin {about.get('min_margin')}", flush=True)


def note_checksum(name, checkpoint):
    """Replaces the lines of this fixture in checksums.txt."""
    path = FIXTURES / "checksums.txt"
    lines = [line for line in path.read_text().splitlines() if not line.split()[1].startswith(name + "/")]
    for weights in sorted(checkpoint.rglob("*.safetensors")):
        lines.append(f"{hashlib.sha256(weights.read_bytes()).hexdigest()}  {name}/{weights.relative_to(checkpoint)}")
    path.write_text("".join(line + "\n" for line in sorted(lines, key=lambda line: line.split()[1])))


def uncached(model, ids):
    """Greedy decoding that runs the whole row again for every id: (ids, smallest margin)."""
    chosen, least = [], float("inf")
    for _ in range(STEPS):
        last = golden.run(model, {"input_ids": ids})["logits"][:, -1]
        least = min(least, golden.margin(last))
        chosen.append(int(last.argmax()))
        ids = torch.cat([ids, last.argmax(-1)[:, None]], 1)
    return chosen, least


def padded_inputs(rows, side, pad):
    """(inputs of the batch, the slice of each row that is real)"""
    real = [slice(LENGTH - len(r), LENGTH) if side == "left" else slice(0, len(r)) for r in rows]
    ids, mask = torch.full((len(rows), LENGTH), pad), torch.zeros(len(rows), LENGTH, dtype=torch.int64)
    for i, r in enumerate(rows):
        ids[i, real[i]], mask[i, real[i]] = r, 1
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)}, real


def make_padded(name):
    """Rows of 24, 7 and 15 ids in one batch, padded to 24 on the left and on the right, and the row of 7 alone."""
    fixture = FIXTURES / "models" / name
    with tempfile.TemporaryDirectory() as folder:
        fixture_format.materialise(fixture, folder)
        model = golden.load(Path(folder), "causal_lm")
    pad, row = model.config.pad_token_id or 0, PADDED_ROWS.index(min(PADDED_ROWS))

    def runs(seed):
        """{side: (inputs, decoded ids, decoded logits)}, and the smallest margin of all of them."""
        random = torch.Generator().manual_seed(seed)
        rows = [torch.randint(4, model.config.vocab_size, (n,), generator=random) for n in PADDED_ROWS]
        found = {}
        for side in ("alone", "left", "right"):
            inputs = {"input_ids": rows[row][None]} if side == "alone" else padded_inputs(rows, side, pad)[0]
            masks = {k: v for k, v in inputs.items() if k != "input_ids"}
            found[side] = (inputs, *golden.greedy(model, inputs["input_ids"], PADDED_STEPS, **masks))
        return min(golden.margin(f[2]) for f in found.values()), seed, found, rows

    margin, seed, found, rows = max((runs(seed) for seed in range(1, 9)), key=lambda r: r[0])
    about = {"rows": list(PADDED_ROWS), "alone": row, "steps": PADDED_STEPS, "seed": seed, "min_margin": float(f"{margin:.6g}"), **golden.versions()}
    outputs = {}
    for side, (inputs, ids, logits) in found.items():
        outputs[side] = golden.run(model, inputs)
        save_file({**inputs, **outputs[side], "decode.ids": ids, "decode.logits": logits.contiguous()}, fixture / f"golden-{side}.safetensors")
    alone, alone_logits = outputs["alone"], found["alone"][2][0]
    for side in ("left", "right"):
        place = padded_inputs(rows, side, pad)[1][row]
        prefill = max(float((outputs[side][k][row, place] - alone[k][0]).abs().max() / alone[k].abs().max()) for k in alone)
        decode = float((found[side][2][row] - alone_logits).abs().max() / alone_logits.abs().max())
        about[side] = {"prefill_apart": float(f"{prefill:.3g}"), "decode_apart": float(f"{decode:.3g}"),
                       "prefill_is_alone": prefill < 1e-5, "decode_is_alone": decode < 1e-5}
    (fixture / "golden-padded.json").write_text(json.dumps(about, indent=1) + "\n")
    print(f"{name}: padded {about['left']} {about['right']} margin {about['min_margin']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    variants = json.loads((FIXTURES / "variants.json").read_text())
    torch.set_num_threads(1)  # the same sums on every machine of a kind
    if not args.padded:
        for name in args.names or (variants["fixtures"] if args.all else parser.error("name a fixture, or --all")):
            make(name, variants["fixtures"][name])
    if args.padded or args.all:
        for name in (args.names if args.padded and args.names else variants["padded"]):
            make_padded(name)


if __name__ == "__main__":
    main()
