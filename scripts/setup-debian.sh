#!/usr/bin/env bash
# A small Debian of this release in .deps/debian/root, for the tests that install CA4's package: made by debootstrap from the machine's own
# mirror, with systemd, and with the packages that CA4 needs downloaded and not installed, so that the test needs no network. A second run
# ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/private-apt.sh
. scripts/private-apt.sh

# What dpkg-shlibdeps finds in the binary (the test fails when one is missing here), and what the package recommends.
packages=(
  adduser ca-certificates libbson-1.0-0 libcurl4 libfmt9 libjpeg62-turbo libmodpbase64-0 libmongoc-1.0-0 libpng16-16
  libprometheus-cpp-core1.0 libpugixml1v5 librdkafka1 libsimdjson14 libspdlog1.10 libsqlite3-0 libssl3 libturbojpeg0 libwebp7 libxxhash0
  libzstd1 openssh-client zlib1g
)
folder=.deps/debian
root=$folder/root
stamp=$root/.stamp-$(printf '%s\n' "${packages[@]}" | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0
[ "$(id -u)" -eq 0 ] || { echo "setup: a small Debian can be made by root only; run this as root" >&2; exit 1; }

echo "setup: making a small Debian"
mirror=$(debian_mirror)
[ -n "$mirror" ] || { echo "setup: apt names no mirror of this Debian release (apt-get indextargets)" >&2; exit 1; }
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
rm -rf "$root" "$root.new"
mkdir -p "$folder"
debootstrap --variant=minbase --include=systemd "$codename" "$root.new" "$mirror" >"$folder/log" 2>&1 || { tail -5 "$folder/log" >&2; exit 1; }
# Names are resolved as here, and only while this downloads.
cp /etc/resolv.conf "$root.new/etc/resolv.conf"
chroot "$root.new" sh -c 'apt-get -qq update && apt-get -qq install -y --no-install-recommends --download-only "$@"' _ "${packages[@]}" >>"$folder/log" 2>&1 ||
  { tail -5 "$folder/log" >&2; exit 1; }
echo '127.0.0.1 localhost' >"$root.new/etc/hosts"
mv "$root.new" "$root"
touch "$stamp"
