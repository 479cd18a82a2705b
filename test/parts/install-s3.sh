#!/usr/bin/env bash
# Builds versitygw, a real S3 server, into the cache (outside the repository) and prints the path of its binary.
# Idempotent; safe to run twice at once: everything is built beside the target and renamed over in one step.
set -euo pipefail

version=1.8.0
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/versitygw-$version"

if [[ ! -x "$target/versitygw" ]]; then
  # From 1.21 on Go brings the newer toolchain that a module asks for.
  if [[ ! "$(go env GOVERSION)" =~ ^go1\.(2[1-9]|[3-9][0-9]) ]]; then
    echo "versitygw $version needs Go 1.21 or newer, found $(go env GOVERSION)" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$target")"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "building versitygw $version (about two minutes)" >&2
  # `install` with a version ignores modules around it, but not their flags.
  (cd "$work" && GOFLAGS=-mod=mod GOBIN="$work/ready" go install -trimpath -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@v$version") >&2
  # Another run may have been faster: then its folder stays and ours is dropped with the work folder.
  mv -T --no-clobber "$work/ready" "$target"
fi

echo "$target/versitygw"
