#!/usr/bin/env bash
# The policy scanner of deploy/, checkov (Apache-2.0), into .deps/checkov: an environment of its own, because it pins other versions of
# what the tests use. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.3.30
root=.deps/checkov
[ "$(cat "$root/.stamp" 2>/dev/null)" = "$version" ] && exit 0

echo "setup: fetching checkov $version"
rm -rf "$root"
/usr/bin/python3 -m venv "$root"
"$root/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "checkov==$version"
echo "$version" > "$root/.stamp"
