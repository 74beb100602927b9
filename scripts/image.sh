#!/usr/bin/env bash
# scripts/image.sh build: the container image by whichever engine is here. scripts/image.sh archive: the same without one, from the release
# build of this machine, as build/image/ca4/ca4-VERSION.tar. CA4_IMAGE_VARIANT=cuda makes ca4-cuda, for `ca4 produce` on NVIDIA GPUs.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -nE 's/^project\(ca4 VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
variant=${CA4_IMAGE_VARIANT:-cpu}
case "$variant" in
  cpu) title=ca4 ;;
  cuda) title=ca4-cuda ;;
  *) echo "image: CA4_IMAGE_VARIANT is '$variant'; it may be cpu or cuda" >&2; exit 2 ;;
esac
name=${CA4_IMAGE:-$title:$version}
file=deploy/image/Containerfile

build() {
  for engine in buildah podman docker; do
    command -v "$engine" >/dev/null || continue
    "$engine" build --build-arg "VARIANT=$variant" --file "$file" --tag "$name" .
    echo "image: $name, in the store of $engine"
    return
  done
  echo "image: neither buildah nor podman nor docker is installed (Debian: apt install buildah). Without any: make image-archive" >&2
  exit 1
}

archive() {
  local folder=build/image/$title
  local archive=$folder/$title-$version.tar
  rm -rf "$folder"
  mkdir -p "$folder"
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
  export SOURCE_DATE_EPOCH
  scripts/image-rootfs.sh "$folder/rootfs" "$variant"
  python3 deploy/image/oci.py "$folder/rootfs" "$file" "$name" "$archive.new"
  mv "$archive.new" "$archive"
  echo "image: $name, $(($(stat -c %s "$archive") >> 20)) MiB: $archive"
}

case "${1:-}" in
  build | archive) "$1" ;;
  *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
esac
