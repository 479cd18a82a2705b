#!/usr/bin/env bash
# Makes the image that holds the namespaces of a pod, as an archive in the cache (outside the repository), and prints its folder. Idempotent.
set -euo pipefail

target="${MILLRACE_CACHE:-$HOME/.cache/millrace}/pause-1"

if [[ ! -f "$target/pause.tar" ]]; then
  mkdir -p "$target"
  work="$(mktemp -d "$target.partial-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  cat > "$work/pause.go" <<'GO'
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
GO
  (
    cd "$work"
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o root/pause pause.go
    printf 'FROM scratch\nCOPY root/ /\nUSER 65535\nENTRYPOINT ["/pause"]\n' > Containerfile
    buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
    export BUILDAH_ISOLATION=chroot
    "${buildah[@]}" bud --timestamp 0 -t millrace.test/pause:1 .
    "${buildah[@]}" push millrace.test/pause:1 "docker-archive:$work/pause.tar:millrace.test/pause:1"
    "${buildah[@]}" rmi millrace.test/pause:1
  ) >&2
  mv -T "$work/pause.tar" "$target/pause.tar"
fi

echo "$target"
