#!/usr/bin/env bash
# Builds CoreDNS into the cache (outside the repository) and prints its folder. Idempotent; safe to run twice at once.
set -euo pipefail

version=1.14.7
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/coredns-$version"

if [[ ! -x "$target/coredns" ]]; then
  mkdir -p "$target"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "building CoreDNS $version" >&2
  (
    cd "$work"
    printf 'module millrace.dev/coredns-part\ngo 1.24.0\nrequire github.com/coredns/coredns v%s\n' "$version" > go.mod
    printf '//go:build tools\npackage tools\nimport _ "github.com/coredns/coredns"\n' > tools.go
    export GOFLAGS=-mod=mod CGO_ENABLED=0
    go mod tidy -e
    go build -trimpath -ldflags '-s -w' -o coredns github.com/coredns/coredns
  ) >&2
  mv -T "$work/coredns" "$target/coredns"
fi

echo "$target"
