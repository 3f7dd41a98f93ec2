#!/usr/bin/env python3
"""House rules as a test: prints one line per violation and exits 1 if there is any.

Checked: include arrows between rooms (tools/layers.txt), where third-party headers may appear, file and function length
and parameter count (with the shrinking waivers of tools/waivers.txt), banned calls, README of every room, tests and fuzz
targets that are wired, rows of the settings and metrics tables that nothing uses, formatting (clang-format-19 when it
is installed).

  tools/tidy.py              check
  tools/tidy.py --self-test  prove that each rule can fail
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 5
README_LINES_MAX = 40

# Third-party headers: pattern, rooms that may include them, and whether only in .cc files.
THIRD_PARTY = [
    (r"boost/(asio|system)", {"async", "wire"}, False),
    (r"boost/beast", {"wire"}, True),
    (r"openssl/", {"base", "wire"}, True),
    (r"curl/", {"wire"}, True),
    (r"boost/json(?!/fwd)", {"api", "store", "llm", "parse", "mock", "app"}, True),
    (r"sqlite3\.h", {"store"}, True),
    (r"yaml-cpp/", {"config", "parse"}, True),
    (r"prometheus/", {"observe"}, True),
    (r"spdlog/", {"base"}, True),
    (r"xxhash\.h", {"base"}, True),
    (r"CLI/", {"app"}, True),
    (r"(md4c|gumbo|pugixml|archive|archive_entry)\.h", {"parse"}, True),
]

# Calls that have one proper place. Pattern, rooms where it may stand, what to do instead.
BANNED = [
    (r"\b(std::)?(secure_)?getenv\s*\(", {"config"}, "settings come from config"),
    (r"\bsystem_clock::now\b", {"base"}, "take a base::Clock"),
    (r"\bstd::random_device\b|\b(std::)?s?rand\s*\(", {"base"}, "take a base::Random"),
    (r"\bboost::asio::detached\b|\basio::detached\b", {"async"}, "start coroutines in a TaskScope"),
    (r"\bstd::(cout|cerr)\b", {"app"}, "log through base::Logger"),
    (r"\b(system|popen)\s*\(", set(), "start children without a shell"),
    (r"\b(strcpy|strcat|sprintf|gets)\s*\(", set(), "use std::string and fmt"),
    (r"\busing namespace std;", set(), "name what you use"),
]
TEST_ONLY_BANNED = [(r"\bsleep_for\b|\busleep\s*\(|\bsleep\s*\(", "tests wait for events, not for time"),
                    (r"\bDISABLED_", "a test that does not run is documentation")]


def read_layers(root):
    floors, allowed = {}, {}
    for line in (root / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        left, right = line.split(":")
        floor, room = left.split()
        floors[room], allowed[room] = int(floor), right.split()
    for room, rooms in allowed.items():
        if rooms == ["*"]:
            allowed[room] = [r for r in floors if floors[r] < floors[room]]
        for other in allowed[room]:
            assert floors[other] < floors[room], f"tools/layers.txt: {room} -> {other} does not point down"
    return allowed


def read_waivers(root):
    """file or file:function -> allowed lines. A waiver may only shrink; one that is no longer needed is an error."""
    waivers = {}
    path = root / "tools/waivers.txt"
    for line in path.read_text().splitlines() if path.exists() else []:
        line = line.split("#")[0].strip()
        if line:
            name, lines = line.split()
            waivers[name] = int(lines)
    return waivers


def strip_comments(text):
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)


def is_test_code(path):
    return path.name.endswith(("_test.cc", "_fuzz.cc", "_bench.cc")) or "testing" in path.parts


def check_includes(path, room, lines, allowed):
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        target = match.group(1)
        head = target.split("/")[0]
        is_test = is_test_code(path)
        if head in allowed and head != room and room in allowed:
            if head not in allowed[room] and not is_test:
                yield f"{path}:{number}: {room} may not include {head} (tools/layers.txt)"
        if room in allowed and target.startswith("."):
            yield f"{path}:{number}: include from src/, not relatively"
        for pattern, rooms, only_cc in THIRD_PARTY:
            if re.match(pattern, target):
                if room not in rooms and not is_test and room in allowed:
                    yield f"{path}:{number}: {target} belongs to {', '.join(sorted(rooms))}"
                if only_cc and path.suffix == ".h":
                    yield f"{path}:{number}: {target} only in .cc files"


def check_banned(path, room, code):
    for pattern, rooms, instead in BANNED:
        if room in rooms or "random_device" in pattern and path.name.endswith(("_test.cc", "_bench.cc")):
            continue
        for match in re.finditer(pattern, code):
            yield f"{path}:{code.count(chr(10), 0, match.start()) + 1}: {match.group(0).strip()}: {instead}"
    if path.name.endswith("_test.cc"):
        for pattern, why in TEST_ONLY_BANNED:
            for match in re.finditer(pattern, code):
                yield f"{path}:{code.count(chr(10), 0, match.start()) + 1}: {match.group(0).strip()}: {why}"


def functions(lines):
    """Top-level definitions of clang-formatted code: (name, first line, lines, signature)."""
    start = None
    for number, line in enumerate(lines, 1):
        if start is None and re.match(r"^[A-Za-z_~].*[^;:]$|^[A-Za-z_~].*\($", line) and not re.match(
                r"^(namespace|class|struct|enum|union|extern|template|using|typedef|#|public|private|protected|constexpr \w+ k|const \w+ k)", line):
            start, signature = number, ""
        if start is not None:
            signature = signature if "{" in signature else signature + " " + line.strip()
            if re.match(r"^\}", line) or line.endswith("}") and number == start or line.endswith(";") and "{" not in signature:
                if "{" in signature and "(" in signature and "=" not in signature.split("(")[0]:
                    name = re.findall(r"([\w:~]+)\s*\(", signature.split("{")[0])
                    if name:
                        yield name[0], start, number - start + 1, signature.split("{")[0]
                start = None


def count_parameters(signature, name):
    rest = signature[signature.index(name) + len(name):]
    depth, parameters, text = 0, 0, ""
    for char in rest:
        if char in "(<[{":
            depth += 1
        elif char in ")>]}":
            depth -= 1
            if depth == 0:
                break
        elif char == "," and depth == 1:
            parameters += 1
        elif depth >= 1:
            text += char
    return parameters + 1 if text.strip() else 0


def check_size(path, lines, waivers, used):
    is_test = is_test_code(path)
    key = str(path)
    if len(lines) > FILE_LINES_MAX and not is_test:
        used.add(key)
        if len(lines) > waivers.get(key, 0):
            yield f"{path}: {len(lines)} lines (limit {waivers.get(key, FILE_LINES_MAX)}); split it by what its parts do"
    if path.suffix != ".cc" or is_test:
        return
    for name, first, count, signature in functions(lines):
        fkey = f"{key}:{name}"
        if count > FUNCTION_LINES_MAX:
            used.add(fkey)
            if count > waivers.get(fkey, 0):
                yield f"{path}:{first}: {name} has {count} lines (limit {waivers.get(fkey, FUNCTION_LINES_MAX)})"
        parameters = count_parameters(signature, name)
        if parameters > PARAMETERS_MAX:
            yield f"{path}:{first}: {name} has {parameters} parameters (limit {PARAMETERS_MAX}); use an options struct"


def check_rooms(root, allowed):
    for room in allowed:
        folder = root / "src" / room
        if not folder.exists():
            continue
        readme = folder / "README.md"
        if not readme.exists():
            yield f"src/{room}: has no README.md"
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            yield f"src/{room}/README.md: over {README_LINES_MAX} lines"
        if not list(folder.rglob("*_test.cc")):
            yield f"src/{room}: has no test"
        cmake = folder / "CMakeLists.txt"
        if not cmake.exists() or f"tessera_room({room}" not in cmake.read_text():
            yield f"src/{room}: its tests are not wired (tessera_room({room} ...) in CMakeLists.txt)"
    for room in (root / "src").iterdir():
        if room.is_dir() and room.name not in allowed:
            yield f"src/{room.name}: not in tools/layers.txt"


def check_settings(root):
    """A row of the settings table that nothing reads is a promise that is not kept."""
    table = root / "src/config/settings.def"
    if not table.exists():
        return
    readers = [p for p in sorted((root / "src/app").glob("*")) + [root / "src/config/complete.cc"]
               if p.suffix in (".h", ".cc") and p.exists() and not is_test_code(p)]
    code = "\n".join(strip_comments(p.read_text()) for p in readers)
    for section, member in re.findall(r"TESSERA_SETTING\(\s*(\w+),\s*(\w+)", strip_comments(table.read_text())):
        # Read as settings.section.member, or in a function that takes the section under its name.
        if not re.search(rf"\b{section}\.{member}\b", code):
            yield f"src/config/settings.def: setting {section}.{member} is used nowhere in src/app"
    for name in ("providers.def", "models.def"):
        rows = root / "src/config" / name
        for member in re.findall(r"TESSERA_\w+\(\s*(\w+),", strip_comments(rows.read_text()) if rows.exists() else ""):
            if not re.search(rf"(\.|->|::){member}\b", code):
                yield f"src/config/{name}: field {member} is used nowhere in src/app"


def check_profile(root):
    """What is known of a model is there to be acted on: each member is read by somebody who did not write it."""
    header = root / "src/core/model_profile.h"
    if not header.exists():
        return
    struct = re.search(r"struct ModelProfile \{(.*?)\n\};", strip_comments(header.read_text()), re.S)
    writers = {header, root / "src/app/profile_settings.cc"}
    code = "\n".join(strip_comments(p.read_text()) for p in sorted((root / "src").rglob("*"))
                     if p.suffix in (".h", ".cc") and not is_test_code(p) and p not in writers and p.parent.name != "profiles")
    for member in re.findall(r"^  [\w:<>]+ (\w+)\s*(?:=|;|\{)", struct.group(1), re.M):
        own = len(re.findall(rf"\b{member}\b", struct.group(1))) > 1  # a function of the struct reads it
        if not own and not re.search(rf"(\.|->){member}\b", code):
            yield f"src/core/model_profile.h: ModelProfile::{member} is read nowhere"


def check_metrics(root):
    """The same for the table of metrics: each row is fed somewhere."""
    table = root / "src/observe/metrics.def"
    if not table.exists():
        return
    code = "\n".join(strip_comments(p.read_text()) for p in sorted((root / "src").rglob("*"))
                     if p.suffix in (".h", ".cc") and not is_test_code(p))
    for member in re.findall(r"TESSERA_METRIC\(\s*\w+,\s*(\w+)", strip_comments(table.read_text())):
        if not re.search(rf"metrics(_|\(\))?\.{member}\b", code):
            yield f"src/observe/metrics.def: metric {member} is fed nowhere"


def check_documents(root):
    """Paths that the guides name in backticks exist, so that the tour never leads to a file that moved."""
    for name in ("README.md", "ARCHITECTURE.md", "HACKING.md"):
        path = root / name
        for token in re.findall(r"`([\w./-]+)`", path.read_text() if path.exists() else ""):
            if "/" not in token.rstrip("/") or token.startswith(("/", "./", "build/", "node_modules/")) or "*" in token:
                continue
            if not re.search(r"\.\w+$|/$", token):  # a model's or a branch's name, not a file's
                continue
            if not ((root / token).exists() or (root / "src" / token).exists()):
                yield f"{name}: `{token}` does not exist"


def check_format(root, files):
    tool = shutil.which("clang-format-19")
    if not tool:
        return
    done = subprocess.run([tool, "--dry-run", "--ferror-limit=1", *map(str, files)], cwd=root, capture_output=True, text=True)
    for line in done.stderr.splitlines():
        match = re.match(r"(.*?):(\d+):\d+: (warning|error)", line)
        if match:
            yield f"{match.group(1)}:{match.group(2)}: not formatted (clang-format-19 -i)"


def check(root, formatting=True):
    allowed, waivers, used = read_layers(root), read_waivers(root), set()
    sources = [p.relative_to(root) for d in ("src", "bench", "tests") if (root / d).exists()
               for p in sorted((root / d).rglob("*")) if p.suffix in (".h", ".cc", ".cpp") and not {"node_modules", ".peers"} & set(p.parts)]
    for path in sources:
        text = (root / path).read_text()
        lines = text.splitlines()
        room = path.parts[1] if path.parts[0] == "src" else path.parts[0]
        yield from check_includes(path, room, lines, allowed)
        yield from check_banned(path, room, strip_comments(text))
        yield from check_size(path, lines, waivers, used)
    for name in waivers:
        if name not in used:
            yield f"tools/waivers.txt: {name} is no longer needed"
    yield from check_rooms(root, allowed)
    yield from check_documents(root)
    yield from check_settings(root)
    yield from check_profile(root)
    yield from check_metrics(root)
    if formatting and sources:
        yield from check_format(root, sources)


def self_test():
    """Each rule must fire on a file made to break it."""
    bad = {
        "src/base/up.h": '#include "api/api.h"\n',
        "src/chat/heavy.h": "#include <boost/json.hpp>\n",
        "src/rag/env.cc": 'void f() { getenv("HOME"); }\n',
        "src/rag/slow_test.cc": "void f() { sleep_for(1); }\n",
        "src/text/long.cc": "int f(int a, int b, int c, int d, int e, int g) {\n" + "  a++;\n" * 500 + "}\n",
        "src/attic/a.cc": "\n",
        "README.md": "see `src/nowhere/x.h`\n",
        "src/config/settings.def": "TESSERA_SETTING(chat, used, integer, 1)\nTESSERA_SETTING(chat, forgotten, integer, 1)\n",
        "src/config/providers.def": "TESSERA_PROVIDER(used, text, 0)\nTESSERA_PROVIDER(overlooked, text, 0)\n",
        "src/core/model_profile.h": "struct ModelProfile {\n  int64_t used = 0;\n  int64_t unread = 0;\n};\n",
        "src/observe/metrics.def": "TESSERA_METRIC(counter, fed, \"fed_total\")\nTESSERA_METRIC(counter, starved, \"s_total\")\n",
        "src/app/use.cc": "int f() { metrics.fed.increment(); return settings.chat.used; }\n",
    }
    expected = ["may not include api", "boost/json.hpp belongs to", "only in .cc", "getenv", "sleep_for", "has 502 lines",
                "502 lines (limit 400)", "6 parameters", "not in tools/layers.txt", "has no README", "has no test",
                "setting chat.forgotten is used nowhere", "field overlooked is used nowhere",
                "ModelProfile::unread is read nowhere", "metric starved is fed nowhere"]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "tools").mkdir()
        (root / "tools/layers.txt").write_text((ROOT / "tools/layers.txt").read_text())
        for name, text in bad.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = "\n".join(check(root, formatting=False))
    missing = [text for text in expected if text not in found]
    missing += [f"not: {text}" for text in ("chat.used", "metric fed ") if text in found]
    for text in missing:
        print(f"tidy: self-test: no rule fired for: {text}")
    return not missing


def main():
    if "--self-test" in sys.argv:
        return 0 if self_test() else 1
    problems = list(check(ROOT))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
