#!/usr/bin/env bash
# Installs what CA4 needs, in steps that can be named: `build` (compilers and libraries), `demo` (also a model and
# photographs), `sim` (also servers and what makes machines of namespaces), `test` (also browser, linters, load generators and the
# tests' Python environment), `deploy` (what the ca4-* targets use), `package` (what makes packages), `sbom` (what lists
# what the program is made of). Debian packages go into the system; everything else into .deps/ of the project. A second run
# finds all of it there and ends in a moment.
set -euo pipefail
cd "$(dirname "$0")/.."

# A version is pinned by the Debian release; these are the packages of Debian 12 (bookworm).
build_packages=(
  g++ cmake ninja-build ccache pkg-config make git ca-certificates curl
  libboost1.81-dev libsimdjson-dev libsqlite3-dev libmongoc-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libzstd-dev libxxhash-dev
  librdkafka-dev libspdlog-dev libfmt-dev prometheus-cpp-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libmodpbase64-dev libpugixml-dev
  libturbojpeg0-dev libjpeg62-turbo-dev libpng-dev libwebp-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  python3-venv
)
# For the Python package: its headers, and what unpacks Debian's source packages.
wheel_packages=(python3-dev dpkg-dev xz-utils patch)
test_packages=(
  clang-format-19 clang-tidy-22 clang-22 libclang-rt-22-dev shellcheck chromium chromium-driver wrk nghttp2-client valgrind zsh sudo systemd wireguard-tools nftables libfaketime
  # A small Debian that the package is installed in; what Debian says about packages. What reads, builds and runs container images.
  debootstrap lintian buildah skopeo umoci runc
)
# Kafka's brokers and the MongoDB-wire server; machines in network namespaces, SSH servers on them.
sim_packages=(openjdk-17-jdk-headless maven iproute2 nftables util-linux openssh-server openssh-client openssl procps zstd)
# What CPack calls: strip, dpkg-shlibdeps, file.
package_packages=(binutils dpkg-dev file)
deploy_packages=(python3-venv ca-certificates curl openssl openssh-client)

install_missing() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "setup: installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root apt-get -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "setup: run as root: $*" >&2
    exit 1
  fi
}

# What scripts/sbom_check.py asks; images often come without the lists.
package_lists() {
  [[ $(apt-cache policy) == *-security* ]] || as_root apt-get -qq update
}

# What `test` needs in .deps/, by the tool that brings it: two of them do not get along with themselves, and all of them wait for the network.
python_parts() {
  scripts/setup-python.sh scripts/requirements.txt deploy/sim/requirements.txt tests/requirements.txt scripts/requirements-wheel.txt \
    deploy/aws/requirements.txt scripts/requirements-sbom.txt
  scripts/setup-onnxruntime.sh
  scripts/setup-images.sh
  scripts/setup-model.sh
}
go_parts() {
  scripts/setup-s3.sh
  scripts/setup-kustomize.sh
}
java_parts() {
  scripts/setup-kafka.sh
  scripts/setup-kafka-tools.sh
  scripts/setup-mongo.sh
}
debian_parts() {
  scripts/setup-wheel.sh
  scripts/setup-cloud-init.sh
  scripts/setup-prometheus.sh
  scripts/setup-debian.sh
}

# side_by_side COMMAND…: all at once, and all to their end; fails when one has failed.
side_by_side() {
  local job jobs=() failed=0
  for job in "$@"; do
    "$job" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  return "$failed"
}

case "${1:-}" in
  build)
    install_missing "${build_packages[@]}"
    scripts/setup-onnxruntime.sh
    ;;
  demo)
    "$0" build
    scripts/setup-model.sh
    scripts/setup-images.sh
    ;;
  sim)
    "$0" demo
    install_missing "${sim_packages[@]}"
    scripts/setup-python.sh deploy/sim/requirements.txt
    scripts/setup-s3.sh
    scripts/setup-kafka.sh
    scripts/setup-mongo.sh
    ;;
  test)
    # All in one: the packages that a step installs may not change under another that runs.
    install_missing "${build_packages[@]}" "${sim_packages[@]}" "${test_packages[@]}" "${wheel_packages[@]}" "${package_packages[@]}" \
      "${deploy_packages[@]}"
    package_lists
    scripts/setup-python.sh
    side_by_side python_parts go_parts java_parts debian_parts scripts/setup-checkov.sh
    ;;
  deploy)
    install_missing "${deploy_packages[@]}"
    scripts/setup-python.sh deploy/aws/requirements.txt
    scripts/setup-kustomize.sh
    ;;
  package)
    install_missing "${package_packages[@]}"
    ;;
  sbom)
    "$0" build
    scripts/setup-python.sh scripts/requirements-sbom.txt
    ;;
  *)
    echo "usage: scripts/setup.sh build|demo|sim|test|deploy|package|sbom" >&2
    exit 2
    ;;
esac
