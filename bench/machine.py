"""What the benchmark scripts share: naming the machine, starting programs, medians."""
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESSERA = ROOT / "build/release/tessera"


def describe():
    """One line: processor, cores, memory, kernel."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal"))) // 1048576
    return f"machine: {cpu}, {os.cpu_count()} cores, {memory} GiB, Linux {platform.release().split('-')[0]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def median(values):
    return statistics.median(values)


def wait_for(url, process, seconds=20):
    """Polls every millisecond until `url` answers 200; returns the seconds since the call."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if process.poll() is not None:
            raise SystemExit(f"the program ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                if response.status == 200:
                    return time.monotonic() - start
        except OSError:
            time.sleep(0.001)
    raise SystemExit(f"{url} did not answer within {seconds} s")


class Server:
    """`tessera serve` on a free port with a directory of its own; stopped and removed at the end of a with block."""

    def __init__(self, *flags, cpu=None, directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="tessera-bench-")
        self.owned = directory is None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        self.command = [*pin, str(TESSERA), "serve", "--port", str(self.port), "--data", self.directory, "--log.level", "warn", *flags]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.url + "/health/ready", self.process)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)
