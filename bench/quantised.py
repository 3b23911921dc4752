"""The rows of bench/run --large: what a checkpoint of 8 GB costs as small numbers, and that memory does not grow with the model."""
import json
import os
import shutil
import statistics

import make_sparse
from measure import MB, forget, run, shown, spread

SCHEMES = (("w8a16", "x86-64"), ("w4a16-g128", "nvidia-a100"))
KINDS = ("dense-8gb", "llama-80gb", "llama-600gb")
ALLOWED = 150 * MB  # of resident memory above --memory
STOP_AFTER = 60


def command(program, source, out, scheme, chip, *more):
    return [program, "migrate", source, "--chip", chip, "--format", "hf", "--scheme", scheme, "--device", "none", "--validate", "none",
            "--quiet", "--out", out, *more]


def weights_in(folder):
    return sorted(folder.glob("*.safetensors"))


def quantised(table, replace, program, tools, work, scheme, chip):
    """Against what the machine can do with the same bytes in the same minute: the slowest of reading the source and writing as much as
    the result past the page cache, hashing the result, and copying the source in memory with as many threads."""
    name = f"migrate {scheme} hf, 8 GB"
    if not table.wanted(name):
        return
    source, out, scratch = work / "dense-8gb", work / "out", work / "dd.bin"
    shards, jobs = weights_in(source), len(os.sched_getaffinity(0))
    words = command(program, source, out, scheme, chip)
    total = sum(s.stat().st_size for s in shards)
    seconds = {key: [] for key in ("ours", "dd from", "dd to", "sha256sum", "copy in memory")}
    shares, peak, cpu, size = [], 0, [], 0
    for _ in range(table.options.repeat):
        shutil.rmtree(out, ignore_errors=True)
        forget(shards)
        sample = run(words)
        peak = max(peak, sample.peak)
        cpu.append(sample.cpu)
        times = {"ours": sample.seconds, "dd from": 0.0, "dd to": 0.0}
        results = weights_in(out / "model")
        size = sum(r.stat().st_size for r in results)
        run(["cat", *results])
        times["sha256sum"] = run(["sha256sum", *results]).seconds
        for result in results:
            times["dd to"] += run(["dd", f"if={result}", f"of={scratch}", "bs=16M", "oflag=direct", "conv=fsync"]).seconds
            scratch.unlink()
        forget(shards)
        for shard in shards:
            times["dd from"] += run(["dd", f"if={shard}", "of=/dev/null", "bs=16M", "iflag=direct"]).seconds
        times["copy in memory"] = run([tools / "flagrelease-bench-copy", total, jobs]).seconds
        for key, value in times.items():
            seconds[key].append(value)
        shares.append(max(v for k, v in times.items() if k != "ours") / times["ours"])
    figure = "; ".join(f"{key} {spread(values, 1)}" for key, values in seconds.items())
    share = statistics.median(shares)
    table.add(name, f"{figure}; {total / 1e9:.2f} GB to {size / 1e9:.2f}, {total / 1e9 / statistics.median(seconds['ours']):.2f} GB/s of input, "
              f"cpu {statistics.median(cpu):.1f} s, {peak / MB:.0f} MB; share of the slowest {share:.0%} ({min(shares):.0%} - {max(shares):.0%})",
              "at least 80 % of the slowest", share >= 0.8, shown(words, replace))
    shutil.rmtree(out)


def bounded(table, replace, program, tools, work, kind, memory, megabytes, discard):
    """Peak memory. With `discard` the weights that are written are thrown away (bench/discard.cpp)."""
    for scheme, chip in SCHEMES:
        name = f"memory, {scheme}, {kind}, --memory {memory}"
        if not table.wanted(name):
            continue
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        words = command(program, work / kind, out, scheme, chip, "--memory", memory)
        sample = run(words, environment=discarding(tools) if discard else None)
        table.add(name, f"{sample.peak / MB:.0f} MB, {sample.seconds:.0f} s", f"at most {memory} + 150 MB",
                  sample.peak <= megabytes * 2**20 + ALLOWED, ("LD_PRELOAD=discard.so " if discard else "") + shown(words, replace))
        shutil.rmtree(out)


def discarding(tools):
    return {"LD_PRELOAD": str((tools / "flagrelease-bench-discard.so").resolve())}


def stopped(table, replace, program, tools, work, kind, after, discard):
    """Memory until SIGTERM, how long the run goes on after it, and that what it leaves can be continued."""
    name = f"SIGTERM after {after} s, {kind}"
    if not table.wanted(name):
        return
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    words = command(program, work / kind, out, "w8a16", "x86-64", "--memory", "256MiB")
    sample = run(words, expect=75, environment=discarding(tools) if discard else None, stop_after=after)
    recorded = sum(len(json.loads(line[17:]).get("tensors", ())) + len(json.loads(line[17:]).get("parts", ()))
                   for line in open(out / ".flagrelease/journal"))
    table.add(name, f"{sample.peak / MB:.0f} MB, exit 75 after {sample.seconds:.2f} s, {recorded} tensors recorded",
              "at most 256MiB + 150 MB, at most 5 s", sample.peak <= 256 * 2**20 + ALLOWED and sample.seconds <= 5 and recorded > 0,
              ("LD_PRELOAD=discard.so " if discard else "") + shown(words, replace))
    shutil.rmtree(out)


def rows(table, replace, program, tools, work):
    for kind in KINDS:
        if not (work / kind).exists():
            make_sparse.make(kind, work / kind)
    for scheme, chip in SCHEMES:
        quantised(table, replace, program, tools, work, scheme, chip)
    for memory, megabytes in (("256MiB", 256), ("1GiB", 1024)):
        bounded(table, replace, program, tools, work, "dense-8gb", memory, megabytes, discard=False)
        bounded(table, replace, program, tools, work, "llama-80gb", memory, megabytes, discard=True)
    name = "plan w8a16 hf, 600 GB"
    if table.wanted(name):
        words = [program, "plan", work / "llama-600gb", "--chip", "x86-64", "--format", "hf", "--scheme", "w8a16", "--quiet"]
        sample = run(words)
        table.add(name, f"{sample.peak / MB:.0f} MB, {sample.seconds:.2f} s", "at most 256MiB + 150 MB", sample.peak <= 256 * 2**20 + ALLOWED,
                  shown(words, replace))
    stopped(table, replace, program, tools, work, "llama-600gb", STOP_AFTER, discard=True)
    stopped(table, replace, program, tools, work, "dense-8gb", 4, discard=False)
