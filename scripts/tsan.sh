#!/usr/bin/env bash
# The unit tests of the parts that have threads, under ThreadSanitizer; `scripts/tsan.sh build` only builds them. Without Kafka's:
# librdkafka starts threads the C11 way, which this sanitizer does not see, and they call into ours.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=(archive aws base door http log ops page processor producer spool store store_mongo tunnel verify worker)
scripts/build.sh tsan "${parts[@]/%/_test}" >build/tsan.build.log || { cat build/tsan.build.log; exit 1; }
[ "${1:-}" = build ] && exit 0
TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp" \
  ctest --preset tsan -j "$(nproc)" -R "^($(IFS='|' && echo "${parts[*]}"))\$"
