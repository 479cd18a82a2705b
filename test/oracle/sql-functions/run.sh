#!/usr/bin/env bash
# Evaluates cases.ts with a real Flink and writes expected.json beside it: one line a case, in their order. Takes some minutes.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

node "$here/write-cases.ts" >"$work/cases.txt"
javac -d "$work" -cp "$lib/*" "$here/SqlFunctionOracle.java"
java -cp "$work:$lib/*" SqlFunctionOracle "$work/cases.txt" "$work/answers.txt" "$here/row.csv" >"$work/log.txt" 2>&1 || { tail -50 "$work/log.txt" >&2; exit 1; }
{
  echo '{ "script": "test/oracle/sql-functions/run.sh", "version": "Apache Flink 2.3.0", "cases": ['
  sed '$!s/$/,/' "$work/answers.txt"
  echo ']}'
} >"$work/expected.json"
mv "$work/expected.json" "$here/expected.json"
