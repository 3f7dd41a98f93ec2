#!/usr/bin/env bash
# clang-tidy over every source file (or those given), with the release build's commands.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
# The precompiled headers are named in the compile commands, so they must be there.
ninja -C build/release tessera_pch tessera_pch_asio >/dev/null
files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.cc' 'src/*.cpp' | grep -vE '_(test|fuzz)\.cc$')
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy-19 -p build/release --quiet
