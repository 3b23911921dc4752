"""Bad input of the formats and schemes of small numbers, as a user meets it: pickles, archives, GGUF files, quantised checkpoints, and schemes that
a model does not take. One row per mistake: exit code, a message with place, value and remedy, and nothing written."""
import io
import json
import os
import shutil
import struct
import zipfile

import support
from support import Refusing, read, read_safetensors, run, write, write_safetensors

Q_PROJ = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.0.mlp.down_proj.weight"


# Pickles: opcodes of protocol 2, by hand.

def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def call(module, attribute, argument="true"):
    """attribute(argument), as the value of a tensor's name."""
    return b"\x80\x02}" + text("model.norm.weight") + name(module, attribute) + text(argument) + b"\x85Rs."


def archive(members, mode=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", mode) as out:
        for member, data in members:
            out.writestr(zipfile.ZipInfo(member), data, mode)
    return buffer.getvalue()


def torch_file(pickle, more=()):
    return archive([("m/data.pkl", pickle), ("m/version", b"3\n"), *more])


def overlapping():
    """Two members of which the second lies inside of the first: each is good by itself."""
    inner = archive([("m/version", b"3\n")])
    inner = inner[:inner.index(b"PK\x01\x02")]
    outer = bytearray(archive([("m/data.pkl", inner), ("m/version", b"3\n")]))
    at = outer.rindex(b"PK\x01\x02")
    struct.pack_into("<I", outer, at + 42, outer.index(b"PK\x03\x04", 4))
    return bytes(outer)


def bomb():
    """A member that says it has 4 GB; and one that is packed."""
    return archive([("m/data.pkl", b"\x80\x02}."), ("m/version", b"3\n"), ("m/data/0", bytes(64 << 20))], zipfile.ZIP_DEFLATED)


def claims(offset, value):
    """A field of the last entry of the central directory says something else."""
    def change(data):
        changed = bytearray(data)
        struct.pack_into("<I", changed, changed.rindex(b"PK\x01\x02") + offset, value)
        return bytes(changed)
    return change


GOOD = torch_file(b"\x80\x02}.", [("m/data/0", b"12345678")])

# what, content of pytorch_model.bin, words of the message
PICKLES = [
    ("a command", torch_file(call("os", "system", "touch MARK")), ["names os.system", "pytorch_model.bin"]),
    ("a command by another name", torch_file(call("posix", "system", "touch MARK")), ["names posix.system"]),
    ("a process", torch_file(call("subprocess", "Popen", "MARK")), ["names subprocess.Popen"]),
    ("evaluation", torch_file(call("builtins", "eval", "open('MARK','w')")), ["names builtins.eval"]),
    ("evaluation of Python 2", torch_file(call("__builtin__", "exec", "1")), ["names __builtin__.exec"]),
    ("attributes", torch_file(call("builtins", "getattr")), ["names builtins.getattr"]),
    ("attributes of a name that is known", torch_file(call("collections", "OrderedDict.fromkeys")), ["names collections.OrderedDict.fromkeys"]),
    ("imports", torch_file(call("importlib", "import_module", "MARK")), ["names importlib.import_module"]),
    ("another pickle", torch_file(call("pickle", "loads")), ["names pickle.loads"]),
    ("a file", torch_file(call("io", "open", "MARK")), ["names io.open"]),
    ("a function in parts", torch_file(call("functools", "partial")), ["names functools.partial"]),
    ("objects of copyreg", torch_file(call("copyreg", "_reconstructor")), ["names copyreg._reconstructor"]),
    ("torch that loads", torch_file(call("torch", "load", "MARK")), ["names torch.load"]),
    ("torch that fetches", torch_file(call("torch.hub", "load", "MARK")), ["names torch.hub.load"]),
    ("a module of torch", torch_file(call("torch.nn.modules.linear", "Linear")), ["names torch.nn.modules.linear.Linear"]),
    ("tensors of another kind", torch_file(call("torch._utils", "_rebuild_qtensor")), ["names torch._utils._rebuild_qtensor"]),
    ("numpy", torch_file(call("numpy.core.multiarray", "_reconstruct")), ["names numpy.core.multiarray._reconstruct"]),
    ("a class of somebody", torch_file(call("__main__", "Model")), ["names __main__.Model"]),
    ("a name from the stack", torch_file(b"\x80\x04}" + text("w") + text("os") + text("system") + b"\x93" + text("x") + b"\x85Rs."), ["names os.system"]),
    ("an object by INST", torch_file(b"\x80\x02(ios\nsystem\n."), ["os.system", "INST"]),
    ("a name by number", torch_file(b"\x80\x02\x82\x01."), ["EXT"]),
    ("an escape in a name", torch_file(call("os\x1b[31m", "system")), ["os\\x1b[31m"]),
    ("a pickle that is cut", torch_file(call("os", "path")[:-9]), ["data.pkl"]),
    ("name with ..", torch_file(b"\x80\x02}.", [("m/../../evil", b"MARK")]), ["m/../../evil", "is no name inside"]),
    ("absolute name", torch_file(b"\x80\x02}.", [("/tmp/evil", b"MARK")]), ["/tmp/evil", "is no name inside"]),
    ("overlapping members", overlapping(), ["m/version", "inside of m/data.pkl"]),
    ("packed members", bomb(), ["m/data"]),
    ("a member of 4 GB in a small file", claims(24, 0xfffffff0)(claims(20, 0xfffffff0)(GOOD)), ["m/data/0", "4294967280"]),
    ("a small member that unpacks to 4 GB", claims(24, 0xfffffff0)(GOOD), ["m/data/0", "4294967280"]),
    ("an archive that is cut", GOOD[:-30], ["pytorch_model.bin"]),
    ("no archive", b"\x80\x02}.", ["pytorch_model.bin"]),
]


# GGUF: a file that the program wrote, changed.

def gguf_text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*values, tensors=0, count=None, rest=b""):
    count = len(values) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, count) + b"".join(values) + rest


