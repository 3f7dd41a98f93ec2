#!/usr/bin/env python3
"""Prints the first lines of results.md: what it is and the machine."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import machine

print("# Retrieval quality\n")
print(f"Printed by the commands in README.md; {machine.describe()}. Everything random is seeded.\n")
