#!/usr/bin/env bash
# bench.sh [--full]: runs what compares CA4 with its peers and floors, and writes docs/benchmarks.md from what they leave in build/bench/.
set -euo pipefail
cd "$(dirname "$0")/.."

comparisons=(api worker growth)
for comparison in "${comparisons[@]}"; do
  .deps/venv/bin/python "bench/$comparison.py" "$@"
done
exec .deps/venv/bin/python bench/frame/report.py
