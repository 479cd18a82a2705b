#!/usr/bin/env bash
# Builds and runs KeyGroupOracle against the jars of a real Flink and writes expected.txt beside it.
# With --check it compares instead and fails when the committed file differs.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

javac -d "$work" -cp "$lib/*" "$here/KeyGroupOracle.java"
java -cp "$work:$lib/*" KeyGroupOracle >"$work/expected.txt" 2>"$work/stderr.txt" || { cat "$work/stderr.txt" >&2; exit 1; }

if [[ "${1:-}" == --check ]]; then
  cmp "$work/expected.txt" "$here/expected.txt"
else
  mv "$work/expected.txt" "$here/expected.txt"
fi
