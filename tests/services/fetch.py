#!/usr/bin/env python3
"""Gets the programs that the integration tests run against: llama-server and whisper-server.

Debian 12 does not have them, so the packages of a newer suite are unpacked, with their own C library, below .svc/ in
the checkout (git ignores it) and never installed: no root, nothing outside the folder. A program is then started
through .svc/bin/NAME. Called at set-up (tools/install.sh test); does nothing when all is there.

  tests/services/fetch.py            get what is missing
  tests/services/fetch.py --check    only say whether it is there

When it cannot be had the reason is left in .svc/missing, and the tests that need it say so and are skipped.
TESSERA_SERVICES_MIRROR names another Debian mirror, TESSERA_SERVICES=off leaves the programs out.
"""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = ROOT / ".svc"
SUITE = "forky"
PROGRAMS = {"llama-server": "llama.cpp-tools", "whisper-server": "whisper.cpp-tools"}
# What packages depend on for their installation, for other programs or for a screen; a server links none of it.
NOT_NEEDED = re.compile(r"lib(perl|pam|apt|db5|gdbm|debconf|proc2|semanage|sepol|c-bin|c-l10n|c-gconv|systemd-shared|"
                        r"llvm|z3-|sdl|gbm|wayland|pulse|decor|drm-(amd|intel)|sensors|heif-plugin)|"
                        r"lib.*-perl$|lib.*-(data|common|bin|dev)$")
SECONDS_MAX = 240


def version():
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()


def is_here():
    stamp = PREFIX / "version"
    return stamp.exists() and stamp.read_text() == version()


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS_MAX, **options)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RuntimeError(f"{command[0]}: {said[-1] if said else 'failed'}")
    return done.stdout


def mirror():
    if named := os.environ.get("TESSERA_SERVICES_MIRROR"):
        return named
    for line in run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).splitlines():
        if "security" not in line:
            return line
    return "http://deb.debian.org/debian"


def private_apt(state):
    """An apt of its own: its sources, its lists and an empty list of installed packages."""
    source = mirror()
    for folder in ("lists/partial", "archives/partial", "empty"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {source} {SUITE} main\n")
    settings = {"Dir::State": state, "Dir::State::status": state / "status", "Dir::Cache": state,
                "Dir::Cache::archives": state / "archives", "Dir::Etc::SourceList": state / "sources.list",
                "Dir::Etc::SourceParts": state / "empty", "Dir::Etc::Preferences": state / "none",
                "Dir::Etc::PreferencesParts": state / "empty", "APT::Install-Recommends": "false",
                "APT::Sandbox::User": "", "Acquire::Languages": "none", "Acquire::Retries": "2",
                "Acquire::http::Timeout": "20", "Debug::NoLocking": "1"}
    (state / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return dict(os.environ, APT_CONFIG=str(state / "apt.conf"), LC_ALL="C")


def unpack(into):
    """The packages of PROGRAMS and every library that they need, below `into`."""
    state = into / "apt"
    env = private_apt(state)
    run(["apt-get", "-qq", "update"], env=env)
    plan = run(["apt-get", "--simulate", "install", *PROGRAMS.values()], env=env)
    planned = re.findall(r"^Inst ([^\s:]+)", plan, re.M)
    wanted = [name for name in planned if name in PROGRAMS.values() or name == "zlib1g" or name.startswith("ocl-icd") or
              name.startswith("lib") and not NOT_NEEDED.match(name)]
    run(["apt-get", "-qq", "download", *wanted], env=env, cwd=state / "archives")
    for package in sorted((state / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(into)])
        package.unlink()
    shutil.rmtree(state)


def add_launchers(into, final):
    """The kernel would start a program with this system's loader and libraries; .svc/bin/NAME starts it with its own."""
    libraries = next((into / "usr/lib").glob("*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"), None) or next((into / "usr/lib64").glob("ld-linux-*.so.*"))
    if loader.parent != libraries:
        shutil.copy(loader, libraries / loader.name)
        loader = libraries / loader.name
    # ggml looks for its variants for different processors beside the running program, which is the loader.
    for variant in libraries.glob("ggml/**/libggml-*.so"):
        link = libraries / variant.name
        if not link.exists():
            link.symlink_to(variant.relative_to(libraries))
    folders = [libraries] + [folder for folder in libraries.glob("llama*") if folder.is_dir()]
    path = ":".join(str(final / folder.relative_to(into)) for folder in folders)
    (into / "bin").mkdir()
    for name in PROGRAMS:
        target = (into / "usr/bin" / name).resolve(strict=True)
        launcher = into / "bin" / name
        launcher.write_text(f'#!/bin/sh\nexec {final / loader.relative_to(into)} --library-path {path} --argv0 "$0" '
                            f'{final / target.relative_to(into)} "$@"\n')
        launcher.chmod(0o755)


def remove_ballast(into):
    """Documents, other programs and pictures: half of the files."""
    for folder in ("usr/share", "etc", "var", "usr/sbin"):
        shutil.rmtree(into / folder, ignore_errors=True)
    keep = {(into / "usr/bin" / name).resolve() for name in PROGRAMS}
    for program in (into / "usr/bin").iterdir():
        if program.resolve() not in keep:
            program.unlink()


def fetch():
    fresh = ROOT / ".svc.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        unpack(fresh)
        add_launchers(fresh, PREFIX)
        remove_ballast(fresh)
        (fresh / "version").write_text(version())
        shutil.rmtree(PREFIX, ignore_errors=True)
        fresh.rename(PREFIX)
        for name in PROGRAMS:
            run([str(PREFIX / "bin" / name), "--help"])
    except Exception:
        shutil.rmtree(fresh, ignore_errors=True)
        (PREFIX / "version").unlink(missing_ok=True)
        raise


def main():
    if "--check" in sys.argv:
        return 0 if is_here() else 1
    if is_here():
        return 0
    start = time.monotonic()
    try:
        if os.environ.get("TESSERA_SERVICES") == "off":
            raise RuntimeError("TESSERA_SERVICES=off")
        with open(ROOT / "tests/services/fetch.py", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two checkouts' set-ups at once would overwrite each other
            if not is_here():
                fetch()
    except (RuntimeError, OSError, StopIteration, subprocess.TimeoutExpired) as error:
        PREFIX.mkdir(exist_ok=True)
        reason = f"llama-server and whisper-server could not be fetched: {error or type(error).__name__}"
        (PREFIX / "missing").write_text(reason + "\n")
        print(f"{reason}\nTests against the real programs will be skipped.", file=sys.stderr)
        return 0
    print(f"Fetched {' and '.join(PROGRAMS)} into .svc in {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
