"""A runner written from docs/runner-protocol.md alone, without fr_runner and numpy, that does one thing wrong: MISBEHAVE says which."""
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time

HOW = os.environ.get("MISBEHAVE", "")
SINK = os.dup(1)
os.dup2(2, 1)
LOCK = threading.Lock()


def raw(data):
    with LOCK:
        while data:
            data = data[os.write(SINK, data):]


def send(**body):
    raw(b"FR1 " + json.dumps(body).encode() + b"\n")


def receive():
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    body = json.loads(line[4:].decode())
    left = body.get("payload", 0)
    while left:
        left -= len(os.read(0, left))
    return body


def safetensors(tensors):
    """name -> (dtype, shape, bytes)"""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def answer(request):
    y = ("F32", [2], struct.pack("<2f", 1, 2))
    told = {"y": {"dtype": "F32", "shape": [2]}}
    if HOW == "nan":
        y = ("F32", [2], struct.pack("<2f", math.nan, math.inf))
    elif HOW == "lies-shape":
        told["y"]["shape"] = [3]
    elif HOW == "lies-dtype":
        y, told["y"]["dtype"] = ("I32", [2], y[2]), "I32"
    elif HOW == "lies-declared":
        y, told["y"]["shape"] = ("F32", [2, 1], y[2]), [2, 1]
    elif HOW == "lies-bytes":
        y = ("F32", [2], y[2] + b"\0\0\0\0")
    elif HOW == "lies-huge-shape":
        y = ("F32", [1 << 40, 1 << 40], y[2])
    tensors = {"y": y}
    if HOW == "missing":
        tensors, told = {}, {}
    elif HOW == "extra":
        tensors["secret"], told["secret"] = y, told["y"]
    content = safetensors(tensors)
    if HOW == "truncated":
        content = content[:-5]
    elif HOW == "no-file":
        return send(type="result", id=request["id"], tensors=told)
    elif HOW == "fifo":
        os.mkfifo(request["outputs"]["path"])
        return send(type="result", id=request["id"], tensors=told)
    with open(request["outputs"]["path"], "wb") as file:
        file.write(content)
    if HOW == "no-list":
        return send(type="result", id=request["id"])
    if HOW == "wrong-id":
        return send(type="result", id=request["id"] + 7, tensors=told)
    send(type="result", id=request["id"], tensors=told)


def beat_for_ever(number):
    while True:
        send(type="heartbeat", id=number)
        time.sleep(0.05)


if HOW == "banner":
    raw(b"Welcome to host\nLast login: yesterday\nno newline at the end of this")
    raw(b"\n")
elif HOW == "endless-banner":
    while True:
        raw(b"x" * 65536)
elif HOW == "silent-start":
    time.sleep(1000)
elif HOW == "dies-at-start":
    sys.exit("the license server is asleep")
if HOW != "no-hello":
    send(type="hello", protocols=[7, 8] if HOW == "version" else [1], runner="misbehaves", tier="T2")
if HOW == "grandchild":
    subprocess.Popen(["sleep", "1000"], start_new_session=True)

while True:
    request = receive()
    kind, number = request["type"], request.get("id")
    if kind in ("hello", "cancel"):
        continue
    if kind == "probe":
        send(type="result", id=number, probe={"engine": "none", "chip": "\x1b[31mred", "versions": {"a": "1"}})
    elif kind == "load":
        if HOW == "load-oom":
            send(type="error", id=number, **{"class": "oom", "message": "device memory: 3 of 2 GiB"})
        elif HOW == "load-odd-class":
            send(type="error", id=number, **{"class": "gremlins", "message": "\x1b[31mred"})
        elif HOW == "load-nonsense":
            send(type="result", id=number, inputs=[], outputs=[{"name": "y", "dtype": "F99", "shape": [1]}])
        elif HOW == "load-no-output":
            send(type="result", id=number, inputs=[], outputs=[{"name": "other", "dtype": "F32", "shape": [1]}])
        else:
            send(type="result", id=number, inputs=[{"name": "x", "dtype": "F32", "shape": [-1]}],
                 outputs=[{"name": "y", "dtype": "F32", "shape": [-1]}], peak_rss=123456789)
    elif kind == "bye":
        send(type="result", id=number)
        sys.exit(0)
    elif kind == "run":
        if HOW == "noisy":
            for stream in (1, 2):
                for _ in range(64):
                    os.write(stream, b"engine says hello " * 2000 + b"\n")
            os.write(1, b"the last words\n")
        elif HOW == "hang":
            time.sleep(1000)
        elif HOW == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        elif HOW == "beats-for-ever":
            beat_for_ever(number)
        elif HOW == "slow-beats":
            time.sleep(3)
        elif HOW == "dies":
            os.write(2, b"assertion failed: kernel 7\n")
            os.kill(os.getpid(), signal.SIGABRT)
        elif HOW == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif HOW == "exits":
            sys.exit("license expired")
        elif HOW == "closes":
            os.close(SINK)
            time.sleep(1000)
        elif HOW == "garbage":
            raw(b"printf debugging is here\n")
        elif HOW == "not-json":
            raw(b"FR1 {\"type\": \"result\", \"id\": }\n")
        elif HOW == "no-type":
            raw(b"FR1 {}\n")
        elif HOW == "huge-frame":
            raw(b"FR1 {\"type\": \"result\", \"padding\": \"")
            try:
                while True:
                    raw(b"x" * 65536)
            except OSError:
                sys.exit(0)
        elif HOW == "huge-payload":
            send(type="data", id=number, offset=0, size=1 << 50, payload=1 << 50)
        elif HOW == "negative-payload":
            send(type="data", id=number, payload=-5)
        elif HOW == "deep":
            raw(b"FR1 " + b"[" * 100000 + b"\n")
        elif HOW == "unasked-data":
            send(type="data", id=number, offset=0, size=0)
        answer(request)
