"""One run of a command, and how figures are shown. Used by bench/run and what belongs to it."""
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time

MB = 1e6


class Sample:
    def __init__(self, seconds, peak, cpu):
        self.seconds, self.peak, self.cpu = seconds, peak, cpu


def run(words, expect=0, environment=None, stop_after=None):
    """One run, output thrown away. Ends the program when the exit status is another than `expect`. `stop_after`: SIGTERM after so
    many seconds; the sample's seconds then count from the signal."""
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                 env={**os.environ, **(environment or {})})
        if stop_after is not None:
            time.sleep(stop_after)
            start = time.monotonic()
            os.kill(child.pid, signal.SIGTERM)  # send_signal would reap a child that has ended
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != expect:
            errors.seek(0)
            sys.stderr.write(errors.read().decode(errors="replace"))
            print(f"bench/run: exit {child.returncode} instead of {expect}: {' '.join(map(str, words))}", file=sys.stderr)
            sys.exit(2)
    return Sample(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


class Table:
    def __init__(self, options):
        self.options, self.commands = options, []

    def wanted(self, name):
        return self.options.only in name

    def add(self, name, figure, target, met, command):
        verdict = {True: "met", False: "**missed**", None: ""}[met]
        print(f"| {name} | {figure} | {target} | {verdict} |", flush=True)
        self.commands.append((name, command))


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} s ({min(values):.{digits}f} - {max(values):.{digits}f})"


def shown(words, replace):
    text = " ".join(map(str, words))
    for long, short in replace.items():
        text = text.replace(str(long), short)
    return text


def forget(paths):
    """Takes files out of the page cache, so that the disk is what is measured."""
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB"
