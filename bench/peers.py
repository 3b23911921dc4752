"""The rows of bench/run --peers PYTHON: the same files through what people use today (bench/peer_tools.py), in turn with ours."""
import shutil
import statistics
from pathlib import Path

import make_sparse
from measure import MB, run, shown, spread

TOOLS = Path(__file__).parent / "peer_tools.py"


def against(table, replace, program, work, python, name, peer, ours):
    if not table.wanted(name):
        return
    source, out = work / "dense-2gb", work / "out"
    words = [program, "migrate", source, *ours, "--device", "none", "--validate", "none", "--quiet", "--out", out]
    kind, *more = peer
    theirs = [python, TOOLS, kind, source, out, *more]
    samples = {"ours": [], "theirs": []}
    for _ in range(table.options.repeat):
        for who, command in (("ours", words), ("theirs", theirs)):
            samples[who].append(run(command))
            shutil.rmtree(out) if out.is_dir() else out.unlink()
    times = {who: [s.seconds for s in list] for who, list in samples.items()}
    peaks = {who: max(s.peak for s in list) / MB for who, list in samples.items()}
    faster = statistics.median(t / o for o, t in zip(times["ours"], times["theirs"]))
    smaller = peaks["theirs"] / peaks["ours"]
    table.add(name, f"ours {spread(times['ours'])}, {peaks['ours']:.0f} MB; theirs {spread(times['theirs'])}, {peaks['theirs']:.0f} MB; "
              f"{faster:.1f} times as fast, {smaller:.1f} times less memory", "faster, 5 times less memory", faster > 1 and smaller >= 5,
              shown(words, replace) + " ; " + shown(theirs, replace))


def rows(table, replace, program, work, python):
    if not (work / "dense-2gb").exists():
        make_sparse.make("dense-2gb", work / "dense-2gb")
    hf, gguf = ("--chip", "x86-64", "--format", "hf", "--scheme"), ("--chip", "x86-64", "--format", "gguf", "--scheme")
    for name, peer, ours in (
            ("q8_0, ggml's encoder from Python", ("ggml", "q8_0"), (*gguf, "q8_0")),
            ("q4_0, ggml's encoder from Python", ("ggml", "q4_0"), (*gguf, "q4_0")),
            ("q4_k_m, ggml's encoder of q4_k from Python", ("ggml", "q4_k"), (*gguf, "q4_k_m")),
            ("q8_0, conversion with the gguf package", ("gguf", "q8_0"), (*gguf, "q8_0")),
            ("unchanged, safetensors load + save in Python", ("copy",), (*hf, "source")),
            ("int8 per row, torch and safetensors in Python", ("int8",), (*hf, "w8a16"))):
        against(table, replace, program, work, python, name, peer, ours)
