#!/usr/bin/env bash
# Configures and builds a preset: tools/build.sh PRESET [TARGET...]. Quiet while it goes well; the whole log when it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1; shift
log=build/$preset.log
mkdir -p build
if ! cmake --preset "$preset" >"$log" 2>&1; then cat "$log" >&2; exit 1; fi
if [ -t 1 ]; then
  ninja -C "build/$preset" -j "${JOBS:-$(nproc)}" "$@"
elif ! ninja -C "build/$preset" -j "${JOBS:-$(nproc)}" "$@" >>"$log" 2>&1; then
  grep -E -A 12 'error|FAILED' "$log" | head -100 >&2; exit 1
fi
