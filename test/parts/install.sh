#!/usr/bin/env bash
# Installs the real parts that `make test` needs, each by its own idempotent script, into ${MILLRACE_CACHE:-$HOME/.cache/millrace}.
# Debian packages first, and only those whose command is missing.
set -euo pipefail
cd "$(dirname "$0")"

packages=()
command -v mvn >/dev/null || packages+=(maven)
command -v go >/dev/null || packages+=(golang)
command -v openssl >/dev/null || packages+=(openssl)
command -v java >/dev/null || packages+=(openjdk-17-jdk-headless)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
command -v buildah >/dev/null || packages+=(buildah)
command -v runc >/dev/null || packages+=(runc)
[[ -x /usr/lib/cni/bridge ]] || packages+=(containernetworking-plugins)
command -v ip >/dev/null || packages+=(iproute2)
command -v conntrack >/dev/null || packages+=(conntrack)
command -v iptables >/dev/null || packages+=(iptables)
command -v containerd >/dev/null || packages+=(containerd)
if [[ ${#packages[@]} -gt 0 ]]; then
  echo "installing Debian packages: ${packages[*]}" >&2
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}" >&2
fi

for part in install-*.sh; do
  bash "./$part" >/dev/null
done
