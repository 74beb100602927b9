#!/usr/bin/env bash
# Everything CI does, from a bare machine on: stages one after the other, and behind them, with the lowest priority, what needs nothing of
# them but time. The end-to-end tests wait more than they work: what is behind is done in their pauses.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/stages.sh
. scripts/stages.sh

pytest=(.deps/venv/bin/python -m pytest -q)
# More processes than cores, for the same reason. A file's tests stay together, but see tests/side_by_side.py.
beside=(-n 4 --dist loadfile --no-loadscope-reorder)

behind_all() {
  piece sanitizers-built bash -c 'scripts/build.sh asan all && scripts/tsan.sh build'
  piece lint scripts/lint.sh
  piece wheel-built scripts/wheel.sh
  # More at a time than cores, each with a part of one: what is left of the stages' time.
  piece fuzzed env JOBS=4 SEED=1 scripts/fuzz.sh 60
}

# The unit tests, and then the files of the end-to-end tests that drive most of the C++ code, each part of it at least once: the wire
# contract, the limits and refusals of HTTP, TLS and sign-in, batches, door, taps and admin port, the worker, kill -9 on every store of
# events, the producer, search, replay and verify, and round trips with Kafka, MongoDB and S3. What the others would add are waits for
# servers to be missed and found again, a browser, and deploy/, which holds no C++.
sanitized=(admin auth_tls batch door durability http_limits kafka kafka_log mongo produce refusals replay s3 security servers similar spool tap
  verify wire_contract worker)
under_sanitizers() {
  local name files=()
  for name in "${sanitized[@]}"; do files+=("tests/test_$name.py"); done
  ctest --preset asan -L unit -j "$(nproc)"
  CA4_BINARY=$PWD/build/asan/ca4 "${pytest[@]}" "${beside[@]}" -m "not alone" "${files[@]}"
}

stage "set-up" scripts/setup.sh test
stage "release build" scripts/build.sh release all
behind behind_all
stage "unit tests" ctest --preset release -L unit -j "$(nproc)"
stage "end to end" "${pytest[@]}" "${beside[@]}" --durations=25 -m "not alone" tests
await sanitizers-built
stage "under AddressSanitizer and UndefinedBehaviorSanitizer" under_sanitizers
stage "concurrent parts under ThreadSanitizer" scripts/tsan.sh
await wheel-built
stage "the Python package, installed, and its notebook" scripts/test-wheel.sh
await lint
await fuzzed
# What holds the system to a time, when nothing runs behind it any more.
stage "end to end, alone on the machine" "${pytest[@]}" --durations=5 -m alone tests
printf '\n' && cat build/stages/fuzzed.log
