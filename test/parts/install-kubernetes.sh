#!/usr/bin/env bash
# Builds Kubernetes and etcd into the cache (outside the repository): the control plane, kubectl, and what a node needs of it.
# Idempotent, and only what is missing is built; safe to run twice at once: everything is built beside the target and moved there by name.
set -euo pipefail

version=1.34.2
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/kubernetes-$version"
commands=(kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy)

missing=()
for command in "${commands[@]}" etcd; do [[ -x "$target/$command" ]] || missing+=("$command"); done

if [[ ${#missing[@]} -gt 0 ]]; then
  # From 1.21 on Go brings the newer toolchain that a module asks for.
  if [[ ! "$(go env GOVERSION)" =~ ^go1\.(2[1-9]|[3-9][0-9]) ]]; then
    echo "kubernetes $version needs Go 1.21 or newer, found $(go env GOVERSION)" >&2
    exit 1
  fi
  mkdir -p "$target"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "building ${missing[*]} $version (all of them: about nine minutes)" >&2

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
  {
    echo '//go:build tools'
    echo 'package tools'
    echo 'import _ "go.etcd.io/etcd/server/v3"'
    for command in "${commands[@]}"; do echo "import _ \"k8s.io/kubernetes/cmd/$command\""; done
  } > "$work/tools.go"
  (
    cd "$work"
    export GOFLAGS=-mod=mod GONOSUMDB='k8s.io/*' CGO_ENABLED=0
    # Some test dependencies of dependencies cannot be had; nothing here needs them.
    go mod tidy -e
    stamp="-X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
    for command in "${missing[@]}"; do
      package="k8s.io/kubernetes/cmd/$command"
      [[ "$command" == etcd ]] && package=go.etcd.io/etcd/server/v3
      go build -trimpath -ldflags "-s -w $stamp" -o "ready/$command" "$package"
      mv -T "ready/$command" "$target/$command"
    done
  ) >&2
fi

echo "$target"
