#!/usr/bin/env python3
"""Writes the documentation that follows from tables: docs/config.md, docs/metrics.md, docs/openapi.json, docs/tessera.example.yaml.

  tools/generate.py            write them, with the release binary (or $TESSERA_BINARY)
  tools/generate.py --check    only compare; prints the files that differ and exits 1
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("TESSERA_BINARY", ROOT / "build/release/tessera"))
GENERATED = {
    "docs/config.md": ["config", "reference", "--markdown"],
    "docs/tessera.example.yaml": ["config", "reference", "--yaml"],
    "docs/metrics.md": ["config", "reference", "--metrics"],
    "docs/openapi.json": ["config", "reference", "--openapi"],
}


def main():
    check = "--check" in sys.argv
    stale = []
    for name, arguments in GENERATED.items():
        text = subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout
        path = ROOT / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        print(f"{name}: {'is not what the tables say; run `make generate`' if check else 'written'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
