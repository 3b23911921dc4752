#!/usr/bin/env python3
"""Checks that the tree names nothing that it should not know.

    tools/check_names.py [ROOT]

Exit 1 and one line per finding when
  * C++ code outside tests/ names a model family or a chip (the stems of recipes/models/*.yaml and recipes/chips/*.yaml): such
    knowledge is data; comments may name them as examples or sources,
  * a tracked text file names a folder of somebody's machine, or the host of a package registry (which one is used is the
    matter of the machine's own configuration).
"""
import re
import subprocess
import sys
from pathlib import Path

# No families or chips, although they carry the names of some: a consumer, and what compilers call their own target.
OTHERS = re.compile(r"(?i:llama[._-]?cpp)|__\w+__")
# Words that families are named after: to cut numbers at a limit, the normal distribution, a suffix of a program, a kind of vocabulary in
# a file format, a file of a library.
WORDS = {
    "clip": re.compile(r"[Cc]lip(?![-_A-Z])"),
    "phi": re.compile(r"[Pp]hi\b"),
    "opt": re.compile(r"\b[Oo]pt\b"),
    "git": re.compile(r"\bgit\b"),
    "gpt2": re.compile(r'"gpt2"'),
    "bert": re.compile(r"sentence_bert_config"),
}
# Names of folders and registries that only one machine or organisation has. Written so that this file does not find itself.
FOREIGN = [
    (re.compile(r"(?<![\w.$}/-])/(?:work|root|home/\w+|opt/wheels|tmp/oracle)(?=[/\s\"'`:;,)]|$)"), "a folder of one machine"),
    (re.compile(r"\b(?:pypi\.org|pythonhosted\.org|deb\.debian\.org|security\.debian\.org|snapshot\.debian\.org)\b"), "a registry's host"),
]
CPP = {".h", ".cpp", ".inc", ".td", ".pdll"}
BINARY = {".safetensors", ".png", ".onnx", ".zip", ".bin", ".gz"}
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text):
    """The text with every comment blanked, line numbers kept."""
    def blank(match):
        token = match[0]
        return re.sub(r"[^\n]", " ", token) if token.startswith(("//", "/*")) else token
    return TOKEN.sub(blank, text)


def stem_pattern(stem):
    """Finds `stem` as a word of an identifier or a string: qwen3, Qwen3Config, kQwen3, QWEN3_X; never inside a longer word."""
    parts = [p for p in re.split(r"[^a-z0-9]+", stem.lower()) if p]
    def spelled(part):
        first = part[0]
        return f"(?:[{first}{first.upper()}]{re.escape(part[1:])}|{re.escape(part.upper())})"
    body = "[-_ .]?".join(spelled(p) for p in parts)
    before = r"(?<![A-Za-z0-9])" if len(stem) < 5 else r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
    return re.compile(before + body + r"(?![a-z0-9])")


def tracked(root):
    out = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True)
    if out.returncode == 0 and out.stdout:
        names = out.stdout.decode().split("\0")
        return [root / n for n in names if n and (root / n).is_file() and not (root / n).is_symlink()]
    return [p for p in root.rglob("*") if p.is_file() and not {".git", "build"} & set(p.relative_to(root).parts)]


def findings(root):
    stems = {}
    for kind in ("models", "chips"):
        for recipe in sorted((root / "recipes" / kind).glob("*.yaml")):
            if not recipe.stem.startswith("_"):
                stems[recipe.stem] = (kind[:-1], stem_pattern(recipe.stem))
    for path in sorted(tracked(root)):
        if path.suffix in BINARY:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        where = path.relative_to(root)
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, what in FOREIGN:
                match = pattern.search(line)
                if match:
                    yield f"{where}:{number}: names {match[0]!r}, {what}"
        if path.suffix in CPP and where.parts[0] != "tests":
            for number, line in enumerate(OTHERS.sub("", without_comments(text)).splitlines(), 1):
                for stem, (kind, pattern) in stems.items():
                    match = pattern.search(WORDS[stem].sub("", line) if stem in WORDS else line)
                    if match:
                        yield f"{where}:{number}: names the {kind} {stem} ({match[0]!r}): put it into recipes/"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    count = 0
    for finding in findings(root):
        print(finding)
        count += 1
    print(f"{count} findings", file=sys.stderr)
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
