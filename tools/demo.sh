#!/usr/bin/env bash
# The shortest real migration: the example model, for this machine's own processor, proved there, and made to write a line.
#   tools/demo.sh [PATH_TO_FLAGRELEASE]        (make demo builds it first)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
flagrelease=${1:-build/release/flagrelease}
model=examples/models/kjv-qwen3-5m
golden=$model.golden
out=build/demo/kjv-qwen3-5m
case $(uname -m) in
x86_64) chip=x86-64 ;;
aarch64) chip=arm64 ;;
*) echo "demo.sh: no recipe for the processor $(uname -m): recipes/chips/ has x86-64 and arm64" >&2 && exit 3 ;;
esac

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

show "$flagrelease" migrate "$model" --chip "$chip" --format onnx --out "$out" --force
show "$flagrelease" run "$out" --device ort:cpu --prompt-ids "$golden/golden.safetensors" --greedy 32
