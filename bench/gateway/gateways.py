"""What the scripts of this folder share: installing the peers under .peers/, starting ours, them and the limits, loading each in turn.

Every gateway runs on the first core, the load (gateway_load) and the upstream on the last. Ours has all features on: a key is
checked for each request, a budget is held and settled, every call is entered in the ledger of the SQLite store, metrics count.
The peers do what they do by default: Portkey (npm) passes on by headers; LiteLLM's proxy (PyPI) checks its master key and has
no database; Bifrost is its core behind the smallest HTTP server (bifrost_peer.go), because the Go module proxy does not have
bifrost/transports, so it checks and counts nothing. GoModel cannot be had there at all. The limits: "direct" is the upstream
without anything between, and nginx passes on with proxy_pass and kept-alive connections.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / ".peers"
sys.path.insert(0, str(HERE.parent))
import machine  # noqa: E402
from machine import free_port  # noqa: E402

sys.path.insert(0, str(HERE.parent / "retrieval"))
from peers import Report, ratio, short  # noqa: E402,F401

PORTKEY, LITELLM, BIFROST = "1.15.2", "1.106.2", "1.3.0"
HONO = "1.3.3"  # with the server that npm takes for Portkey by itself (1.19), its streams fail: "TypeError: immutable"
SONIC = "1.15.0"  # the one that Bifrost names does not build with Go 1.26
MODEL = "gpt-4o-mini"
SERVER_CPU, LOAD_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
NOT_TO_BE_HAD = ("GoModel (github.com/ENTERPILOT/GoModel) has no row: the Go module proxy answers 403 for every version. Bifrost's own server "
                 "(bifrost/transports) neither: its row is its core behind fasthttp, without keys, budgets and logs: a lower bound of its cost.")


def install_portkey():
    folder = PEERS / "node"
    wanted = {"@portkey-ai/gateway": PORTKEY, "@hono/node-server": HONO}
    installed = {name: folder / "node_modules" / name / "package.json" for name in wanted}
    if any(not path.exists() or json.loads(path.read_text())["version"] != wanted[name] for name, path in installed.items()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        packages = [f"{name}@{version}" for name, version in wanted.items()]
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--legacy-peer-deps", *packages], cwd=folder, check=True)
    return folder / "node_modules/@portkey-ai/gateway/build/start-server.js"


def install_litellm():
    folder = PEERS / "litellm"
    program = folder / "bin/litellm"
    if not (program.exists() and list(folder.glob(f"lib/python*/site-packages/litellm-{LITELLM}.dist-info"))):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "-q", f"litellm[proxy]=={LITELLM}"], check=True)
    return program


def install_bifrost():
    folder = PEERS / "bifrost"
    program, source = folder / "bifrost_peer", (HERE / "bifrost_peer.go").read_text()
    modules = f"module bench/bifrost_peer\n\ngo 1.25.5\n\nrequire github.com/maximhq/bifrost/core v{BIFROST}\nrequire github.com/bytedance/sonic v{SONIC}\n"
    stamp = folder / "built"
    if not (program.exists() and stamp.exists() and stamp.read_text() == modules + source):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.go").write_text(source)
        (folder / "go.mod").write_text(modules)
        environment = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false -modcacherw", "GOMODCACHE": str(folder / "mod")}
        subprocess.run(["go", "build", "-o", "bifrost_peer", "."], cwd=folder, env=environment, check=True)
        stamp.write_text(modules + source)
    return program


@contextlib.contextmanager
def awake(cpu):
    """Keeps a core from sleeping, with a loop that gives way to everything else there."""
    loop = subprocess.Popen(["chrt", "--idle", "0", *pinned(cpu, "sh", "-c", "while :; do :; done")])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def request(path, headers, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items()),
             f"Content-Length: {len(data)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def call(url, headers, body=None, method="POST"):
    data = None if body is None else json.dumps(body).encode()
    wanted = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(wanted, timeout=60) as response:
        return response.read()


class Gateway:
    """One way to the upstream: how requests to it look, and the process that stands there (none for the direct line)."""

    def __init__(self, name, port, process=None, headers=None, ready="/"):
        self.name, self.port, self.process, self.headers = name, port, process, headers or {"Authorization": "Bearer sk-upstream"}
        self.url, self.ready = f"http://127.0.0.1:{port}", ready

    def wait(self, seconds=120):
        try:
            machine.wait_for(self.url + self.ready, self.process, seconds)
        except BaseException:
            self.stop()
            raise
        return self

    def pids(self):
        out, todo = [], [self.process.pid] if self.process else []
        while todo:
            pid = todo.pop()
            out.append(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        return out

    def processor_seconds(self):
        total = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def resident_mb(self):
        return sum(int(open(f"/proc/{pid}/statm").read().split()[1]) for pid in self.pids()) * os.sysconf("SC_PAGESIZE") / 1e6

    def requests(self, folder, name, bodies):
        """The file of requests that gateway_load sends to this one."""
        path = pathlib.Path(folder) / f"{name}-{self.port}.requests"
        path.write_bytes(b"".join(request("/v1/chat/completions", self.headers, body) for body in bodies))
        return path

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def pinned(cpu, *command):
    return ["taskset", "-c", str(cpu), *(str(part) for part in command)]


def start(command, cpu=SERVER_CPU, environment=None):
    quiet = None if OPTIONS.debug else subprocess.DEVNULL
    return subprocess.Popen(pinned(cpu, *command), stdout=quiet, stderr=quiet, env={**os.environ, **(environment or {})})


def start_tessera(upstream, folder):
    folder = pathlib.Path(folder) / "tessera"
    folder.mkdir()
    config = folder / "tessera.yaml"
    config.write_text(f"""
