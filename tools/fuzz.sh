#!/usr/bin/env bash
# Runs every fuzz target for N seconds (default 10): tools/fuzz.sh [N]. A crash leaves its input in build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
tools/build.sh fuzz
mkdir -p build/fuzz/crashes
found=0
while IFS= read -r source; do
  room=$(cut -d/ -f2 <<<"$source")
  target=$(find build/fuzz -type f -executable -name "${room}_$(basename "$source" .cc)")
  [ -n "$target" ] || { echo "fuzz target of $source was not built" >&2; exit 1; }
  corpus=build/fuzz/corpus/$(basename "$target"); mkdir -p "$corpus"
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/crashes/ "$corpus" >"$corpus.log" 2>&1 ||
    { tail -n 40 "$corpus.log" >&2; exit 1; }
  echo "$(basename "$target"): $(grep -oE 'Done [0-9]+ runs' "$corpus.log")"
  found=$((found + 1))
done < <(git ls-files 'src/*_fuzz.cc')
echo "$found fuzz targets held for $seconds s each"
