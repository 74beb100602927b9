#!/usr/bin/env bash
# Installs the wheel that scripts/wheel.sh has built into a fresh virtual environment and tries it there: the package, and the
# notebook against a live `ca4 up`.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/wheel/venv
rm -rf "$venv"
/usr/bin/python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-input -r tests/requirements-notebook.txt
# What the wheel asks for must be there by now: no index is asked.
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-index build/wheel/dist/ca4_producer-*.whl
"$venv/bin/python" -m pytest -q tests/package "$@"
