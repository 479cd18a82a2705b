#!/usr/bin/env bash
# Puts the jars of a real Apache Flink into the cache (outside the repository) and prints their folder.
# The jars come from apache-flink-libraries, which holds a whole distribution: `pyflink/lib` in a wheel, `deps/lib` in a
# source archive. Which of the two pip finds depends on the registry.
# Idempotent; safe to run twice at once: everything is unpacked beside the target and renamed over in one step.
set -euo pipefail

version=2.3.0
target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/flink-$version"

if [[ ! -f "$target/lib/flink-dist-$version.jar" ]]; then
  mkdir -p "$(dirname "$target")"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  echo "downloading Apache Flink $version (329 MB)" >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --dest "$work" "apache-flink-libraries==$version" >&2
  mkdir "$work/unpacked" "$work/ready"
  archive="$(find "$work" -maxdepth 1 -type f \( -name '*.whl' -o -name '*.tar.gz' \) -print -quit)"
  case "$archive" in
    *.whl) python3 -m zipfile -e "$archive" "$work/unpacked" ;;
    *.tar.gz) tar -xzf "$archive" -C "$work/unpacked" --strip-components=1 ;;
  esac
  dist="$(find "$work/unpacked" -name "flink-dist-$version.jar" -print -quit)"
  if [[ -z "$dist" ]]; then
    echo "apache-flink-libraries $version holds no flink-dist-$version.jar" >&2
    exit 1
  fi
  mv "$(dirname "$dist")" "$work/ready/lib"
  # Another run may have been faster: then its folder stays and ours is dropped with the work folder.
  mv -T --no-clobber "$work/ready" "$target"
fi

echo "$target/lib"
