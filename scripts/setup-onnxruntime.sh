#!/usr/bin/env bash
# ONNX Runtime into .deps/onnxruntime/{lib,include}: the library out of the PyPI wheel, the headers (which the wheel lacks) out
# of Debian's libonnxruntime-dev. Newer library, older headers is the direction ONNX Runtime's C API is compatible in. Debian
# has the headers from 13 on; on Debian 12 they come from the next release's source of the same mirror, in a private state of
# apt, so that the machine's own package lists stay what they are. Nothing is installed into the system.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

library_version=1.32.0
headers_version=1.21.0+dfsg-1

root=.deps/onnxruntime
stamp=$root/.stamp
wanted="library $library_version headers $headers_version"
[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch_library() {
  scripts/setup-python.sh
  .deps/venv/bin/pip download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    --dest "$work/wheel" "onnxruntime==$library_version"
  # Python's own unzip: one tool less to need.
  .deps/venv/bin/python -m zipfile -e "$work"/wheel/*.whl "$work/library"
  cp "$work"/library/onnxruntime/capi/libonnxruntime.so."$library_version" "$work"/library/onnxruntime/LICENSE \
    "$work"/library/onnxruntime/ThirdPartyNotices.txt "$work/new/lib/"
  ln -s "libonnxruntime.so.$library_version" "$work/new/lib/libonnxruntime.so"
}

fetch_headers() {
  local apt=()
  if [ -z "$(apt-cache madison libonnxruntime-dev 2>/dev/null)" ]; then
    local options
    options=$(private_apt "$work/apt" deb trixie)
    mapfile -t apt <<<"$options"
    apt-get -qq "${apt[@]}" update
  else
    headers_version=$(apt-cache madison libonnxruntime-dev | awk 'NR == 1 { print $3 }')
  fi
  (cd "$work" && apt-get -qq "${apt[@]}" download "libonnxruntime-dev=$headers_version")
  dpkg -x "$work"/libonnxruntime-dev_*.deb "$work/headers"
  cp -r "$work"/headers/usr/include/onnxruntime/. "$work/new/include/"
  cp "$work"/headers/usr/share/doc/libonnxruntime-dev/copyright "$work/new/include/"
}

echo "setup: fetching ONNX Runtime $library_version"
mkdir -p "$work/new/lib" "$work/new/include"
fetch_library
fetch_headers
rm -rf "$root"
mkdir -p "$root"
cp -r "$work"/new/. "$root/"
echo "$wanted" > "$stamp"
