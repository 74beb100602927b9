#!/usr/bin/env bash
# Format and static analysis of what is committed or about to be: clang-format on every source, clang-tidy on every
# translation unit of the release build but the tests', shellcheck on every script, ruff on all Python.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files -co --exclude-standard '*.cc' '*.h')
clang-format-19 --dry-run -Werror "${sources[@]}"

mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run deploy/sim/on)
shellcheck "${scripts[@]}"
.deps/venv/bin/ruff check --quiet

scripts/build.sh release all >/dev/null
# The headers of the libraries are what takes the time: several files are read as one, as in the sanitizers' builds. A name of one may then
# shadow that of another; within a file the compiler has looked for that.
cmake --preset lint >build/lint.configure.log 2>&1 || { cat build/lint.configure.log; exit 1; }
mapfile -t units < <(python3 scripts/lint_units.py)
# A unit is analysed again only when one of its files, a header or the checks changed: the stamp is named after the content of all of them.
headers=$(git ls-files -co --exclude-standard .clang-tidy '*.h' | xargs cat | sha256sum | cut -c1-16)
mkdir -p build/tidy
# shellcheck disable=SC2016  # the inner shell expands these
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -I{} bash -c '
  read -r unit files <<<"$1"
  stamp=build/tidy/$(cat $files | sha256sum | cut -c1-16)-$2
  [ -e "$stamp" ] && exit 0
  clang-tidy-22 --quiet -p build/lint --extra-arg=-I"$PWD"/build/release/generated --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-shadow \
    --checks=-bugprone-suspicious-include "$unit" 2>/dev/null && touch "$stamp"' _ {} "$headers"
echo "lint: ${#sources[@]} C++ files formatted, ${#units[@]} units analysed, ${#scripts[@]} scripts checked"
