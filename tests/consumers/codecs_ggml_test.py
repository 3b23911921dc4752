"""The block codecs against ggml itself, on larger random tensors than tests/weights/ records, and on every CPU level.

Needs numpy, and a library that exports ggml's functions: that of the Python package xllamacpp.

    FLAGRELEASE_CODEC  the codecs on raw files   (default: build/release/tests/support/flagrelease-codec)
    FLAGRELEASE_GGML   the library               (default: that of this Python's xllamacpp, or of the one in the consumer's place)
"""
import ctypes
import glob
import os
import subprocess
import sys
import tempfile
import unittest

import numpy

SOURCE = os.environ.get("FLAGRELEASE_SOURCE_DIR") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.environ.get("FLAGRELEASE_CODEC") or os.path.join(SOURCE, "build/release/tests/support/flagrelease-codec")
COUNT = 1 << 20
SEARCHED = {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k"}
ALLOWED = 1.02


def find_ggml():
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    named = os.environ.get("FLAGRELEASE_GGML")
    places = [named] if named else []
    for prefix in (sys.prefix, os.path.join(data, "flagrelease/consumers/llama.cpp")):
        places += glob.glob(os.path.join(prefix, "lib/python3*/site-packages/xllamacpp/*.so"))
    if not places:
        raise FileNotFoundError("no xllamacpp in %s, and FLAGRELEASE_GGML names no library" % sys.prefix)
    return ctypes.CDLL(places[0])


def data(random):
    normal = random.standard_normal(COUNT)
    yield "normal", normal * 0.02
    yield "heavy tails", random.standard_t(2, COUNT) * 0.02
    outliers = normal * 0.02
    outliers[::997] *= 50
    yield "outliers", outliers
    yield "tiny", normal * 1e-5
    yield "positive", numpy.abs(normal) * 0.02
    yield "negative", -numpy.abs(normal) * 0.02
    yield "with zeros", numpy.where(random.random(COUNT) < 0.5, -0.0, normal)
    yield "far from zero", normal * 0.01 + 1
    yield "constants", numpy.repeat(random.standard_normal(COUNT // 256) * 10.0 ** random.integers(-3, 3, COUNT // 256), 256)
    yield "sixteen numbers", random.integers(-8, 8, COUNT) * 0.0121
    yield "rows of different size", normal * numpy.repeat(numpy.exp(2 * random.standard_normal(COUNT // 32)), 32)
    # Any float between 2^-124 and 2^100 (ggml's mxfp4 goes astray below).
    bits = random.integers(3 << 23, 227 << 23, COUNT).astype(numpy.uint32) | (random.integers(0, 2, COUNT).astype(numpy.uint32) << 31)
    yield "any exponent", numpy.sort(bits.view(numpy.float32))


class Codecs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ggml = find_ggml()
        cls.ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
        cls.folder = tempfile.TemporaryDirectory(prefix="flagrelease-codecs-")
        cls.addClassCleanup(cls.folder.cleanup)
        lines = subprocess.run([TOOL, "formats"], check=True, capture_output=True, text=True).stdout.splitlines()
        cls.formats = {name: (int(number), int(elements), int(size), ways)
                       for name, number, elements, size, ways in map(str.split, lines)}
        with open("/proc/cpuinfo") as cpus:
            flags = cpus.read()
        cls.levels = ["plain"] + ["avx2"] * (" avx2 " in flags) + ["avx512"] * (" avx512bw " in flags)

    def ours(self, task, name, data, level):
        source, result = (os.path.join(self.folder.name, part) for part in ("in", "out"))
        data.tofile(source)
        subprocess.run([TOOL, task, name, source, result, level], check=True)
        return numpy.fromfile(result, numpy.uint8 if task == "encode" else numpy.float32)

    def theirs(self, task, name, data):
        number, elements, size, _ = self.formats[name]
        if task == "encode":
            out = numpy.zeros(data.size // elements * size, numpy.uint8)
            self.ggml.ggml_quantize_chunk(number, data.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                                          ctypes.c_int64(0), ctypes.c_int64(1), ctypes.c_int64(data.size), None)
            return out
        out = numpy.zeros(data.size // size * elements, numpy.float32)
        row = getattr(self.ggml, "dequantize_row_" + name.replace("_k", "_K"))
        row.restype = None
        row(data.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(out.size))
        return out

    def equal_floats(self, a, b):
        a, b = (numpy.where(numpy.isnan(x), numpy.float32(numpy.nan), x).view(numpy.uint32) for x in (a, b))
        numpy.testing.assert_array_equal(a, b)

    def test_decode(self):
        random = numpy.random.default_rng(1)
        for name, (_, elements, size, _) in self.formats.items():
            blocks = random.integers(0, 256, COUNT // elements * size, numpy.uint8)
            expected = self.theirs("decode", name, blocks)
            for level in self.levels:
                with self.subTest(name, level=level):
                    self.equal_floats(self.ours("decode", name, blocks, level), expected)

    def test_encode(self):
        random = numpy.random.default_rng(2)
        for kind, values in data(random):
            values = numpy.asarray(values, numpy.float64).astype(numpy.float32)
            for name, (_, _, _, ways) in self.formats.items():
                if ways != "both":
                    continue
                theirs = self.theirs("encode", name, values)
                results = [self.ours("encode", name, values, level) for level in self.levels]
                with self.subTest(name, kind=kind):
                    for result in results[1:]:
                        numpy.testing.assert_array_equal(result, results[0])
                    if name not in SEARCHED:
                        numpy.testing.assert_array_equal(results[0], theirs)
                        continue
                    with numpy.errstate(all="ignore"):
                        errors = [((self.theirs("decode", name, blocks).astype(numpy.float64) - values) ** 2).sum()
                                  for blocks in (results[0], theirs)]
                    self.assertTrue(numpy.isfinite(errors[0]))
                    print("%-8s %-24s error %.4f of ggml's" % (name, kind, errors[0] / errors[1] if errors[1] else 1.0), flush=True)
                    # Where ggml's scale overflows its error is NaN.
                    self.assertFalse(errors[0] > ALLOWED * errors[1], "%g, ggml %g" % tuple(errors))


if __name__ == "__main__":
    unittest.main()
