#!/usr/bin/env python3
"""Cold start and rest: time from exec to the first 200 of /health with an empty data directory, resident memory at rest,
and the size of the stripped binary.

  bench/start.py [--binary build/release/tessera] [--runs 20] [--rest 2]

Prints one JSON object; times in milliseconds. Polls every millisecond with a new connection, so a time is exact to about
a millisecond. The page cache is warm (the first run is not counted).
"""
import argparse
import http.client
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def resident_kib(pid):
    """Resident memory: all of it, and the part that is this process's own (not pages of files)."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value
    return int(fields["VmRSS"].split()[0]), int(fields["RssAnon"].split()[0])


def one_run(binary, rest):
    directory = tempfile.mkdtemp(prefix="tessera-start-")
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": directory}
    begin = time.perf_counter()
    server = subprocess.Popen([binary, "serve", "--port", str(port), "--data", directory], cwd=directory,
                              env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not healthy(port):
            if server.poll() is not None:
                raise SystemExit(f"the server ended with {server.returncode}")
            time.sleep(0.001)
        ready = (time.perf_counter() - begin) * 1000
        time.sleep(rest)
        memory = resident_kib(server.pid)
        begin = time.perf_counter()
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
        stop = (time.perf_counter() - begin) * 1000
        if code != 0:
            raise SystemExit(f"the server stopped with {code}")
        return ready, memory, stop
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def stripped_size(binary):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tessera"
        subprocess.run(["strip", "-o", copy, binary], check=True)
        return copy.stat().st_size


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=str(ROOT / "build/release/tessera"))
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--rest", type=float, default=2, help="seconds before memory is read, in the first counted run")
    given = options.parse_args()
    one_run(given.binary, 0)
    runs = [one_run(given.binary, given.rest if i == 0 else 0) for i in range(given.runs)]
    starts = sorted(run[0] for run in runs)
    print(json.dumps({
        "runs": given.runs,
        "start_ms": {"median": round(statistics.median(starts), 1), "min": round(starts[0], 1), "max": round(starts[-1], 1)},
        "stop_ms": {"median": round(statistics.median(run[2] for run in runs), 1)},
        "rss_mib": round(runs[0][1][0] / 1024, 1),
        "rss_anonymous_mib": round(runs[0][1][1] / 1024, 1),
        "stripped_mib": round(stripped_size(given.binary) / 2**20, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }, indent=2))


if __name__ == "__main__":
    main()
