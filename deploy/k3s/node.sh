#!/usr/bin/env bash
# K3s on one node: run by cloud-init at the first boot, and again by `make ca4-bootstrap-k3s`. What is there already stays; what
# differs is brought in line.
#
#   ca4-node install VERSION SHA256 server|agent [SERVER_ADDRESS]   binary (checked), configuration, unit
#   ca4-node boot                                                   start, where nothing is missing: a server, an agent with a token
#   ca4-node join < TOKEN                                           keep the server's token and start
#   ca4-node token | kubeconfig                                     what the server hands out
set -euo pipefail

binary=/usr/local/bin/k3s
config=/etc/rancher/k3s/config.yaml
token=/etc/rancher/k3s/ca4-token
unit=/etc/systemd/system/k3s.service
changed=/run/ca4-node-changed
# Another place to fetch the release from, for a network without a way out.
releases=${K3S_RELEASES:-https://github.com/k3s-io/k3s/releases/download}

die() { echo "ca4-node: $*" >&2; exit 1; }

# Leaves the file alone when it has this content; otherwise replaces it in one step and notes that K3s must be restarted.
write() { # FILE MODE < content
  local new
  mkdir -p "$(dirname "$1")"
  new=$(mktemp "$1.XXXXXX")
  cat > "$new"
  chmod "$2" "$new"
  if cmp -s "$new" "$1"; then rm "$new"; return; fi
  mv "$new" "$1"
  touch "$changed"
}

has_checksum() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

install_binary() { # VERSION SHA256
  has_checksum "$binary" "$2" && return
  local new=$binary.new
  trap 'rm -f "$binary.new"' EXIT
  curl --fail --silent --show-error --location --connect-timeout 20 --max-time 600 --retry 5 --retry-delay 5 \
    --output "$new" "$releases/${1/+/%2B}/k3s" || die "K3s $1 can't be fetched from $releases"
  has_checksum "$new" "$2" ||
    die "K3s $1 has checksum $(sha256sum "$new" | cut -d' ' -f1), not $2: nothing is installed. Check K3S_SHA256 against the release's sha256sum-amd64.txt"
  chmod 0755 "$new"
  mv "$new" "$binary"
  touch "$changed"
}

write_config() { # ROLE SERVER_ADDRESS
  if [ "$1" = server ]; then
    # The names that kubectl uses through a tunnel; 127.0.0.1 is in the certificate anyway.
    write "$config" 0600 <<END
write-kubeconfig-mode: "0600"
secrets-encryption: true
tls-san: [k3s-api, localhost]
END
  else
    [ -n "$2" ] || die "an agent needs the server's address"
    write "$config" 0600 <<END
server: https://$2:6443
token-file: $token
END
  fi
}

# As the K3s documentation has it for a binary that is installed by hand.
write_unit() { # ROLE
  write "$unit" 0644 <<END
[Unit]
Description=K3s $1
Documentation=https://docs.k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=$binary $1
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
# Its certificates last a year and are renewed at a start within 90 days of their end. Pods go on meanwhile.
RuntimeMaxSec=30d

[Install]
WantedBy=multi-user.target
END
}

install() { # VERSION SHA256 ROLE [SERVER_ADDRESS]
  [ $# -ge 3 ] || die "usage: ca4-node install VERSION SHA256 server|agent [SERVER_ADDRESS]"
  case "$3" in server | agent) ;; *) die "role '$3' is neither server nor agent" ;; esac
  install_binary "$1" "$2"
  write_config "$3" "${4:-}"
  write_unit "$3"
  ln -sf k3s /usr/local/bin/kubectl
}

start() {
  systemctl daemon-reload
  systemctl enable --quiet k3s
  if [ -e "$changed" ]; then systemctl restart k3s; else systemctl start k3s; fi
  rm -f "$changed"
}

case "${1:-}" in
  install) shift; install "$@" ;;
  boot)
    # An agent's token is not in the cloud's user data: `make ca4-bootstrap-k3s` brings it.
    if grep -q '^server:' "$config" && [ ! -s "$token" ]; then echo "ca4-node: waiting for a token"; exit 0; fi
    start
    ;;
  join)
    secret=$(cat)
    [ -n "$secret" ] || die "the token on standard input is empty"
    write "$token" 0600 <<<"$secret"
    start
    ;;
  token) cat /var/lib/rancher/k3s/server/node-token ;;
  kubeconfig) cat /etc/rancher/k3s/k3s.yaml ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
