#!/usr/bin/env bash
# Has a real Flink read and write what cases.ts says; the answers go to expected.json. Needs a JDK and node (24).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
lib="$("$here/../../parts/install-flink.sh")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
node "$here/cases.ts" >"$work/cases.json"
javac -nowarn -cp "$lib/*" -d "$work" "$here/FormatOracle.java"
java -Xmx1g --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED -cp "$work:$lib/*" FormatOracle "$work/cases.json" "$work/expected.json"
cp "$work/expected.json" "${1:-$here/expected.json}"