providers:
  - {{name: up, base_url: "{upstream.url}/v1", api_key: sk-upstream, models: [{MODEL}], concurrent_max: 20000}}
""")
    port = free_port()
    flags = ["--config", config, "--data", folder / "data", "--log.level", "warn"]
    headers = {}
    if not OPTIONS.open:
        made = subprocess.run([OPTIONS.tessera, "keys", "create", "--app", "bench", "--scopes", "all", "--name", "bench", *flags],
                              capture_output=True, text=True)
        key = next((word for word in made.stdout.split() if word.startswith("tsk_")), None)
        if key is None:
            raise SystemExit(f"no key was made: {made.stdout}{made.stderr}")
        headers = {"Authorization": "Bearer " + key}
        flags += ["--auth.mode", "keys"]
    process = start([OPTIONS.tessera, "serve", "--port", port, "--server.shards", 1, *flags])
    gateway = Gateway("tessera" + (", without keys and budget" if OPTIONS.open else ""), port, process, headers, "/health/ready").wait()
    if not OPTIONS.open:
        call(gateway.url + "/api/budgets/bench", headers, {"limit_usd": 1000000, "period": "month"}, "PUT")
    return gateway


def start_nginx(upstream, folder):
    folder, port = pathlib.Path(folder) / "nginx", free_port()
    folder.mkdir()
    (folder / "nginx.conf").write_text(f"""
worker_processes 1; master_process off; pid {folder}/pid; error_log {folder}/error.log; daemon off; worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server 127.0.0.1:{upstream.port}; keepalive 4000; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location = /ready {{ return 200 'ok'; }}
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }} }}
""")
    process = start(["nginx", "-c", folder / "nginx.conf", "-p", folder])
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().rsplit("/", 1)[-1]
    return Gateway(f"nginx {version} proxy_pass", port, process, ready="/ready").wait()


def start_portkey(upstream, _):
    script, port = install_portkey(), free_port()
    process = start(["node", script, f"--port={port}", "--headless"], environment={"NODE_ENV": "production"})
    headers = {"Authorization": "Bearer sk-upstream", "x-portkey-provider": "openai", "x-portkey-custom-host": upstream.url + "/v1"}
    return Gateway(f"Portkey {PORTKEY}, Node {node_version()}", port, process, headers).wait()


def node_version():
    return subprocess.check_output(["node", "--version"], text=True).strip().lstrip("v")


def start_litellm(upstream, folder):
    program, port = install_litellm(), free_port()
    config = pathlib.Path(folder) / "litellm.yaml"
    config.write_text(f"""
model_list: [{{model_name: {MODEL}, litellm_params: {{model: openai/{MODEL}, api_base: "{upstream.url}/v1", api_key: sk-upstream}}}}]
general_settings: {{master_key: sk-bench}}
litellm_settings: {{telemetry: false}}
""")
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    process = start([program, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", 1], environment=environment)
    return Gateway(f"LiteLLM {LITELLM}", port, process, {"Authorization": "Bearer sk-bench"}, "/health/liveliness").wait(240)


def start_bifrost(upstream, _):
    program, port = install_bifrost(), free_port()
    # Go takes a core's worth of threads from the affinity it was started with.
    return Gateway(f"Bifrost core {BIFROST} + fasthttp", port, start([program, port, upstream.url])).wait()


STARTERS = {"tessera": start_tessera, "nginx": start_nginx, "bifrost": start_bifrost, "portkey": start_portkey, "litellm": start_litellm}


class Field:
    """The upstream and everything that leads to it, for a with block. `upstream` is a function of nothing that starts one."""

    def __init__(self, upstream, report):
        self.make_upstream, self.report = upstream, report

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="tessera-gateway-")
        self.upstream = self.make_upstream()
        self.direct = self.upstream
        self.gateways = []
        try:
            for name in ["tessera", "nginx", *OPTIONS.peers]:
                try:
                    self.gateways.append(STARTERS[name](self.upstream, self.folder))
                except (OSError, SystemExit, subprocess.CalledProcessError) as why:
                    if name == "tessera":
                        raise
                    self.report(f"**{name} does not run here ({why}): its rows are missing.**\n")
                    continue
                check(self.gateways[-1])
        except BaseException:
            self.__exit__()
            raise
        self.tessera = self.gateways[0]
        self.rows = [*self.gateways, self.direct]
        return self

    def __exit__(self, *_):
        for one in [*self.gateways, self.upstream]:
            one.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def check(gateway):
    """One answer, so that a wrong setting is an error here and not a strange figure later."""
    answer = json.loads(call(gateway.url + "/v1/chat/completions", gateway.headers, {"model": MODEL, "max_completion_tokens": 1, "messages": [{"role": "user", "content": "When?"}]}))
    assert answer["choices"][0]["message"]["content"], answer
    return answer


def start_upstream():
    """One recorded chat completion for everything: little work, so the load's core has room for the load."""
    port = free_port()
    return Gateway("direct", port, start([load_program(), "upstream", port], LOAD_CPU), ready="/seen").wait()


