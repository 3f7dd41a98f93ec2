#!/usr/bin/env bash
# Installs the Debian packages of tools/packages/SET.txt that are missing. Usage: tools/install.sh build|test
# Fast when nothing is missing (one dpkg-query). Needs root or sudo only when something is. The set test also fetches the
# programs that the integration tests run against (tests/services/README.md), into the checkout.
set -euo pipefail
cd "$(dirname "$0")/packages"

case "${1:-}" in
  build) sets=(build.txt) ;;
  test) sets=(build.txt test.txt) ;;
  *) echo "usage: tools/install.sh build|test" >&2; exit 2 ;;
esac

# A program that is there from elsewhere (a newer Node.js, say) counts as installed.
provided() {
  case "$1" in
    nodejs) command -v node ;;
    npm) command -v npm ;;
    cmake) command -v cmake ;;
    python3) command -v python3 ;;
    *) return 1 ;;
  esac >/dev/null 2>&1
}

wanted=$(grep -hv '^#' "${sets[@]}")
# shellcheck disable=SC2086
have=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null | awk '$1 == "ii" {print $2}' || true)
missing=()
for package in $wanted; do
  grep -qx "$package" <<<"$have" || provided "$package" || missing+=("$package")
done
if [ ${#missing[@]} -ne 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "These Debian packages are missing and need root to install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "$1" = test ]; then python3 ../../tests/services/fetch.py; fi
