#!/usr/bin/env bash
# The Python peers of the benchmarks, in an environment of their own, .deps/bench/venv: what they need is no business of the tests.
# A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=bench/requirements.txt
root=.deps/bench/venv
stamp=$root/.stamp-$(sha256sum "$requirements" | cut -c1-16)
[ -e "$stamp" ] && exit 0

echo "setup: installing the Python peers of the benchmarks"
rm -rf "$root"
mkdir -p .deps/bench
/usr/bin/python3 -m venv "$root"
"$root/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements"
touch "$stamp"
