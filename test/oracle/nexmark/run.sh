#!/usr/bin/env bash
# Runs the Nexmark scripts of bench/sql with Apache Flink 2.3.0 on 200,000 generated events and writes expected.json beside it. Some minutes.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

node "$here/record.ts" prepare "$work"
javac -d "$work" -cp "$lib/*" "$here/../sql/SqlOracle.java"
names=()
for script in "$work"/scripts/*.sql; do names+=("$(basename "$script" .sql)"); done
mkdir "$work/rows" "$work/out"
java -cp "$work:$lib/*" SqlOracle "$work/scripts" "$work/rows" "$work/out" "${names[@]}" 2>"$work/log.txt" || { tail -50 "$work/log.txt" >&2; exit 1; }
node "$here/record.ts" record "$work"
