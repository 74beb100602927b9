#!/usr/bin/env bash
# scripts/build.sh PRESET TARGET...: configures, then builds.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
log=build/$preset.configure.log
mkdir -p build
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build --preset "$preset" --target "$@"
