#!/usr/bin/env bash
# Builds helm into the cache (outside the repository) and prints its folder.
# Idempotent; safe to run twice at once: it is built beside the target and renamed over in one step.
set -euo pipefail

version=3.22.0
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/helm-$version"

if [[ ! -x "$target/helm" ]]; then
  # From 1.21 on Go brings the newer toolchain that a module asks for.
  if [[ ! "$(go env GOVERSION)" =~ ^go1\.(2[1-9]|[3-9][0-9]) ]]; then
    echo "helm $version needs Go 1.21 or newer, found $(go env GOVERSION)" >&2
    exit 1
  fi
  mkdir -p "$target"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "building helm $version" >&2
  (
    cd "$work"
    export GOFLAGS=-mod=mod CGO_ENABLED=0
    go mod init millrace.dev/helm-part
    go get "helm.sh/helm/v3/cmd/helm@v$version"
    # As its own Makefile does: what `helm template` and `helm lint` take for the version of the cluster.
    flags="-s -w -X helm.sh/helm/v3/internal/version.version=v$version"
    for package in pkg/chartutil pkg/lint/rules; do
      flags+=" -X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=34"
    done
    go build -trimpath -ldflags "$flags" -o ready/helm helm.sh/helm/v3/cmd/helm
    mv -T ready/helm "$target/helm"
  ) >&2
fi

echo "$target"
