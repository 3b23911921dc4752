"""The runner's side of flagrelease's runner protocol (docs/runner-protocol.md), for Python 3.7 and newer.

A runner is a class with probe(), load() and run(); `fr_runner.serve(name, Class)` does the rest: it keeps the protocol's pipe
apart from what the engine prints, sends heartbeats, receives files, reads and writes tensors, and maps exceptions to error
classes. Needs numpy and nothing else. bfloat16 and float8 tensors are `Tensor`s of raw bits, so that no extra dtype package is needed.
"""
import json
import os
import platform
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback

PROTOCOLS = [1]
MAX_FRAME = 1 << 20
MAX_PAYLOAD = 4 << 20
PIECE = 1 << 20

# safetensors name -> (numpy name of the same width, bytes); raw ones have no numpy type of their own.
DTYPES = {
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("uint16", 2), "F8_E4M3": ("uint8", 1),
    "F8_E5M2": ("uint8", 1), "F8_E8M0": ("uint8", 1), "I64": ("int64", 8), "I32": ("int32", 4), "I16": ("int16", 2),
    "I8": ("int8", 1), "U64": ("uint64", 8), "U32": ("uint32", 4), "U16": ("uint16", 2), "U8": ("uint8", 1), "BOOL": ("bool", 1),
}
RAW = {"BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0"}
OF_NUMPY = {numpy: name for name, (numpy, _) in DTYPES.items() if name not in RAW}


class RunnerError(Exception):
    """An answer of class oom, unsupported, bad-model, bad-input, nondeterministic, failed, start or cancelled."""

    def __init__(self, kind, message, remedy=""):
        super().__init__(message)
        self.kind, self.remedy = kind, remedy


class Tensor:
    """dtype (safetensors name) and a numpy array; for BF16 and F8 the array holds the bits as unsigned integers."""

    def __init__(self, array, dtype=None):
        self.array = array
        self.dtype = dtype or OF_NUMPY.get(array.dtype.name)
        if self.dtype is None:
            raise RunnerError("unsupported", "an array of type %s has no safetensors name" % array.dtype)


def read_tensors(path):
    """A safetensors file as {name: Tensor}."""
    import numpy

    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise RunnerError("bad-input", "%s: not a safetensors file" % os.path.basename(path))
        header = json.loads(file.read(length).decode("utf-8"))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, _ = DTYPES[entry["dtype"]]
        begin, end = entry["data_offsets"]
        # A copy: engines want arrays of their own, aligned.
        array = numpy.frombuffer(data[begin:end], dtype=kind).reshape(entry["shape"]).copy()
        tensors[name] = Tensor(array, entry["dtype"])
    return tensors


