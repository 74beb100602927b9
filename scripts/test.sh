#!/usr/bin/env bash
# Everything after the unit tests, in the order that finds the likeliest mistakes first.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }

step "format and lint"
scripts/lint.sh

step "end to end: contract, limits, crash, producer, browser, OpenAPI"
.deps/venv/bin/python -m pytest -q tests

step "the Python package and the notebook, installed from its wheel"
scripts/setup-wheel.sh
scripts/setup-python.sh scripts/requirements-wheel.txt
scripts/wheel.sh
scripts/test-wheel.sh

step "the Python package: built, installed and tried, its notebook run"
scripts/wheel.sh
scripts/test-wheel.sh

step "unit and end-to-end tests under AddressSanitizer and UndefinedBehaviorSanitizer"
scripts/build.sh asan all >/dev/null
ctest --preset asan -L unit -j "$(nproc)"
# Not deploy/, which holds no C++.
CA4_BINARY=$PWD/build/asan/ca4 .deps/venv/bin/python -m pytest -q tests --ignore-glob='*/test_deploy_*.py'

step "unit tests of the concurrent parts under ThreadSanitizer"
scripts/tsan.sh

step "all passed"
