#!/usr/bin/env bash
# Builds kube-apiserver, etcd and kubectl into the cache (outside the repository) and prints their folder.
# Idempotent; safe to run twice at once: everything is built beside the target and renamed over in one step.
set -euo pipefail

version=1.34.2
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/kubernetes-$version"

if [[ ! -x "$target/kubectl" ]]; then
  # From 1.21 on Go brings the newer toolchain that a module asks for.
  if [[ ! "$(go env GOVERSION)" =~ ^go1\.(2[1-9]|[3-9][0-9]) ]]; then
    echo "kubernetes $version needs Go 1.21 or newer, found $(go env GOVERSION)" >&2
    exit 1
  fi
  mkdir -p "$(dirname "$target")"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "building kube-apiserver, etcd and kubectl $version (about six minutes)" >&2

  # Kubernetes keeps its libraries in its own repository; as a dependency each has to be named with the version that belongs to it.
  libraries=(
    api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator component-base component-helpers
    controller-manager cri-api cri-client csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager
    kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin sample-controller
  )
  {
    echo 'module millrace.dev/kubernetes-part'
    echo 'go 1.24.0'
    echo "require k8s.io/kubernetes v$version"
    for library in "${libraries[@]}"; do echo "replace k8s.io/$library => k8s.io/$library v0.${version#1.}"; done
  } > "$work/go.mod"
  cat > "$work/tools.go" <<'GO'
//go:build tools

package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
GO
  (
    cd "$work"
    export GOFLAGS=-mod=mod GONOSUMDB='k8s.io/*' CGO_ENABLED=0
    # Some test dependencies of dependencies cannot be had; nothing here needs them.
    go mod tidy -e
    go build -trimpath \
      -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34" \
      -o ready/ k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
    go build -trimpath -ldflags '-s -w' -o ready/etcd go.etcd.io/etcd/server/v3
  ) >&2
  # Another run may have been faster: then its folder stays and ours is dropped with the work folder.
  mv -T --no-clobber "$work/ready" "$target"
fi

echo "$target"
