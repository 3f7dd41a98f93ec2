#!/usr/bin/env python3
"""/health against nginx `return 200` with the same bytes: one server core, one load core, rounds in turn.

  bench/health.py [ROUNDS] [SECONDS]      needs nginx and wrk (Debian)
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from machine import Server, describe, free_port, median, wait_for


def nginx(folder, port, body):
    conf = pathlib.Path(folder) / "nginx.conf"
    conf.write_text(f"""
worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }} }} }}
""")
    return subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", str(conf), "-p", folder], stderr=subprocess.DEVNULL)


def load(url, seconds):
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), re.search(r"99%\s+(\S+)", out).group(1)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(describe())
    with tempfile.TemporaryDirectory() as folder, Server("--server.shards", "1", cpu=0) as server:
        body = urllib.request.urlopen(server.url + "/health").read().decode()
        port = free_port()
        peer = nginx(folder, port, body)
        try:
            peer_url = f"http://127.0.0.1:{port}/health"
            wait_for(peer_url, peer)
            ours, theirs = [], []
            for url in (server.url + "/health", peer_url):
                load(url, 1)
            for _ in range(rounds):
                ours.append(load(server.url + "/health", seconds))
                theirs.append(load(peer_url, seconds))
        finally:
            peer.terminate()
            peer.wait(10)
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip()
    print(f"tessera /health      {median([r for r, _ in ours]):10.0f} requests/s   p99 {ours[-1][1]}")
    print(f"{version} {median([r for r, _ in theirs]):10.0f} requests/s   p99 {theirs[-1][1]}")
    ratios = [a / b for (a, _), (b, _) in zip(ours, theirs)]
    print(f"ratio: median {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f} over {rounds} pairs of {seconds} s   (bar: 0.5)")


if __name__ == "__main__":
    main()
