"""llama.cpp on the CPU: device llama.cpp:cpu. Loads a .gguf file, or a folder with one (of a split model: the first part is found).

The engine is the C API inside the extension module of the Python package xllamacpp. Each row of a batch is a sequence of its own:
padding (attention_mask 0) never reaches the engine, positions do, as given; the logits at padding are zeros. One context per row,
float32 cache, no flash attention, one thread unless the caller says otherwise: what is compared is the model, not the savings.

The cache stays in the engine. `past_key_values.text` [B, 1, P, 3] names what must be in it: per earlier column the id, the
position and the number of the call that brought it (id -1 at padding); `present.text` is that with the new columns. If the
context of a row holds exactly this text the call goes on from it; otherwise the calls are repeated first. So the same inputs give the same bytes.
"""
import ctypes as C
import glob
import os
import re

import fr_runner

REMEDY = "run tools/install_consumers llama.cpp, or set FLAGRELEASE_PYTHON_LLAMA_CPP to a Python that has xllamacpp and numpy"
ROOM = 256  # cells of a cache come in multiples of this, and so many are kept free for what is decoded
BATCH = ROOM  # ids per llama_decode; the engine takes no more than there are cells
F32 = 0  # GGML_TYPE_F32
KEY, PRESENT = "past_key_values.text", "present.text"


class Blob(C.Structure):
    """A parameter struct whose layout is the library's business: larger than any, passed in memory as every large struct is."""
    _fields_ = [("words", C.c_uint32 * 256)]


class Batch(C.Structure):
    _fields_ = [("n_tokens", C.c_int32), ("token", C.POINTER(C.c_int32)), ("embd", C.c_void_p), ("pos", C.POINTER(C.c_int32)),
                ("n_seq_id", C.POINTER(C.c_int32)), ("seq_id", C.POINTER(C.POINTER(C.c_int32))), ("logits", C.POINTER(C.c_int8))]


LOG = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)
FUNCTIONS = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [LOG, C.c_void_p]),
    "llama_model_default_params": (Blob, []),
    "llama_context_default_params": (Blob, []),
    "llama_model_load_from_file": (C.c_void_p, [C.c_char_p, Blob]),
    "llama_model_free": (None, [C.c_void_p]),
    "llama_model_get_vocab": (C.c_void_p, [C.c_void_p]),
    "llama_model_has_decoder": (C.c_bool, [C.c_void_p]),
    "llama_model_has_encoder": (C.c_bool, [C.c_void_p]),
    "llama_model_desc": (C.c_int32, [C.c_void_p, C.c_char_p, C.c_size_t]),
    "llama_vocab_n_tokens": (C.c_int32, [C.c_void_p]),
    "llama_init_from_model": (C.c_void_p, [C.c_void_p, Blob]),
    "llama_free": (None, [C.c_void_p]),
    "llama_n_ctx": (C.c_uint32, [C.c_void_p]),
    "llama_n_batch": (C.c_uint32, [C.c_void_p]),
    "llama_set_n_threads": (None, [C.c_void_p, C.c_int32, C.c_int32]),
    "llama_decode": (C.c_int32, [C.c_void_p, Batch]),
    "llama_get_logits_ith": (C.POINTER(C.c_float), [C.c_void_p, C.c_int32]),
    "llama_print_system_info": (C.c_char_p, []),
}


def fields(words):
    """Where the fields that must change lie in llama_context_params, found by the defaults around them. The struct grows with every
    release; what is known of it is the order (llama.h): n_ctx, n_batch, n_ubatch, n_seq_max first; the enum of flash attention, last of
    four that are -1, before two floats that are 0; type_k, type_v, both F16 = 1, on an 8-byte border
    between two pairs of null pointers."""
    minus = [i for i in range(8, 64) if list(words[i - 3:i + 3]) == [0xFFFFFFFF] * 4 + [0, 0] and words[i - 4] != 0xFFFFFFFF]
    types = [i for i in range(8, 64, 2) if words[i] == words[i + 1] == 1 and not any(words[i - 4:i]) and not any(words[i + 2:i + 6])]
    if list(words[:4]) != [512, 2048, 512, 1] or len(minus) != 1 or len(types) != 1:
        raise fr_runner.RunnerError("start", "this build of xllamacpp has parameters that this runner does not know", REMEDY)
    return {"n_ctx": 0, "n_batch": 1, "n_ubatch": 2, "flash_attn": minus[0], "type_k": types[0], "type_v": types[0] + 1}


class Row:
    """One sequence: a context, and the text that its cache holds as [(ids, positions) of each call]."""

    def __init__(self, context, cells):
        self.context, self.cells, self.calls = context, cells, []


