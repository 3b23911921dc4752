"""Our tokenizer keys in llama.cpp: ids of 2,000 strings against the tokenizer's own library, and chat templates against Jinja's.

One tokenizer is trained for each entry of recipes/gguf_pretokenizers.yaml, one SentencePiece model, and the same one in the form of
tokenizer.json; the example model brings its own. Needs tokenizers, jinja2, PyYAML and numpy in the Python that runs this, xllamacpp in
the one of the engine llama.cpp, and sentencepiece in the one of vLLM, which requires it.

    FLAGRELEASE_WRITE_GGUF  writes a tokenizer as GGUF  (default: build/release/tests/exporters/flagrelease-write-gguf)
"""
import importlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import unicodedata
import unittest

import yaml
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import support

TOOL = os.path.abspath(os.environ.get("FLAGRELEASE_WRITE_GGUF") or
                       os.path.join(support.SOURCE, "build/release/tests/exporters/flagrelease-write-gguf"))
SPECIAL = ["<|start|>", "<|end|>", "<s>", "</s>"]
STRINGS = 2000
POOL = [
    "Hello", "world", "the quick brown fox", "don't", "I'M", "we'll", "They'd've", "THIS IS LOUD", "camelCaseWord", "snake_case_word", "naïve café",
    "Straße", "ÀÉÎ", "ﬁne", "Ǆ", "ʼn", "你好", "世界", "中文分词测试", "第１２章", "、。！？", "「引用」", "日本語テキスト", "カタカナ", "ひらがな", "한국어 문장", "ㄱㄴㄷ",
    "Привет, мир", "Ελληνικά", "שלום", "مرحبا", "हिन्दी", "ไทย", "বাংলা", "😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "☃️", "\u0301", "\u0308\u0304", " \u0327", "a\u20e3", "\u200b",
    "\u200d", "\ufeff", "\u00a0", "\u3000", "\u2028", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", "\r\n\r\n", " ", "  ", "   ", "        ", " \n ", "\n   ",
    "1", "12", "123", "1234567890", "3.14159", "1,000,000", "0x1F", "²³", "Ⅻ", "½", "٣٤٥", "def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\r\n",
    "}\n\n\n", "#include <vector>", "a->b", "x != y && z", "{\"key\": [1, 2, {}]}", "<div class=\"a\">", "$HOME/bin:*.py", "\\n\\t", "`code`", "https://example.org/a?b=c&d=e",
    "user@example.com", "...", "—", "–", "…", "“quoted”", "‘q’", "!!!", "?!", "@@", "#", "%%", "^", "~~~", "|", "+-*/=", "<>", "$5.00", "€", "°C", "©",
    "Ⓐ", "𝒜𝓑", "𐍈", "\U0001f9ff", "\u0e33", "e\u0301", "o\u0302\u0323", "\u1100\u1161",
]


def strings(seed, special, composed):
    """Texts made of pieces of the pool. `composed`: only those that NFC leaves alone."""
    rng = random.Random(seed)
    out = [""] + [piece for piece in POOL]
    pool = POOL + special * 3
    while len(out) < STRINGS + 400:
        joiner = rng.choice(["", "", " ", "\n", "  "])
        out.append(joiner.join(rng.choice(pool) for _ in range(rng.randint(1, 12))))
    if composed:
        out = [text for text in out if unicodedata.normalize("NFC", text) == text]
    return out[:STRINGS]


def corpus():
    text = []
    for name in ("README.md", "CONTRIBUTING.md", "docs/cli.md"):
        with open(os.path.join(support.SOURCE, name), encoding="utf-8") as file:
            text += file.read().split("\n\n")
    return text + strings(7, [], False)


STEPS = {
    "bytes": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "digits": lambda: pre_tokenizers.Digits(individual_digits=True),
    "digit_runs": lambda: pre_tokenizers.Digits(individual_digits=False),
    "punctuation": lambda: pre_tokenizers.Punctuation(behavior="contiguous"),
}