def write_tensors(path, tensors):
    """{name: Tensor or numpy array} as a safetensors file. Returns {name: {dtype, shape}}."""
    import numpy

    header, arrays, offset = {}, [], 0
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            tensor = Tensor(numpy.asarray(tensor))
        array = numpy.ascontiguousarray(tensor.array).reshape(tensor.array.shape)
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        header[name] = {"dtype": tensor.dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        arrays.append(array)
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(array.tobytes())
    return {name: {"dtype": entry["dtype"], "shape": entry["shape"]} for name, entry in header.items()}


def peak_rss():
    """Bytes. VmHWM, not getrusage: the latter includes what the parent held when it forked."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def host_probe():
    """The part of a probe that every runner can fill."""
    cpu, system, memory = "", "", 0
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = dict(line.rstrip().split("\t: ", 1) for line in file if "\t: " in line)
        cpu = names.get("model name") or names.get("Model") or names.get("Hardware") or ""
        cpu = cpu.strip()
    except OSError:
        pass
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    system = ", " + line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            if os.path.exists(limit):
                text = open(limit).read().strip()
                if text.isdigit():
                    memory = min(memory, int(text))
                break
    except (OSError, ValueError):
        pass
    return {
        "cpu": cpu or platform.processor() or platform.machine(),
        "os": "%s %s %s%s" % (platform.system(), platform.release(), platform.machine(), system),
        "memory_bytes": memory,
        "versions": {"python": platform.python_version()},
    }


class _Wire:
    def __init__(self, source, sink):
        self.source, self.sink, self.lock, self.buffer = source, sink, threading.Lock(), bytearray()

    def send(self, body, payload=b""):
        if payload:
            body = dict(body, payload=len(payload))
        line = b"FR1 " + json.dumps(body, allow_nan=False).encode("utf-8") + b"\n"
        if len(line) > MAX_FRAME:
            line = b"FR1 " + json.dumps({"type": "error", "id": body.get("id"), "class": "failed",
                                         "message": "the answer is longer than a frame may be"}).encode() + b"\n"
            payload = b""
        with self.lock:
            for part in (line, payload):
                view = memoryview(part)
                while len(view):
                    view = view[os.write(self.sink, view):]

    def receive(self):
        """(body, payload); None at the end of the stream."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > MAX_FRAME or not self._more():
                return None
        line = self._take(self.buffer.index(b"\n") + 1)
        if not line.startswith(b"FR1 "):
            raise ValueError("a line that is no frame")
        body = json.loads(line[4:].decode("utf-8"))
        size = int(body.get("payload", 0))
        if size < 0 or size > MAX_PAYLOAD:
            raise ValueError("a payload of %d bytes" % size)
        while len(self.buffer) < size:
            if not self._more():
                return None
        return body, self._take(size)

    def _take(self, count):
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def _more(self):
        piece = os.read(self.source, 1 << 16)
        self.buffer += piece
        return bool(piece)


class _Server:
    def __init__(self, name, factory, tier):
        # The protocol keeps the real stdin and stdout; what the engine prints goes to stderr, what it reads is empty.
        source, sink = os.dup(0), os.dup(1)
        os.dup2(2, 1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.wire = _Wire(source, sink)
        self.name, self.factory, self.tier = name, factory, tier
        self.runner, self.current, self.pause = None, None, 5.0
        self.requests = queue.Queue(maxsize=4)
        self.files, self.refused = {}, set()
        # What comes here, and what the engine writes to its temporary folder, is gone at the end.
        self.folder = tempfile.mkdtemp(prefix="flagrelease-")
        os.mkdir(os.path.join(self.folder, "tmp"))
        os.environ["TMPDIR"] = tempfile.tempdir = os.path.join(self.folder, "tmp")
        self.done = threading.Event()

    # Two helpers beside the main thread, which alone talks to the engine.
    def _read(self):
        try:
            while True:
                item = self.wire.receive()
                if item is None:
                    break
                if item[0].get("type") == "cancel":
                    if self.runner is not None and item[0].get("id") == self.current:
                        self.runner.cancel()
                else:
                    self.requests.put(item)
        except Exception:
            traceback.print_exc()
        # The caller is gone. An engine that is busy would keep the device: leave at once.
        self.requests.put(None)
        if self.current is not None:
            time.sleep(2)
            if not self.done.is_set():
                self._clean()
                os._exit(1)

    def _beat(self):
        while not self.done.wait(self.pause):
            if self.current is not None:
                try:
                    self.wire.send({"type": "heartbeat", "id": self.current})
                except OSError:
                    return

    def _clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name):
        """Where a sent file lives here; names are relative and stay inside."""
        parts = name.split("/")
        if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise RunnerError("bad-input", "a file name that leaves the folder")
        return os.path.join(self.folder, "sent", *parts)

    def _where(self, value):
        return value["path"] if "path" in value else self._path(value["sent"])

    def put(self, body, payload):
        number = body["id"]
        if number in self.refused:
            return None
        try:
            path = self._path(body["name"])
            if body["offset"] == 0:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if shutil.disk_usage(self.folder).free < body["size"]:
                    raise RunnerError("failed", "no room for %s (%d bytes) in %s" % (body["name"], body["size"], self.folder),
                                      "set TMPDIR in env: of the device to a folder with room")
                self.files[path] = open(path, "wb")
            self.files[path].write(payload)
            if body["last"]:
                self.files.pop(path).close()
                return {"bytes": body["size"]}
            return None
        except Exception:
            self.refused.add(number)
            raise

    def probe(self, body, payload):
        found = self.runner.probe()
        probe = host_probe()
        probe["versions"].update(found.pop("versions", {}))
        probe.update(found)
        return {"probe": probe}

    def load(self, body, payload):
        path = self._where(body["model"])
        if not os.path.exists(path):
            raise RunnerError("bad-model", "no such file here: %s" % path,
                              "if it is on another machine, give paths: or push: true in devices.yaml")
        return self.runner.load(path, body.get("outputs") or [], int(body.get("threads") or 0))

    def run(self, body, payload):
        inputs = read_tensors(self._where(body["inputs"]))
        begin = time.monotonic()
        outputs = self.runner.run(inputs)
        seconds = time.monotonic() - begin
        send = "path" not in body["outputs"]
        path = os.path.join(self.folder, "answer.safetensors") if send else body["outputs"]["path"]
        tensors = write_tensors(path, outputs)
        if send:
            size, offset = os.path.getsize(path), 0
            with open(path, "rb") as file:
                while offset < size:
                    piece = file.read(PIECE)
                    self.wire.send({"type": "data", "id": body["id"], "offset": offset, "size": size}, piece)
                    offset += len(piece)
            os.unlink(path)
        return {"tensors": tensors, "seconds": seconds}

    def bye(self, body, payload):
        return {}

    def answer(self, body, payload):
        kind, number = body.get("type"), body.get("id")
        try:
            if kind not in ("put", "probe", "load", "run", "bye"):
                raise RunnerError("failed", "unknown request %r" % (kind,))
            if self.runner is None and kind in ("probe", "load", "run"):
                self.runner = self.factory()
            result = getattr(self, kind)(body, payload)
            if result is None:
                return
            result.update(type="result")
        except RunnerError as error:
            result = {"type": "error", "class": error.kind, "message": str(error), "remedy": error.remedy}
        except MemoryError as error:
            result = {"type": "error", "class": "oom", "message": str(error) or "out of memory"}
        except Exception as error:
            traceback.print_exc()
            result = {"type": "error", "class": "failed", "message": "%s: %s" % (type(error).__name__, error)}
        if "message" in result:
            result["message"] = result["message"][:4000]
        result.update(id=number, peak_rss=peak_rss())
        self.wire.send(result)

    def serve(self):
        # The newline ends whatever a login shell has left on the line.
        os.write(self.wire.sink, b"\n")
        self.wire.send({"type": "hello", "protocols": PROTOCOLS, "runner": self.name, "tier": self.tier})
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True).start()
        try:
            while True:
                item = self.requests.get()
                if item is None:
                    break
                body, payload = item
                if body.get("type") == "hello":
                    self.pause = max(0.05, float(body.get("heartbeat_seconds", 5)))
                    continue
                self.current = body.get("id")
                self.answer(body, payload)
                self.current = None
                if body.get("type") == "bye":
                    break
        finally:
            self.done.set()
            self._clean()
            sys.stdout.flush()
            sys.stderr.flush()


class Runner:
    """What a runner overrides."""

    def probe(self):
        """{"engine", "engine_version", and where known "chip", "driver", "sdk", "device_memory_bytes", "versions": {…}}"""
        raise NotImplementedError

    def load(self, path, outputs, threads):
        """Loads a file or folder. Returns {"inputs": [spec(…)], "outputs": [spec(…)]}."""
        raise NotImplementedError

    def run(self, inputs):
        """{name: Tensor} -> {name: Tensor or numpy array}, exactly the outputs asked for at load."""
        raise NotImplementedError

    def cancel(self):
        """Called from another thread while load() or run() works."""


def spec(name, dtype, shape):
    """An input or output; sizes that the model leaves open are -1."""
    return {"name": name, "dtype": dtype, "shape": [size if isinstance(size, int) and size >= 0 else -1 for size in shape]}


def need(module, remedy):
    """Imports the engine; its absence is an error of class start."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RunnerError("start", "Python cannot import %s: %s" % (module, error), remedy)


def serve(name, factory, tier="T1"):
    """Answers requests until the caller says goodbye or goes away. The engine's exit handlers do not run: some hang."""
    server = _Server(name, factory, tier)
    server.serve()
    os._exit(0)
