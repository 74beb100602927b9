#!/usr/bin/env bash
# Measures and prints; the tables are left in build/bench/results.md.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .deps/venv/bin/python bench/run.py "$@"