def trained(kind, normalizer, folder):
    """tokenizer.json of an entry of the table; returns the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    if normalizer == "NFC":
        tokenizer.normalizer = normalizers.NFC()
    steps = [STEPS[step]() if isinstance(step, str) else pre_tokenizers.Split(Regex(step["split"]), "isolated") for step in kind["steps"]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=1500, show_progress=False,
                                                                initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL[:2]])
    tokenizer.add_tokens([AddedToken("<user_token>", normalized=False)])
    start = tokenizer.token_to_id(SPECIAL[0])
    tokenizer.post_processor = processors.TemplateProcessing(single=SPECIAL[0] + " $A", special_tokens=[(SPECIAL[0], start)])
    os.makedirs(folder, exist_ok=True)
    content = json.loads(tokenizer.to_str())
    content["model"]["ignore_merges"] = bool(kind.get("ignore_merges"))
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"bos_token": SPECIAL[0], "eos_token": {"content": SPECIAL[1]}, "clean_up_tokenization_spaces": bool(kind.get("cleans"))}, file)
    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def cased(c):
    """A mark, or a letter with case outside of ASCII."""
    category = unicodedata.category(c)
    return category[0] == "M" or (c > "\x7f" and category in ("Lu", "Ll", "Lt"))


# What `limits` of the table says: texts with such a character are left out; all others must be equal.
LIMITS = {"tekken": cased, "gpt-4o": cased, "deepseek-llm": lambda c: c == "\u3000"}

# Run by the engine's Python: reads {gguf, texts, special} from stdin, writes the ids of each text.
ENGINE = r"""
import ctypes as C, glob, json, os, sys
import xllamacpp
lib = C.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
class Blob(C.Structure):
    _fields_ = [("bytes", C.c_uint8 * 1024)]
LOG = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)
said = []
keep = LOG(lambda level, text, data: said.append(text.decode("utf-8", "replace")) if level in (3, 4) else None)
for name, result, arguments in (
        ("llama_backend_init", None, []), ("llama_log_set", None, [LOG, C.c_void_p]), ("llama_model_default_params", Blob, []),
        ("llama_model_load_from_file", C.c_void_p, [C.c_char_p, Blob]), ("llama_model_get_vocab", C.c_void_p, [C.c_void_p]),
        ("llama_vocab_n_tokens", C.c_int32, [C.c_void_p]), ("llama_model_free", None, [C.c_void_p]),
        ("llama_tokenize", C.c_int32, [C.c_void_p, C.c_char_p, C.c_int32, C.POINTER(C.c_int32), C.c_int32, C.c_bool, C.c_bool])):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments
lib.llama_log_set(keep, None)
lib.llama_backend_init()
for line in sys.stdin:
    job = json.loads(line)
    params = lib.llama_model_default_params()
    # vocab_only is the first of the booleans, which follow pointers that are null; one after it is true.
    params.bytes[next(i for i in range(40, 128) if params.bytes[i] == 1) & ~7] = 1
    model = lib.llama_model_load_from_file(os.fsencode(job["gguf"]), params)
    if not model:
        print(json.dumps({"error": "".join(said[-5:])}), flush=True)
        continue
    vocabulary, out = lib.llama_model_get_vocab(model), []
    for text in job["texts"]:
        data = text.encode("utf-8", "surrogatepass")
        room = (C.c_int32 * (len(data) + 16))()
        count = lib.llama_tokenize(vocabulary, data, len(data), room, len(room), True, job["special"])
        out.append(list(room[:count]))
    print(json.dumps({"ids": out, "count": lib.llama_vocab_n_tokens(vocabulary)}), flush=True)
    lib.llama_model_free(model)
"""


# Run by the engine's Python: starts llama.cpp's server on the loopback and asks it to render.
SERVER = r"""
import json, sys, urllib.request
import xllamacpp
job = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.port, params.warmup, params.use_jinja = job["gguf"], 256, 0, False, True
params.cpuparams.n_threads = 1
server, out = xllamacpp.Server(params), []
for messages in job["dialogues"]:
    request = urllib.request.Request(server.listening_address + "/apply-template", json.dumps({"messages": messages}).encode(),
                                     {"Content-Type": "application/json"})
    out.append(json.loads(urllib.request.urlopen(request).read())["prompt"])