def key(entry, number):
    """The u32 of a key becomes another."""
    def change(data):
        at = data.index(gguf_text(entry) + struct.pack("<I", 4)) + 8 + len(entry) + 4
        return data[:at] + struct.pack("<I", number) + data[at + 4:]
    return change


def tensor(entry, field, number):
    """A number of a tensor's entry becomes another. field: rank, ne0, ne1, type, offset."""
    def change(data):
        at = data.index(gguf_text(entry)) + 8 + len(entry)
        rank = struct.unpack_from("<I", data, at)[0]
        place, form = {"rank": (0, "<I"), "ne0": (4, "<Q"), "ne1": (12, "<Q"), "type": (4 + 8 * rank, "<I"), "offset": (8 + 8 * rank, "<Q")}[field]
        return data[:at + place] + struct.pack(form, number) + data[at + place + struct.calcsize(form):]
    return change


HUGE = (1 << 64) - 1
ARCH = gguf_text("general.architecture") + struct.pack("<I", 8) + gguf_text("llama")
FILES = [
    ("tensors without end", lambda data: gguf(ARCH, tensors=HUGE), [str(HUGE) + " tensors"]),
    ("keys without end", lambda data: gguf(ARCH, count=HUGE), [str(HUGE) + " key-values"]),
    ("text without end", lambda data: gguf(gguf_text("k") + struct.pack("<IQ", 8, 1 << 62)), ["k has 4611686018427387904 bytes"]),
    ("list without end", lambda data: gguf(gguf_text("k") + struct.pack("<IIQ", 9, 5, 1 << 61)), ["2305843009213693952 elements"]),
    ("lists of lists", lambda data: gguf(gguf_text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(16)), ["list of lists"]),
    ("dimensions without end", tensor("blk.0.attn_q.weight", "rank", 0x7fffffff), ["blk.0.attn_q.weight", "2147483647 dimensions"]),
    ("a dimension that overflows", tensor("blk.0.attn_q.weight", "ne1", 1 << 62), ["blk.0.attn_q.weight"]),
    ("a dimension of nothing", tensor("blk.0.attn_q.weight", "ne0", 0), ["blk.0.attn_q.weight"]),
    ("rows that are no whole blocks", tensor("blk.0.attn_q.weight", "ne0", 48), ["blk.0.attn_q.weight", "48", "Q8_0"]),
    ("a type that nobody knows", tensor("blk.0.attn_q.weight", "type", 12345), ["blk.0.attn_q.weight", "12345"]),
    ("an offset past the end", tensor("blk.0.attn_q.weight", "offset", 1 << 40), ["blk.0.attn_q.weight"]),
    ("layers without end", key("llama.block_count", 4000000000), ["4000000000"]),
    ("more layers than there are", key("llama.block_count", 3), ["model.layers.2.", "9 tensors are missing"]),
    ("a width that the tensors do not have", key("llama.embedding_length", 96), ["96"]),
    ("no heads", key("llama.attention.head_count", 0), ["0"]),
    ("an architecture that nobody knows", lambda data: data.replace(gguf_text("llama"), gguf_text("lamma"), 1), ["lamma"]),
    ("a file that is cut", lambda data: data[:len(data) // 2], ["m.gguf"]),
]


# Quantised checkpoints.

def edit(folder, change):
    path = os.path.join(folder, "model.safetensors")
    header, data = read_safetensors(path)
    data = bytearray(data)
    change(header, data)
    write_safetensors(path, header, bytes(data))


def put(entry, pattern, at=0):
    """These bytes at a place of a tensor."""
    def change(folder):
        def inside(header, data):
            begin = header[entry]["data_offsets"][0] + at
            data[begin:begin + len(pattern)] = pattern
        edit(folder, inside)
    return change


def settings(**changes):
    """Changes of quantization_config."""
    def change(folder):
        path = os.path.join(folder, "config.json")
        config = json.loads(read(path))
        config["quantization_config"].update(changes)
        write(path, json.dumps(config, indent=1))
    return change


def untouched(folder):
    pass


GPTQ, SORTED, AWQ, PACKED = "quant-gptq-int4-g32-desc-act-qwen3", "quant-gptq-int2-g32-llama", "quant-awq-int4-g32-llama", "quant-ct-w4a16-packed-g32-llama"
INT8, NVFP4, FP8, NF4 = "quant-ct-w8a8-int8-llama", "quant-ct-nvfp4-llama", "quant-fp8-block128-qwen3", "quant-bnb-nf4-llama"
NAN16, INF16, NANB, NAN32, INF32 = b"\x01\x7e", b"\x00\x7c", b"\xc0\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"
NOT_FINITE = ["NaN or an infinity", "restore the checkpoint"]

# what, fixture, change, exit code, words
QUANTISED = [
    ("unknown method", GPTQ, settings(quant_method="gtpq"), 2, ["config.json: quantization_config.quant_method", "gtpq", "known are: gptq"]),
    ("method that is no text", GPTQ, settings(quant_method=4), 2, ["config.json: quantization_config.quant_method", "4"]),
    ("groups that do not divide, gptq", SORTED, settings(group_size=48), 2, [Q_PROJ + ".qweight", "groups of 48 do not divide 64"]),
    ("groups that do not divide, awq", AWQ, settings(group_size=48), 2, [Q_PROJ + ".qweight", "48", "64"]),
    ("bits that nobody writes", GPTQ, settings(bits=5), 2, ["config.json: quantization_config.bits", "5"]),
    ("NaN in scales, gptq", GPTQ, put(Q_PROJ + ".scales", NAN16), 2, [Q_PROJ, *NOT_FINITE]),
    ("infinity in scales, gptq", GPTQ, put(Q_PROJ + ".scales", INF16, 6), 2, [Q_PROJ, *NOT_FINITE]),
    ("NaN in scales, awq", AWQ, put(Q_PROJ + ".scales", NAN16), 2, [Q_PROJ, *NOT_FINITE]),
    ("NaN in scales, compressed-tensors", PACKED, put(Q_PROJ + ".weight_scale", NANB), 2, [Q_PROJ, *NOT_FINITE]),
    ("NaN in scales, int8", INT8, put(Q_PROJ + ".weight_scale", NANB), 2, [Q_PROJ, *NOT_FINITE]),
    ("NaN in scales, fp8", FP8, put(Q_PROJ + ".weight_scale_inv", NAN32), 2, [Q_PROJ, *NOT_FINITE]),
    ("infinity in scales, fp8", FP8, put(Q_PROJ + ".weight_scale_inv", INF32), 2, [Q_PROJ, *NOT_FINITE]),
    ("NaN in absmax, nf4", NF4, put(Q_PROJ + ".weight.absmax", NAN32), 2, [Q_PROJ, *NOT_FINITE]),
    ("a second scale of 0, which numbers are divided by", NVFP4, put(Q_PROJ + ".weight_global_scale", bytes(4)), 2, [Q_PROJ, *NOT_FINITE]),
]

PLAIN = "llama-llama-7b"
HF, ONNX, GGUF = ("--format", "hf"), ("--format", "onnx"), ("--format", "gguf")

# what, fixture, change, words of the command, exit code, words of the message
SCHEMES = [
    ("of integers again", GPTQ, untouched, (*HF, "--scheme", "w8a16"), 2, ["--scheme w8a16", "quantised already", "gptq", "--allow-requantize"]),
    ("of integers again, in a graph", INT8, untouched, (*ONNX, "--scheme", "w4a16-g32"), 2, ["quantised already", "--allow-requantize"]),
    ("in blocks again", FP8, untouched, (*GGUF, "--scheme", "q8_0"), 2, ["quantised already", "fp8", "--allow-requantize"]),
    ("of GGUF blocks again", "GGUF", untouched, (*HF, "--scheme", "w8a16"), 2, ["quantised already", "GGUF blocks", "--allow-requantize"]),
    ("of GGUF blocks again, in blocks", "GGUF", untouched, (*GGUF, "--scheme", "q8_0"), 2, ["quantised already", "GGUF blocks"]),
    ("groups longer than rows", PLAIN, untouched, (*HF, "--scheme", "w4a16-g128"), 1, [Q_PROJ, "rows of 64", "128", "--allow-type-fallback"]),
    ("groups longer than rows, in a graph", PLAIN, untouched, (*ONNX, "--scheme", "w4a16-g128"), 1, [Q_PROJ, "rows of 64", "--allow-type-fallback"]),
    ("blocks longer than rows", PLAIN, untouched, (*GGUF, "--scheme", "q4_k_m"), 1, ["blk.0.attn_q.weight", "rows of 64", "q4_k", "256", "--allow-type-fallback"]),
    ("blocks longer than rows, one type", PLAIN, untouched, (*GGUF, "--scheme", "q6_k"), 1, ["blk.0.attn_q.weight", "q6_k", "--allow-type-fallback"]),
    ("that the format does not hold", PLAIN, untouched, (*ONNX, "--scheme", "q4_k_m"), 2, ["--scheme q4_k_m", "format onnx does not hold it", "--format gguf"]),
    ("that the format does not hold, the other way", PLAIN, untouched, (*GGUF, "--scheme", "w8a16"), 2, ["format gguf does not hold it", "--format hf"]),
    ("that this engine does not load", GPTQ, untouched, (*HF, "--scheme", "source"), 2, ["gptq", "--scheme"]),
    ("that GGUF does not keep", GPTQ, untouched, (*GGUF, "--scheme", "source"), 2, ["gptq", "--scheme bf16"]),
    ("a number that fp16 does not hold", PLAIN, put(DOWN, b"\x80\x47", 20), (*GGUF, "--scheme", "fp16"), 1, ["blk.0.ffn_down.weight", "65536", "--allow-range-loss"]),
    ("a number that fp16 does not hold, in a graph", PLAIN, put(DOWN, b"\x80\x47", 20), (*ONNX, "--scheme", "fp16"), 1, [DOWN, "65536", "--allow-range-loss"]),
    ("a quantised number that fp16 does not hold", FP8, put(Q_PROJ + ".weight_scale_inv", struct.pack("<f", 1e6)), (*HF, "--scheme", "fp16"), 1, [Q_PROJ + ".weight", "--allow-range-loss"]),
    ("a scale that fp16 does not hold", PLAIN, put(DOWN, b"\x80\x4b", 20), (*GGUF, "--scheme", "q8_0"), 1, ["blk.0.ffn_down.weight", "16777216", "--allow-range-loss"]),
    ("an infinity as an integer", PLAIN, put(DOWN, b"\x80\x7f"), (*HF, "--scheme", "w8a16"), 2, [DOWN[:-7], "NaN or an infinity"]),
    ("a NaN as an integer, in a graph", PLAIN, put(DOWN, NANB), (*ONNX, "--scheme", "w4a16-g32"), 2, [DOWN[:-7], "NaN or an infinity"]),
    ("a NaN as fp8", PLAIN, put(DOWN, NANB), (*HF, "--scheme", "fp8"), 2, [DOWN[:-7], "NaN or an infinity"]),
    ("an infinity in blocks", PLAIN, put(DOWN, b"\x80\xff"), (*GGUF, "--scheme", "q8_0"), 2, ["blk.0.ffn_down.weight", "NaN or an infinity"]),
    ("a NaN as mxfp4", PLAIN, put(DOWN, NANB), (*GGUF, "--scheme", "mxfp4"), 2, ["blk.0.ffn_down.weight", "NaN or an infinity"]),
]


class BadQuantised(Refusing):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = {}
        cls.gguf = os.path.join(cls.shared, "written")
        plain = support.fixture(PLAIN, os.path.join(cls.shared, PLAIN))
        result = run("migrate", plain, "--chip", "x86-64", *GGUF, "--scheme", "q8_0", "--out", cls.gguf, "--validate", "none", "--quiet")
        assert result.code == 0, result
        (cls.file,) = [os.path.join(cls.gguf, "model", entry) for entry in os.listdir(os.path.join(cls.gguf, "model")) if entry.endswith(".gguf")]

    def source(self, fixture):
        if fixture == "GGUF":
            return shutil.copy(self.file, self.path("m.gguf"))
        if fixture not in self.made:
            self.made[fixture] = support.fixture(fixture, os.path.join(self.shared, fixture))
        return shutil.copytree(self.made[fixture], self.path("CK"))

    def migrate(self, source, *words):
        return run("migrate", source, "--chip", "x86-64", "--out", self.out, "--validate", "bytes", *words, cwd=self.folder)

    def refused_late(self, result, code, words):
        """Of what only the numbers show: no file of weights has a name, nothing says that this is an artefact."""
        self.refused(result, code, words, written=("model",))
        self.assertFalse([path for path in support.tree(self.out, without=[".flagrelease"]) if path.endswith((".safetensors", ".gguf", ".data"))])

    def test_a_scale_of_0(self):
        """A group of zeros, which is what writers make of one."""
        source = self.source(PACKED)
        put(Q_PROJ + ".weight_scale", bytes(4))(source)
        self.expect(self.migrate(source, *HF, "--scheme", "bf16"), 0, "UNPROVEN")
        header, data = read_safetensors(os.path.join(self.out, "model/model.safetensors"))
        begin = header[Q_PROJ + ".weight"]["data_offsets"][0]
        self.assertEqual(data[begin:begin + 128].strip(b"\x00\x80"), b"")

    def test_what_is_allowed(self):
        """With the option that the message names, the row above is a migration, which says what it did and can be compared again."""
        rows = ((GPTQ, (*HF, "--scheme", "w8a16"), "--allow-requantize"), ("GGUF", (*GGUF, "--scheme", "mxfp4"), "--allow-requantize"),
                (PLAIN, (*HF, "--scheme", "w4a16-g128"), "--allow-type-fallback"), (PLAIN, (*ONNX, "--scheme", "w4a16-g128"), "--allow-type-fallback"),
                (PLAIN, (*GGUF, "--scheme", "q4_k_m"), "--allow-type-fallback"))
        for fixture, words, option in rows:
            with self.subTest(fixture, words=words):
                for path in (self.out, self.path("CK")):
                    shutil.rmtree(path, ignore_errors=True)
                source = self.source(fixture)
                self.expect(self.migrate(source, *words, option), 0, "UNPROVEN")
                self.assertEqual(json.loads(read(os.path.join(self.out, "manifest.json")))["build"]["options"][option[2:]], "yes")
                self.expect(run("verify", self.out), 0)
                self.expect(run("validate", self.out, "--against", source, "--validate", "bytes"), 0, "UNPROVEN")
        # Not needed: the same artefact as without.
        shutil.rmtree(self.out)
        self.expect(self.migrate(source, *HF, "--scheme", "w8a16"), 0)
        before = support.artefact(self.out)
        shutil.rmtree(self.out)
        self.expect(self.migrate(source, *HF, "--scheme", "w8a16", "--allow-requantize", "--allow-type-fallback", "--allow-range-loss"), 0)
        self.assertEqual(support.artefact(self.out), before)


def add(prefix, what, function):
    title = "test_" + prefix + "_" + "".join(c if c.isalnum() else "_" for c in what)
    assert not hasattr(BadQuantised, title), title
    function.__name__ = title
    setattr(BadQuantised, title, function)


for row in PICKLES:
    def pickle_row(self, row=row):
        _, content, words = row
        source = self.source(PLAIN)
        os.remove(os.path.join(source, "model.safetensors"))
        write(os.path.join(source, "pytorch_model.bin"), content)
        names = set(os.listdir(self.folder))
        result = self.migrate(source)
        self.refused(result, 2, words)
        self.bounded(result)
        self.assertFalse(os.path.exists(self.out))
        self.assertEqual(set(os.listdir(self.folder)), names, "something was executed or unpacked")
    add("pickle", row[0], pickle_row)

for row in FILES:
    def file_row(self, row=row):
        _, change, words = row
        good = read(self.file)
        content = change(good)
        self.assertNotEqual(content, good)
        for verb in ("migrate", "inspect"):
            path = write(self.path("m.gguf"), content)
            result = self.migrate(path, *ONNX) if verb == "migrate" else run("inspect", path)
            if verb == "migrate":
                self.refused(result, 2, words)
            else:
                self.assertIn(result.code, (0, 2), result)  # `inspect` shows what a header says
            self.bounded(result)
            self.assertFalse(os.path.exists(self.out))
    add("gguf", row[0], file_row)

for row in QUANTISED:
    def quantised_row(self, row=row):
        _, fixture, change, code, words = row
        source = self.source(fixture)
        change(source)
        result = self.migrate(source, *HF, "--scheme", "bf16")
        if change.__qualname__.startswith("put"):
            self.refused_late(result, code, words)
        else:
            self.refused(result, code, words)
            self.assertFalse(os.path.exists(self.out))
    add("source", row[0], quantised_row)

for row in SCHEMES:
    def scheme_row(self, row=row):
        _, fixture, change, words, code, expected = row
        source = self.source(fixture)
        change(source)
        result = self.migrate(source, *words)
        if change is untouched:
            self.refused(result, code, expected)
            self.assertFalse(os.path.exists(self.out))
        else:
            self.refused_late(result, code, expected)
    add("scheme", row[0], scheme_row)


if __name__ == "__main__":
    support.main()
