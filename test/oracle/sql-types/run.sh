#!/usr/bin/env bash
# Asks a real Flink about the types of types.txt and the literals of literals.txt and writes test/sql/flink-{types,literals}.json. With --check it compares instead.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

javac -proc:none -d "$work" -cp "$lib/*" "$here"/*.java
ask() {
  java --add-opens java.base/java.util=ALL-UNNAMED --add-opens java.base/java.lang=ALL-UNNAMED -cp "$work:$lib/*" "$1" "$here/$2.txt" >"$work/$2.json" 2>"$work/stderr.txt" || { cat "$work/stderr.txt" >&2; exit 1; }
  if [[ "${3:-}" == --check ]]; then
    cmp "$work/$2.json" "$here/../../sql/flink-$2.json"
  else
    mv "$work/$2.json" "$here/../../sql/flink-$2.json"
  fi
}
ask SqlTypeOracle types "${1:-}"
ask SqlLiteralOracle literals "${1:-}"
