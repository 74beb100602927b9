#!/usr/bin/env bash
# The Debian package of the release build, in build/package/.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
rm -rf build/package
mkdir -p build/package
log=build/package/cpack.log
# One time for all files, of the last change: the same sources give the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
cpack --config build/release/CPackConfig.cmake >"$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
rm -rf build/package/_CPack_Packages
ls -l build/package/*.deb
