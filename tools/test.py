#!/usr/bin/env python3
"""The test command: house rules, unit tests under sanitizers, API and browser tests against the release binary.

Prints one line per step with its time, the whole output of a step that fails, and ends with `N passed, N failed`.
  tools/test.py            everything
  tools/test.py unit api   only the named steps
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Rooms whose tests start threads: these run under ThreadSanitizer as well.
TSAN_ROOMS = ["async", "wire", "observe", "store", "index", "rag", "chat", "mock", "llm", "account"]
# Rooms whose tests take long: run in two shares at once, one a core.
LONG_ROOMS = ["index", "llm", "parse", "store", "text"]
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", UBSAN_OPTIONS="print_stacktrace=1",
           TSAN_OPTIONS=f"halt_on_error=1:suppressions={ROOT}/tools/tsan.supp")


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def run(self, name, command, count, shares=1):
        """Runs a command; `count(output)` gives (passed, failed, skipped); a bad exit with no failure counted is one failure.
        With `shares`, as many at once, each told by GoogleTest's variables which of the tests are its own."""
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(shares) as pool:
            ends = list(pool.map(lambda share: end_of(command, share, shares), range(shares)))
        output, code = "\n".join(text for text, _ in ends), max(abs(code) for _, code in ends)
        passed, failed, skipped = count(output)
        if code != 0 and failed == 0:
            failed = 1
        if code == 0 and passed == 0:
            output, failed = output + "\nno test ran", 1
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        mark = "ok  " if failed == 0 else "FAIL"
        skip = f", {skipped} skipped" if skipped else ""
        print(f"{mark} {name:<22} {passed:5d} passed, {failed} failed{skip}  {time.monotonic() - start:6.1f} s", flush=True)
        if failed:
            print(output[-20000:], flush=True)
        elif skipped:
            print("\n".join(l for l in output.splitlines() if re.search(r"skip", l, re.I))[:4000], flush=True)
        return failed == 0


def end_of(command, share, shares, timeout=1500):
    """What it printed, and its exit code."""
    env = ENV if shares == 1 else {**ENV, "GTEST_TOTAL_SHARDS": str(shares), "GTEST_SHARD_INDEX": str(share)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)
        return done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace") + f"\ntimed out after {timeout} s", 1


def gtest(report, name, room, program):
    report.run(name, [str(program), "--gtest_brief=1"], count_gtest, 2 if room in LONG_ROOMS else 1)


def count_one(output):
    return 1, 0, 0


def count_gtest(output):
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
    failed = len(set(re.findall(r"\[  FAILED  \] ([\w/.]+)(?:,| \(|$)", output, re.M)))
    skipped = len(set(re.findall(r"\[  SKIPPED \] ([\w/.]+)(?:,| \(|$)", output, re.M)))
    return passed, failed, skipped


def count_node(output):
    find = lambda word: sum(map(int, re.findall(rf"^(?:#|ℹ) {word} (\d+)", output, re.M)))
    return find("pass"), find("fail") + find("cancelled"), find("skipped")


def unit(report):
    report.run("build asan", ["tools/build.sh", "asan"], count_one)
    for test in sorted((ROOT / "build/asan").rglob("*_test")):
        if test.is_file() and os.access(test, os.X_OK):
            room = test.name.removesuffix("_test")
            gtest(report, room, room, test)


def tsan(report):
    targets = [f"{room}_test" for room in TSAN_ROOMS]
    if report.run("build tsan", ["tools/build.sh", "tsan", *targets], count_one):
        for room, target in zip(TSAN_ROOMS, targets):
            gtest(report, f"{room} (threads)", room, f"build/tsan/src/{room}/{target}")


def tidy(report):
    report.run("tidy self-test", ["python3", "tools/tidy.py", "--self-test"], count_one)
    report.run("tidy", ["python3", "tools/tidy.py"], count_one)


def release(report):
    if report.run("build release", ["tools/build.sh", "release"], count_one):
        report.run("generated files", ["python3", "tools/generate.py", "--check"], count_one)


def api(report):
    report.run("npm packages", ["npm", "ci", "--prefix", "tests", "--silent", "--no-audit", "--no-fund"], count_one)
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests/api").glob("*.test.mjs"))
    report.run("api", ["node", "--test", "--test-concurrency=2", "--test-reporter=tap", *files], count_node)
    report.run("api, alone", ["node", "--test", "--test-reporter=tap", *map(str, (ROOT / "tests/api/alone").glob("*.test.mjs"))], count_node)


def ui(report):
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests/ui").glob("*.test.mjs"))
    report.run("page in Chromium", ["node", "--test", "--test-reporter=tap", *files], count_node)


STEPS = {"tidy": tidy, "unit": unit, "tsan": tsan, "release": release, "api": api, "ui": ui}


def main():
    names = sys.argv[1:] or list(STEPS)
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        sys.exit(f"unknown step {unknown[0]}; there are: {', '.join(STEPS)}")
    report = Report()
    for name in names:
        STEPS[name](report)
    skipped = f", {report.skipped} skipped" if report.skipped else ""
    print(f"{report.passed} passed, {report.failed} failed{skipped}")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
