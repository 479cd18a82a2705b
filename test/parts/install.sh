#!/bin/sh
# Installs the real parts that `make test` needs, each by its own idempotent script, into ${MILLRACE_CACHE:-$HOME/.cache/millrace}.
set -eu
cd "$(dirname "$0")"
for part in install-*.sh; do
  [ -e "$part" ] || continue
  sh "./$part"
done
