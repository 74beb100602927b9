#!/usr/bin/env bash
# The Python environment of the project, .deps/venv, with the packages of the given requirements files. What is there already
# is left alone: a second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .deps
# The system's Python, so that a newer one in PATH does not change which wheels fit.
[ -x .deps/venv/bin/pip ] || /usr/bin/python3 -m venv .deps/venv
for requirements in "$@"; do
  stamp=.deps/venv/.stamp-$(sha256sum "$requirements" | cut -c1-16)
  [ -e "$stamp" ] && continue
  echo "setup: installing the Python packages of $requirements"
  # Not bin/pip: in a copied folder that still installs where the original is.
  .deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements"
  touch "$stamp"
done