class LlamaCpp(fr_runner.Runner):
    def __init__(self):
        package = fr_runner.need("xllamacpp", REMEDY)
        self.numpy = fr_runner.need("numpy", REMEDY)
        found = glob.glob(os.path.join(os.path.dirname(package.__file__), "*.so"))
        try:
            self.lib = C.CDLL(found[0])
            for name, (result, arguments) in FUNCTIONS.items():
                function = getattr(self.lib, name)
                function.restype, function.argtypes = result, arguments
        except (IndexError, OSError, AttributeError) as error:
            raise fr_runner.RunnerError("start", "xllamacpp does not offer the C API of llama.cpp: %s" % error, REMEDY)
        self.log = []
        self.keep = LOG(self.hear)
        self.lib.llama_log_set(self.keep, None)
        self.lib.llama_backend_init()
        self.fields = fields(self.lib.llama_context_default_params().words)
        self.model, self.rows = None, []

    def probe(self):
        versions = {"numpy": self.numpy.__version__}
        try:
            from importlib import metadata
            versions["xllamacpp"] = metadata.version("xllamacpp")
        except Exception:  # a build without metadata
            pass
        return {"engine": "llama.cpp", "engine_version": versions.get("xllamacpp", ""), "chip": fr_runner.host_probe()["cpu"],
                "sdk": self.lib.llama_print_system_info().decode().strip(), "versions": versions}

    def hear(self, level, text, data):
        if level != 1:  # debug: thousands of lines
            self.log.append(text.decode("utf-8", "replace"))
        if level in (3, 4):
            print(self.log[-1], end="")

    def said(self):
        """The engine's last complaint."""
        lines = [line.strip() for line in "".join(self.log[-60:]).splitlines() if re.search(r"error|fail|unknown|unsupport|missing", line, re.I)]
        return "; ".join(lines[-3:]) or "no reason given"

    def load(self, path, outputs, threads):
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.endswith(".gguf"))
            first = [name for name in names if not re.search(r"-\d{5}-of-\d{5}\.gguf$", name) or "-00001-of-" in name]
            if len(first) != 1:
                raise fr_runner.RunnerError("bad-model", "%d .gguf models in %s, not one" % (len(first), os.path.basename(path)))
            path = os.path.join(path, first[0])
        self.drop()
        if self.model:
            self.lib.llama_model_free(self.model)
        self.log.clear()
        self.model = self.lib.llama_model_load_from_file(os.fsencode(path), self.lib.llama_model_default_params())
        if not self.model:
            text = self.said()
            kind = "unsupported" if "unknown model architecture" in text else "oom" if "alloc" in text else "bad-model"
            raise fr_runner.RunnerError(kind, "llama.cpp does not load %s: %s" % (os.path.basename(path), text))
        if not self.lib.llama_model_has_decoder(self.model) or self.lib.llama_model_has_encoder(self.model):
            raise fr_runner.RunnerError("unsupported", "a model with an encoder gives no logits for each id")
        self.threads = threads or 1
        self.vocabulary = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))
        declared = [fr_runner.spec("logits", "F32", [-1, -1, self.vocabulary]), fr_runner.spec(PRESENT, "F32", [-1, 1, -1, 3])]
        unknown = [name for name in outputs if name not in ("logits", PRESENT)]
        if unknown:
            raise fr_runner.RunnerError("bad-input", "llama.cpp has no output %s; it has logits" % unknown[0])
        self.outputs = outputs or ["logits", PRESENT]
        # A context now: a cache that is not what is meant, or memory that is not there, is said at load.
        self.drop(self.open(ROOM))
        return {"inputs": [fr_runner.spec(name, "I64", [-1, -1]) for name in ("input_ids", "attention_mask", "position_ids")]
                + [fr_runner.spec(KEY, "F32", [-1, 1, -1, 3])],
                "outputs": [spec for spec in declared if spec["name"] in self.outputs]}

    def open(self, cells):
        params = self.lib.llama_context_default_params()
        for name, value in (("n_ctx", cells), ("n_batch", BATCH), ("n_ubatch", BATCH), ("flash_attn", 0), ("type_k", F32), ("type_v", F32)):
            params.words[self.fields[name]] = value
        self.log.clear()
        context = self.lib.llama_init_from_model(self.model, params)
        if not context:
            raise fr_runner.RunnerError("oom", "llama.cpp makes no context of %d cells: %s" % (cells, self.said()))
        # By what it says: the fields were found by a pattern.
        text = "".join(self.log)
        kinds = re.findall(r"\b[KV] \((\w+)\)", text)
        if self.lib.llama_n_batch(context) != BATCH or self.lib.llama_n_ctx(context) < cells or not kinds or set(kinds) != {"f32"} \
                or not re.search(r"flash_attn\s*=\s*disabled", text):
            self.lib.llama_free(context)
            raise fr_runner.RunnerError("start", "llama.cpp did not take the parameters: cache %s" % (sorted(set(kinds)) or "unknown"), REMEDY)
        self.lib.llama_set_n_threads(context, self.threads, self.threads)
        return Row(context, cells)

    def drop(self, *rows):
        for row in rows or self.rows:
            self.lib.llama_free(row.context)
        if not rows:
            self.rows = []

    def run(self, inputs):
        if not self.model:
            raise fr_runner.RunnerError("bad-input", "no model is loaded")
        np, ids = self.numpy, self.plane(inputs, "input_ids")
        batch, columns = ids.shape
        past = inputs[KEY].array if KEY in inputs else np.zeros((batch, 1, 0, 3), np.float32)
        if past.ndim != 4 or past.shape[:2] != (batch, 1) or past.shape[3] != 3:
            raise fr_runner.RunnerError("bad-input", "%s has shape %s, not [%d, 1, past, 3]" % (KEY, list(past.shape), batch))
        known = past.shape[2]
        mask = self.plane(inputs, "attention_mask", (batch, known + columns)) if "attention_mask" in inputs \
            else np.ones((batch, known + columns), np.int64)
        counted = np.maximum(np.cumsum(mask, axis=1) - 1, 0)[:, known:]
        positions = self.plane(inputs, "position_ids", (batch, columns)) if "position_ids" in inputs else counted
        real = mask[:, known:] != 0
        if ids[real].size and (ids[real].min() < 0 or ids[real].max() >= self.vocabulary):
            raise fr_runner.RunnerError("bad-input", "an id outside of the vocabulary of %d" % self.vocabulary)

        logits = np.zeros((batch, columns, self.vocabulary), np.float32)
        number = past[..., 2].max(initial=0) + 1
        present = np.concatenate([past, np.stack([np.where(real, ids, -1), positions, np.full_like(ids, number)], -1)[:, None]
                                  .astype(np.float32)], axis=2)
        while len(self.rows) > batch:
            self.drop(self.rows.pop())
        for b in range(batch):
            here = np.flatnonzero(real[b])
            row = self.row(b, past[b, 0], len(here))
            if len(here):
                logits[b, here] = self.feed(row, ids[b, here], positions[b, here])
        answers = {"logits": logits, PRESENT: present}
        return {name: answers[name] for name in self.outputs}

    def plane(self, inputs, name, shape=None):
        if name not in inputs:
            raise fr_runner.RunnerError("bad-input", "input %s is missing" % name)
        array = inputs[name].array
        if inputs[name].dtype != "I64" or array.ndim != 2 or (shape and array.shape != shape):
            raise fr_runner.RunnerError("bad-input", "input %s is %s %s, not I64 %s"
                                        % (name, inputs[name].dtype, list(array.shape), list(shape or ("batch", "sequence"))))
        return array

    def row(self, b, past, more):
        """The context of row b with `past` in its cache and room for `more` ids."""
        calls = []
        for number in sorted(set(past[:, 2].tolist())):
            of_call = past[(past[:, 2] == number) & (past[:, 0] >= 0)].astype(self.numpy.int64)
            if len(of_call):
                calls.append((of_call[:, 0].tolist(), of_call[:, 1].tolist()))
        needed = sum(len(ids) for ids, _ in calls) + more
        if b < len(self.rows):
            row = self.rows[b]
            if calls and row.calls == calls and needed <= row.cells:
                return row
            self.drop(row)
            self.rows[b:b + 1] = []
        row = self.open((needed + ROOM + ROOM - 1) // ROOM * ROOM)
        self.rows.insert(b, row)
        for ids, positions in calls:
            self.feed(row, ids, positions)
        return row

    def feed(self, row, ids, positions):
        """One call: the logits of every id, [n, vocabulary]."""
        np, answers = self.numpy, []
        row.calls.append((list(map(int, ids)), list(map(int, positions))))
        for begin in range(0, len(ids), BATCH):
            part = slice(begin, begin + BATCH)
            tokens, places = (np.ascontiguousarray(values[part], np.int32) for values in (np.asarray(ids), np.asarray(positions)))
            count = len(tokens)
            one, wanted = np.ones(count, np.int32), np.ones(count, np.int8)
            zero = (C.c_int32 * 1)(0)
            sequences = (C.POINTER(C.c_int32) * count)(*[C.cast(zero, C.POINTER(C.c_int32))] * count)
            integers = lambda array: array.ctypes.data_as(C.POINTER(C.c_int32))
            code = self.lib.llama_decode(row.context, Batch(count, integers(tokens), None, integers(places), integers(one), sequences,
                                                            wanted.ctypes.data_as(C.POINTER(C.c_int8))))
            if code:
                row.calls = None  # whatever the cache holds now, it is not used again
                raise fr_runner.RunnerError("failed", "llama_decode answers %d: %s" % (code, self.said()))
            answers += [np.ctypeslib.as_array(self.lib.llama_get_logits_ith(row.context, i), (self.vocabulary,)).copy() for i in range(count)]
        return np.stack(answers)


if __name__ == "__main__":
    fr_runner.serve("llama_cpp", LlamaCpp)
