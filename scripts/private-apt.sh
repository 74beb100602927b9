# shellcheck shell=bash
# Sourced by the set-up scripts that take a package of Debian without installing it: from another release, or as source.

# The machine's Debian mirror, from apt's own configuration: the source that holds this release's main component.
debian_mirror() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # shellcheck disable=SC2016  # apt expands these, not the shell
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$codename" '($1 == release || $1 == "stable" || $1 == "oldstable") && $2 == "main" { print $3; exit }'
}

# private_apt FOLDER TYPE SUITE: prints apt's options for a state of its own under FOLDER, whose only source is SUITE's packages
# (TYPE deb) or their sources (deb-src), so that the machine's own package lists stay what they are.
private_apt() {
  local folder=$1 type=$2 suite=$3 mirror
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || { echo "setup: apt names no mirror of this Debian release (apt-get indextargets)" >&2; return 1; }
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,parts}
  printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$type" "$mirror" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg > "$folder/$suite.sources"
  printf -- '-oDir::State::Lists=%s\n' "$folder/lists"
  printf -- '-oDir::Cache=%s\n' "$folder/cache"
  printf -- '-oDir::Etc::SourceList=%s\n' "$folder/$suite.sources"
  printf -- '-oDir::Etc::SourceParts=%s\n' "$folder/parts"
  # Only the list of packages: no translations, no application metadata.
  printf -- '-oAcquire::Languages=none\n-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false\n'
  # apt's download user cannot read a private directory; signatures are checked all the same.
  printf -- '-oAPT::Sandbox::User=root\n'
}

# unpack_debian FOLDER PACKAGE…: makes FOLDER anew out of the files of these packages of this release, which are not installed.
unpack_debian() {
  local folder=$1 work package
  shift
  work=$(mktemp -d)
  # shellcheck disable=SC2064  # $work is wanted as it is now
  trap "rm -rf '$work'" EXIT
  # The download user: as above.
  download() { (cd "$work" && apt-get -qq -oAPT::Sandbox::User=root download "$@"); }
  download "$@" 2>/dev/null || { apt-get -qq update && download "$@"; }
  rm -rf "$folder"
  for package in "$work"/*.deb; do dpkg -x "$package" "$folder"; done
}
