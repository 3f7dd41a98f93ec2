#!/usr/bin/env python3
"""Cold start and rest: time from exec to the first 200 of /health with an empty data directory, resident memory at rest,
and the size of the stripped binary.

  bench/start.py [--binary build/release/tessera] [--runs 20] [--rest 2]

Polls every millisecond with a new connection, so a time is exact to about
a millisecond. The page cache is warm (the first run is not counted).
"""
import argparse
import http.client
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from machine import ROOT, describe, free_port, median


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
    floor = []
    for _ in range(given.runs):
        begin = time.perf_counter()
        subprocess.run([given.binary, "version"], stdout=subprocess.DEVNULL, check=True)
        floor.append((time.perf_counter() - begin) * 1000)
    print(f"{describe()}, load {os.getloadavg()[0]:.1f}")
    print(f"exec to first 200 of /health   {median(starts):6.1f} ms  ({starts[0]:.1f} to {starts[-1]:.1f} over {given.runs})   bar 60 ms")
    print(f"  exec and link alone          {median(floor):6.1f} ms  (`tessera version`, the floor)")
    print(f"SIGTERM to exit 0              {median([run[2] for run in runs]):6.1f} ms")
    print(f"resident at rest               {runs[0][1][0] / 1024:6.1f} MiB, of it {runs[0][1][1] / 1024:.1f} MiB its own   bar 40 MB")
    print(f"stripped binary                {stripped_size(given.binary) / 2**20:6.1f} MiB   bar 25 MB")


if __name__ == "__main__":
    main()
