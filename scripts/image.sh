#!/usr/bin/env bash
# scripts/image.sh build: the container image by whichever engine is here. scripts/image.sh archive: the same without one, from the release
# build of this machine, as build/image/ca4-VERSION.tar.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -nE 's/^project\(ca4 VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
name=${CA4_IMAGE:-ca4:$version}
file=deploy/image/Containerfile

build() {
  for engine in buildah podman docker; do
    command -v "$engine" >/dev/null || continue
    "$engine" build --file "$file" --tag "$name" .
    echo "image: $name, in the store of $engine"
    return
  done
  echo "image: neither buildah nor podman nor docker is installed (Debian: apt install buildah). Without any: make image-archive" >&2
  exit 1
}

archive() {
  local archive=build/image/ca4-$version.tar
  rm -rf build/image
  mkdir -p build/image
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
  export SOURCE_DATE_EPOCH
  scripts/image-rootfs.sh build/image/rootfs
  python3 deploy/image/oci.py build/image/rootfs "$file" "$name" "$archive.new"
  mv "$archive.new" "$archive"
  echo "image: $name, $(($(stat -c %s "$archive") >> 20)) MiB: $archive"
}

case "${1:-}" in
  build | archive) "$1" ;;
  *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
esac
