#!/usr/bin/env bash
# Runs test/sql/cases with Apache Flink 2.3.0 and writes NAME.expected beside each script: of the cases named, or of all (some minutes).
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cases="$here/../../sql/cases"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

names=("$@")
if [[ $# -eq 0 ]]; then
  for script in "$cases"/*.sql; do names+=("$(basename "$script" .sql)"); done
fi
javac -d "$work" -cp "$lib/*" "$here/SqlOracle.java"
mkdir "$work/out" "$work/written"
java -cp "$work:$lib/*" SqlOracle "$cases" "$work/out" "$work/written" "${names[@]}" 2>"$work/log.txt" || { tail -50 "$work/log.txt" >&2; exit 1; }
mv "$work/out/"*.expected "$cases/"