print(json.dumps(out))
"""

CHATML = """{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\nAnswer briefly.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>' + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""
TURNS = """{% for message in messages %}
{% if message.role == 'user' %}
[{{ loop.index }}] Q: {{ message.content }}
{% elif message.role == 'assistant' %}
[{{ loop.index }}] A: {{ message.content | replace('\n', ' ') }}
{% else %}
({{ message.role | upper }}) {{ message.content }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}A:{% endif %}
"""
TEMPLATES = {"text": CHATML, "list": TURNS, "file": CHATML.replace("briefly", "at length") + TURNS}
DIALOGUES = [[dict(role=role, content=content) for role, content in turns] for turns in (
    [("user", "hi")],
    [("system", "You are terse."), ("user", "hi")],
    [("user", "  spaces around  ")],
    [("user", "one"), ("assistant", "two"), ("user", "three")],
    [("user", "你好，世界"), ("assistant", "😀"), ("user", "第二")],
    [("user", "line\nbreak\r\nCRLF")],
    [("user", "<|im_end|> inside, {{ braces }} and {% tags %}")],
    [("user", "quotes \" and ' and \\\\")],
    [("system", "s"), ("user", "a"), ("assistant", "b\nc"), ("user", "d"), ("assistant", "e"), ("user", "f")],
    [("user", "e\u0301 \u0308 \u200b\t.")],
)]


def sentencepiece_library():
    """From where vLLM has it; the other packages stay those of this Python."""
    if importlib.util.find_spec("sentencepiece") is None:
        code = "import os, sentencepiece; print(os.path.dirname(os.path.dirname(sentencepiece.__file__)))"
        sys.path.append(subprocess.run([support.python_of("vllm"), "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    return importlib.import_module("sentencepiece")


class Tokenizers(support.Case):
    engine = "llama.cpp"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.process = subprocess.Popen([cls.python, "-c", ENGINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.process.wait)
        cls.addClassCleanup(cls.process.stdin.close)
        with open(os.path.join(support.SOURCE, "recipes/gguf_pretokenizers.yaml"), encoding="utf-8") as file:
            cls.kinds = yaml.safe_load(file)["pretokenizers"]

    def write(self, folder, rows):
        path = folder + ".gguf"
        told = subprocess.run([TOOL, "--vocabulary", folder, str(rows), path], capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stderr)
        return path

    def engine_ids(self, gguf, texts, special=True):
        self.process.stdin.write(json.dumps({"gguf": gguf, "texts": texts, "special": special}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.assertIn("ids", answer, answer.get("error"))
        return answer

    def compare(self, name, gguf, texts, expected, special=True):
        answer = self.engine_ids(gguf, texts, special)
        wrong = [(text, got, want) for text, got, want in zip(texts, answer["ids"], expected) if got != want]
        print("%s: %d of %d texts have other ids" % (name, len(wrong), len(texts)), flush=True)
        for text, got, want in wrong[:5]:
            print("  %r\n    llama.cpp %s\n    own       %s" % (text, got, want), flush=True)
        self.assertFalse(wrong, name)
        return answer["count"]

    def test_each_pre_tokenizer(self):
        for kind in self.kinds:
            for normalizer in kind.get("normalizers", ["none"]):
                name = "%s, %s" % (kind["name"], normalizer)
                with self.subTest(name):
                    folder = self.path(kind["name"] + "-" + normalizer)
                    own = trained(kind, normalizer, folder)
                    texts = strings(11, SPECIAL[:2] + ["<user_token>"], normalizer == "NFC")
                    self.assertEqual("limits" in kind, kind["name"] in LIMITS, kind["name"])
                    texts = [text for text in texts if not any(map(LIMITS.get(kind["name"], lambda c: False), text))]
                    self.assertGreater(len(texts), 800)
                    rows = own.get_vocab_size() + 5
                    count = self.compare(name, self.write(folder, rows), texts, [own.encode(text).ids for text in texts])
                    self.assertEqual(count, rows)

    def test_example(self):
        own = Tokenizer.from_file(os.path.join(support.EXAMPLE, "tokenizer.json"))
        texts = strings(13, ["<|endoftext|>"], True)
        told = subprocess.run([TOOL, "--vocabulary", support.EXAMPLE, "2048", self.path("example.gguf")], capture_output=True, text=True)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.compare("example", self.path("example.gguf"), texts, [own.encode(text).ids for text in texts])

    def sentencepiece(self):
        sentencepiece = sentencepiece_library()
        folder = self.path("pieces")
        if not os.path.exists(folder):
            os.makedirs(folder)
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(line for text in corpus() for line in text.split("\n")), model_prefix=os.path.join(folder, "tokenizer"),
                vocab_size=1200, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                character_coverage=0.98, split_digits=True, allow_whitespace_only_pieces=True, minloglevel=2)
        return folder, sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))

    def test_sentencepiece(self):
        folder, own = self.sentencepiece()
        texts = [text for text in strings(17, [], False) if "\0" not in text]
        expected = [[own.bos_id()] + own.encode(text) for text in texts]
        self.compare("sentencepiece", self.write(folder, own.get_piece_size()), texts, expected, special=False)

    def test_unigram(self):
        """A unigram model with SentencePiece's usual normaliser (NFKC and more): its compiled table goes along, and llama.cpp applies it."""
        sentencepiece = sentencepiece_library()
        for name, options in (("unigram", {}), ("unigram-plain", {"normalization_rule_name": "identity", "remove_extra_whitespaces": False})):
            with self.subTest(name):
                folder = self.path(name)
                os.makedirs(folder)
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(line for text in corpus() for line in text.split("\n")), model_prefix=os.path.join(folder, "tokenizer"),
                    vocab_size=1200, model_type="unigram", character_coverage=0.98, minloglevel=2, **options)
                own = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
                # Where spaces are kept, llama.cpp puts no space before a text of nothing else.
                texts = [text for text in strings(23, [], False) if "\0" not in text and (not options or text.strip(" ") or not text)]
                expected = [own.encode(text) + [own.eos_id()] for text in texts]
                self.compare(name, self.write(folder, own.get_piece_size()), texts, expected, special=False)

    def test_pieces_as_json(self):
        """The same model as transformers converts it: merges by the scores of what they make."""
        _, own = self.sentencepiece()
        pieces = {own.id_to_piece(i): i for i in range(own.get_piece_size())}
        merges = []
        for piece, i in pieces.items():
            if own.is_control(i) or own.is_unknown(i) or own.is_byte(i):
                continue
            pairs = [(pieces[piece[:cut]], pieces[piece[cut:]], piece[:cut], piece[cut:]) for cut in range(1, len(piece))
                     if piece[:cut] in pieces and piece[cut:] in pieces]
            merges += [(-own.get_score(i), pair) for pair in sorted(pairs)]
        merges = [[left, right] for _, (_, _, left, right) in sorted(merges, key=lambda merge: merge[0])]
        special = [{"id": i, "content": own.id_to_piece(i), "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                    "special": True} for i in range(3)]
        folder = self.path("pieces-json")
        os.makedirs(folder, exist_ok=True)
        content = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                               {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "pre_tokenizer": None,
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": pieces, "merges": merges}}
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, file)
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        texts = [text for text in strings(19, ["</s>"], False) if text]
        self.compare("pieces as json", self.write(folder, own.get_piece_size()), texts, [tokenizer.encode(text).ids for text in texts])

    def test_chat_templates(self):
        """Rendered by llama.cpp's server from our file, and by Jinja as transformers sets it up, for ten dialogues each."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        for name, template in TEMPLATES.items():
            with self.subTest(name):
                folder = self.path("chat-" + name)
                shutil.copytree(support.EXAMPLE, folder)
                path = os.path.join(folder, "tokenizer_config.json")
                with open(path, encoding="utf-8") as file:
                    config = json.load(file)
                if name == "file":
                    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
                        file.write(template)
                else:
                    config["chat_template"] = template if name == "text" else [{"name": "default", "template": template}, {"name": "tools", "template": "x"}]
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(config, file)
                told = subprocess.run([TOOL, folder, folder + ".out", "f32"], capture_output=True, text=True)
                self.assertEqual(told.returncode, 0, told.stderr)
                job = {"gguf": os.path.join(folder + ".out", "model.gguf"), "dialogues": DIALOGUES}
                told = subprocess.run([self.python, "-c", SERVER], input=json.dumps(job), capture_output=True, text=True, timeout=600)
                self.assertEqual(told.returncode, 0, told.stderr[-2000:])
                got = json.loads(told.stdout.splitlines()[-1])
                for messages, prompt in zip(DIALOGUES, got):
                    self.assertEqual(prompt, environment.from_string(template).render(messages=messages, add_generation_prompt=True))
                print("chat template, %s: %d dialogues are equal" % (name, len(got)), flush=True)

    def test_keys_of_the_reference(self):
        """Merges, special ids and switches as the gguf package reads them from the same folders."""
        import gguf
        for name in ("llama-bpe", "qwen2", "falcon"):
            kind = next(kind for kind in self.kinds if kind["name"] == name)
            folder = self.path("reference-" + name)
            own = trained(kind, "none", folder)
            theirs = gguf.SpecialVocab(folder, load_merges=True, n_vocab=own.get_vocab_size())
            reader = gguf.GGUFReader(self.write(folder, own.get_vocab_size()))
            value = {key: field.contents() for key, field in reader.fields.items()}
            self.assertEqual(value["tokenizer.ggml.merges"], theirs.merges)
            for special, key in (("bos", "bos_token_id"), ("eos", "eos_token_id")):
                self.assertEqual(value["tokenizer.ggml." + key], theirs.special_token_ids[special])
            self.assertEqual(value["tokenizer.ggml.add_bos_token"], theirs.add_special_token["bos"])


if __name__ == "__main__":
    unittest.main()