def start_mock(**defaults):
    """tessera mock-llm, which paces streams."""
    port, script = free_port(), PEERS / "mock.json"
    script.write_text(json.dumps({"defaults": defaults}))
    return Gateway("direct", port, start([OPTIONS.mock, "mock-llm", "--port", port, "--keep", 1, "--script", script], LOAD_CPU), ready="/mock/totals").wait()


def load_program():
    """gateway_load, compiled when its source is newer."""
    program, sources = PEERS / "gateway_load", sorted(HERE.glob("gateway_*.cc"))
    newest = max(path.stat().st_mtime for path in [*sources, *HERE.glob("gateway_*.h")])
    if not program.exists() or program.stat().st_mtime < newest:
        subprocess.run([os.environ.get("CXX", "clang++-19"), "-std=c++23", "-O2", "-o", str(program), *map(str, sources)], check=True)
    return program


def load(mode, gateway, requests, connections, seconds, *more):
    """One run of gateway_load: its figures, and the gateway's processor time per request as cpu_us."""
    before = gateway.processor_seconds()
    out = subprocess.run(pinned(LOAD_CPU, load_program(), mode, gateway.port, requests, connections, seconds, *more), capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(f"{gateway.name}: {out.stderr}")
    result = json.loads(out.stdout)
    result["cpu_seconds"] = gateway.processor_seconds() - before
    result["cpu_us"] = result["cpu_seconds"] * 1e6 / max(1, result["count"])
    result["rate"] = result["count"] / result["seconds"]
    if OPTIONS.debug or result["failed"]:
        print(f"{gateway.name} {mode} {connections}: {out.stdout}", file=sys.stderr, flush=True)
    return result


def prompts(size, count=997, **more):
    """Bodies whose prompts have `size` bytes each and are all different."""
    words = "the ferry leaves the harbour at seven and comes back at noon while the lighthouse keeper counts every boat that passes "
    out = []
    for number in range(count):
        text = f"{number}: " + words * (size // len(words) + 1)
        out.append({"model": MODEL, "messages": [{"role": "user", "content": text[:size]}], **more})
    return out


def median(results, *keys):
    def one(result):
        for key in keys:
            result = result[key] if result else None
        return result
    values = [value for value in map(one, results) if value is not None]
    return statistics.median(values) if values else float("nan")


def options(description, **defaults):
    """The arguments that all scripts have; `defaults` are (value, quick value, help) of those of one script."""
    global OPTIONS
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (value, _, text) in defaults.items():
        many = {"nargs": "*", "type": type(value[0])} if isinstance(value, list) else {"type": type(value)}
        parser.add_argument("--" + name.replace("_", "-"), help=text, **many)
    parser.add_argument("--peers", nargs="*", default=["bifrost", "portkey", "litellm"], choices=["bifrost", "portkey", "litellm"])
    parser.add_argument("--quick", action="store_true", help="few and short rounds, to try the script out")
    parser.add_argument("--record", action="store_true", help="write the file of Markdown of the script's name")
    parser.add_argument("--open", action="store_true", help="ours without keys and budget")
    parser.add_argument("--tessera", type=pathlib.Path, default=machine.TESSERA)
    parser.add_argument("--mock", type=pathlib.Path, help="the program that plays the provider; default: the same")
    parser.add_argument("--debug", action="store_true", help="show what the programs say")
    OPTIONS = parser.parse_args()
    OPTIONS.mock = OPTIONS.mock or OPTIONS.tessera
    for name, (value, quick, _) in defaults.items():
        if getattr(OPTIONS, name) is None:
            setattr(OPTIONS, name, quick if OPTIONS.quick else value)
    PEERS.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped
    return OPTIONS


def heading(script, title, text):
    name = pathlib.Path(script)
    report = Report(name.with_suffix(".md") if OPTIONS.record else None)
    report(f"# {title}\n\nPrinted by `{name.name}`. {text}\n")
    version = subprocess.run([OPTIONS.tessera, "version"], capture_output=True, text=True).stdout.split("\n")[0]
    report(f"{machine.describe()}; {version}\n\n{NOT_TO_BE_HAD}\n")
    return report
