#!/usr/bin/env bash
# retry.sh COMMAND...: up to three tries, for what comes from a busy registry, where a single refusal must not end the set-up.
set -euo pipefail
for try in 1 2 3; do
  "$@" && exit 0
  [ "$try" -lt 3 ] || exit 1
  sleep 5
done
