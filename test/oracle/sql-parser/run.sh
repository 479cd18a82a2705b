#!/usr/bin/env bash
# Asks the SQL parser of a real Flink: run.sh <file of statements separated by NUL | --keywords>, answers on standard output.
# The planner's jar lies inside the loader's; it is unpacked once into the cache beside the others.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
cache="$(dirname "$lib")/sql-parser"
planner="$cache/flink-table-planner.jar"
if [[ ! -f "$planner" ]]; then
  mkdir -p "$cache"
  unpacked="$(mktemp -d "$cache/partial-XXXXXX")"
  python3 -m zipfile -e "$lib"/flink-table-planner-loader-*.jar "$unpacked"
  mv "$unpacked/flink-table-planner.jar" "$planner"
  rm -rf "$unpacked"
fi
classpath="$planner:$(printf '%s:' "$lib"/flink-dist-*.jar "$lib"/flink-table-api-java-uber-*.jar "$lib"/flink-table-runtime-*.jar "$lib"/flink-scala_*.jar "$lib"/log4j-*.jar)"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
javac -proc:none -d "$work" -cp "$classpath" "$here/SqlParserOracle.java"
java -cp "$work:$classpath" SqlParserOracle "$1" 2>"$work/stderr.txt" || { cat "$work/stderr.txt" >&2; exit 1; }
