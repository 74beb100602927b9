#!/usr/bin/env bash
# Format and static analysis of what is committed or about to be: clang-format on every source, clang-tidy on every
# translation unit of the release build but the tests', shellcheck on every script.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files -co --exclude-standard '*.cc' '*.h')
clang-format-19 --dry-run -Werror "${sources[@]}"

mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run deploy/sim/on)
shellcheck "${scripts[@]}"

scripts/build.sh release all >/dev/null
# src/python is built for the wheel only, against headers that the release build does not have.
mapfile -t units < <(git ls-files -co --exclude-standard 'src/*.cc' | grep -vE '_(test|conformance)\.cc$|fake_|test_|^src/python/')
# A unit is analysed again only when it, a header or the checks changed: the stamp is named after the content of all of them.
headers=$(git ls-files -co --exclude-standard .clang-tidy '*.h' | xargs cat | sha256sum | cut -c1-16)
mkdir -p build/tidy
# shellcheck disable=SC2016  # the inner shell expands these
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -I{} bash -c '
  stamp=build/tidy/$(sha256sum "$1" | cut -c1-16)-$2
  [ -e "$stamp" ] && exit 0
  clang-tidy-22 --quiet -p build/release "$1" 2>/dev/null && touch "$stamp"' _ {} "$headers"
echo "lint: ${#sources[@]} C++ files formatted, ${#units[@]} units analysed, ${#scripts[@]} scripts checked"
