"""What the comparisons of this folder share: installing peers under .peers/ (nothing system-wide), one core for all, medians."""
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = HERE / ".peers"
DATA = PEERS / "data"
sys.path.insert(0, str(HERE.parent))
import machine  # noqa: E402,F401

os.environ["LANCE_LOG"] = "error"  # it warns at every query

SEARCH = {"numpy": "2.4.6", "lancedb": "0.40.0", "pyarrow": "26.0.1", "tantivy": "0.27.0", "bm25s": "0.3.16", "numba": "0.68.1", "wordfreq": "3.1.1"}
LLAMA = {"llama-index-core": "0.14.25", "llama-index-vector-stores-chroma": "0.6.0", "llama-index-retrievers-bm25": "0.8.0",
         "chromadb": "1.5.9", "fastapi": "0.165.0", "uvicorn": "0.54.0"}
NODE = {"@lancedb/lancedb": "0.39.0", "@langchain/textsplitters": "1.0.2", "@langchain/core": "1.4.0"}


def venv(name, packages):
    """The Python of a virtual environment with these packages; what cannot be had is said and left out."""
    python, stamp = PEERS / name / "bin/python", PEERS / name / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == packages:
        return python
    PEERS.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(PEERS / name)], check=True)
    for package, version in packages.items():
        if subprocess.run([str(python), "-m", "pip", "install", "-q", f"{package}=={version}"]).returncode != 0:
            print(f"**{package} {version} could not be installed: its rows are missing.**\n", flush=True)
    stamp.write_text(json.dumps(packages))
    return python


def node():
    """The folder with the packages of npm."""
    folder = PEERS / "node"
    stamp = folder / "installed.json"
    if not (stamp.exists() and json.loads(stamp.read_text()) == NODE):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        wanted = [f"{package}@{version}" for package, version in NODE.items()]
        if subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *wanted], cwd=folder).returncode != 0:
            print("**npm could not install LanceDB: its rows are missing.**\n", flush=True)
            return folder
        stamp.write_text(json.dumps(NODE))
    return folder


def run_in(name, packages):
    """Goes on in the virtual environment `name`."""
    python = venv(name, packages)
    if pathlib.Path(sys.prefix).resolve() != (PEERS / name).resolve():
        os.execv(python, [str(python), *sys.argv])


def one_core():
    """This process and those it starts share the last core; libraries are told of one thread (LanceDB hangs with one of I/O)."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in ("LANCE_CPU_THREADS", "TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"


def resident_mb(pid="self"):
    return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def processor_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rest(pid, most=600):
    """Waits until the process has done nothing for a second (merges, graphs); the processor time that took."""
    first = last = processor_seconds(pid)
    for _ in range(most):
        time.sleep(1)
        now = processor_seconds(pid)
        if now - last < 0.02:
            break
        last = now
    return now - first


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]


def node_version():
    return subprocess.check_output(["node", "--version"], text=True).strip()


def folder_mb(path):
    return sum(p.stat().st_size for p in pathlib.Path(path).rglob("*") if p.is_file()) / 1e6


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def short(value):
    """12, 12.3, 0.123: what a ratio needs."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def ratio(pairs):
    """Median of peer / ours over the rounds, with the smallest and the largest: "12.3 (11.9 to 13.0)"."""
    values = [peer / ours for ours, peer in pairs]
    return f"**{short(statistics.median(values))}** ({short(min(values))} to {short(max(values))})"


class Report:
    """Prints lines and keeps them for NAME.md."""

    def __init__(self, path):
        self.path, self.lines = path, []

    def __call__(self, line=""):
        print(line, flush=True)
        self.lines.append(line)
        if self.path:
            self.path.write_text("\n".join(self.lines) + "\n")
