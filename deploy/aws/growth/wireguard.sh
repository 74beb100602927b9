#!/usr/bin/env bash
# WireGuard between this laptop and the bastion, once the stack grow-wireguard has opened its port. Private keys are made where they
# are used and stay there; only public ones travel, through Session Manager.
#
#   wireguard.sh up                      on the laptop: makes its key, sets the bastion up, writes .ca4/wireguard/ca4.conf
#   wireguard.sh serve KEY ADDRESS       on the bastion, as root (`up` runs it there): lets that laptop in; prints the bastion's key
#
# Each laptop has an address of its own: CA4_WIREGUARD_ADDRESS, 10.41.8.2 to 10.41.8.254. CA4_STATE_DIR is where ca4-apply wrote.
set -euo pipefail
umask 077

# The VPC of deploy/aws/stacks.py, and a network for the laptops that is neither in it nor K3s'.
vpc=10.40.0.0/16
tunnel=10.41.8
port=51820

die() { echo "wireguard: $*" >&2; exit 1; }

check_address() { # ADDRESS
  local last=${1##*.}
  [[ $1 == "$tunnel.$last" && $last =~ ^[1-9][0-9]{0,2}$ && $last -ge 2 && $last -le 254 ]] ||
    die "the laptop's address is '$1'; it may be $tunnel.2 to $tunnel.254 (CA4_WIREGUARD_ADDRESS)"
}

check_key() { # KEY: 32 bytes in base64
  [[ $1 =~ ^[A-Za-z0-9+/]{43}=$ ]] || die "'$1' is no WireGuard public key"
}

own_key() { # FOLDER: makes its key once, prints the public one
  mkdir -p "$1"
  [ -s "$1/private.key" ] || wg genkey >"$1/private.key"
  wg pubkey <"$1/private.key"
}

# What leaves the tunnel has the bastion's address, so security.yaml's groups decide; this only keeps laptops to the ports that the
# bastion's SSH forwards, and MSK's. Nothing comes back into the tunnel but answers: no machine of the VPC reaches a laptop.
rules() {
  cat <<RULES
table inet ca4_wireguard {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "ca4" ip daddr $vpc tcp dport { 22, 3000, 6443, 9092-9094, 9098 } accept
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "ca4" drop
  }
  chain leave {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr $tunnel.0/24 oifname != "ca4" masquerade
  }
}
RULES
}

bastion_config() { # FOLDER
  cat <<CONFIG
[Interface]
Address = $tunnel.1/24
ListenPort = $port
PrivateKey = $(cat "$1/private.key")
PostUp = sysctl -q -w net.ipv4.ip_forward=1; nft -f $1/ca4.nft
PostDown = nft delete table inet ca4_wireguard
CONFIG
  local peer
  for peer in "$1"/peers/*; do
    printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\n' "$(cat "$peer")" "${peer##*/}"
  done
}

serve() { # LAPTOP'S_KEY ADDRESS
  local folder=${CA4_WIREGUARD_DIR:-/etc/wireguard} key
  check_key "$1"
  check_address "$2"
  dnf -q -y install wireguard-tools nftables >&2
  key=$(own_key "$folder")
  mkdir -p "$folder/peers"
  # A laptop with a new key takes its old one's place.
  echo "$1" >"$folder/peers/$2"
  rules >"$folder/ca4.nft"
  bastion_config "$folder" >"$folder/ca4.conf.new"
  mv "$folder/ca4.conf.new" "$folder/ca4.conf"
  systemctl enable wg-quick@ca4 >&2
  systemctl restart wg-quick@ca4 >&2
  echo "$key"
}

laptop_config() { # FOLDER BASTION'S_KEY BASTION'S_ADDRESS ADDRESS
  cat <<CONFIG
[Interface]
Address = $4/32
PrivateKey = $(cat "$1/private.key")

[Peer]
PublicKey = $2
Endpoint = $3:$port
AllowedIPs = $vpc
# A router at home forgets a silent connection after half a minute.
PersistentKeepalive = 25
CONFIG
}

# Runs `serve` on the bastion through Session Manager and prints what it printed. The waiter gives up after 100 s.
on_bastion() { # REGION INSTANCE KEY ADDRESS
  local script command said
  script=$(gzip -9n <"$0" | base64 -w0)
  command=$(aws ssm send-command --region "$1" --instance-ids "$2" --document-name AWS-RunShellScript \
    --comment "CA4 WireGuard: $4" --query Command.CommandId --output text \
    --parameters "{\"commands\": [\"echo $script | base64 -d | gunzip > /run/ca4-wireguard.sh && bash /run/ca4-wireguard.sh serve $3 $4\"]}")
  if ! aws ssm wait command-executed --region "$1" --command-id "$command" --instance-id "$2"; then
    said=$(aws ssm get-command-invocation --region "$1" --command-id "$command" --instance-id "$2" \
      --query StandardErrorContent --output text)
    die "the bastion did not do it: $said"
  fi
  aws ssm get-command-invocation --region "$1" --command-id "$command" --instance-id "$2" --query StandardOutputContent --output text
}

up() {
  local state=${CA4_STATE_DIR:-.ca4} address=${CA4_WIREGUARD_ADDRESS:-$tunnel.2} own theirs
  check_address "$address"
  command -v wg >/dev/null || die "wg is not here; Debian: apt install wireguard-tools, macOS: brew install wireguard-tools"
  command -v aws >/dev/null || die "aws is not here; the AWS CLI carries the public keys to the bastion and back"
  [ -f "$state/outputs.env" ] || die "$state/outputs.env is not there: run \`make ca4-apply\` first"
  # shellcheck source=/dev/null
  . "$state/outputs.env"
  # shellcheck disable=SC2154  # outputs.env's
  local region=$ca4_region instance=$bastion_instance_id endpoint=$bastion_public_ip nodes=$edge_node_private_ips
  own=$(own_key "$state/wireguard")
  theirs=$(on_bastion "$region" "$instance" "$own" "$address" | tail -n 1)
  check_key "$theirs"
  laptop_config "$state/wireguard" "$theirs" "$endpoint" "$address" >"$state/wireguard/ca4.conf"
  echo "Written: $state/wireguard/ca4.conf. Now: sudo wg-quick up $(realpath "$state")/wireguard/ca4.conf"
  echo "Then without ca4 tunnel: KAFKA_BOOTSTRAP=${nodes%%,*}:9092 CA4_KAFKA_BROKER_MAP=localhost:9092=${nodes%%,*}:9092; Grafana: http://${nodes%%,*}:3000"
}

case "${1:-}" in
  up) [ $# -eq 1 ] || die "up takes nothing"; up ;;
  serve) [ $# -eq 3 ] || die "serve takes KEY ADDRESS"; serve "$2" "$3" ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac
