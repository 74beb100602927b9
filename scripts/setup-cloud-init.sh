#!/usr/bin/env bash
# Debian's cloud-init, unpacked into .deps/cloud-init and not installed: the tests want its schema of user data, and a machine that is
# no cloud server wants none of its services. A second run ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

root=.deps/cloud-init
[ -e "$root/.stamp" ] && exit 0

echo "setup: fetching cloud-init"
unpack_debian "$root" cloud-init
touch "$root/.stamp"
