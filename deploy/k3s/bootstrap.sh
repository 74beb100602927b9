#!/usr/bin/env bash
# From machines to a cluster: over SSH through the bastion, K3s on every node of .ca4/outputs.env, the first as server; then the
# kubeconfig to .kube/kubeconfig.yaml, pointing at the tunnel's end on this machine. Safe to run again, after any interruption.
set -euo pipefail
cd "$(dirname "$0")/../.."

state=${CA4_STATE_DIR:-.ca4}
kubeconfig=${CA4_KUBE_DIR:-.kube}/kubeconfig.yaml
# How long a new machine may take to boot, fetch K3s and become ready.
patience_s=${CA4_BOOTSTRAP_PATIENCE_S:-900}

die() { echo "bootstrap: $*" >&2; exit 1; }
say() { echo "bootstrap: $*" >&2; }

[ -f "$state/outputs.env" ] || die "$state/outputs.env is not there: run \`make ca4-apply\` first"
# shellcheck source=/dev/null
. "$state/outputs.env"
# shellcheck source=/dev/null
. deploy/k3s/version.env
IFS=, read -ra nodes <<<"${edge_node_private_ips:?}"

ssh_() { ssh -F "$state/ssh_config" -o BatchMode=yes "$@"; }
on_node() { ssh_ "ca4-node-$1" "${@:2}"; }

wait_for_node() { # NUMBER
  local until=$((SECONDS + patience_s))
  until on_node "$1" true 2>"$state/ssh.log"; do
    [ $SECONDS -lt $until ] || die "node $1 does not answer through the bastion after $patience_s s: $(tail -1 "$state/ssh.log")"
    sleep 3
  done
  # The first boot's own work first, where the machine has cloud-init; its failure is not the end: the same steps follow here.
  on_node "$1" "! command -v cloud-init >/dev/null || sudo timeout $patience_s cloud-init status --wait >/dev/null" ||
    say "cloud-init of node $1 reports an error (sudo cloud-init status --long); going on"
}

install_on() { # NUMBER ROLE [SERVER_ADDRESS]
  say "node $1 (${nodes[$1 - 1]}): K3s $K3S_VERSION, $2"
  on_node "$1" "sudo install -m 0755 /dev/stdin /usr/local/sbin/ca4-node" < deploy/k3s/node.sh
  # shellcheck disable=SC2029  # these are meant to be expanded here
  on_node "$1" "sudo env K3S_RELEASES='${K3S_RELEASES:-}' /usr/local/sbin/ca4-node install '$K3S_VERSION' '$K3S_SHA256' $2 ${3:-}"
}

# Not a file in between that others could read, and the old one stays until the new one is whole.
fetch_kubeconfig() {
  local new=$kubeconfig.new
  mkdir -p "$(dirname "$kubeconfig")"
  (umask 077 && on_node 1 "sudo /usr/local/sbin/ca4-node kubeconfig" > "$new") || die "the server has no kubeconfig yet: is K3s running there? (journalctl -u k3s)"
  grep -q 'server: https://127.0.0.1:6443' "$new" || die "$new is no kubeconfig of K3s"
  sed -i 's#server: https://127.0.0.1:6443#server: https://127.0.0.1:16443#' "$new"
  mv "$new" "$kubeconfig"
  say "wrote $kubeconfig; it needs the tunnel: make run-local-processor"
}

wait_until_ready() {
  local until=$((SECONDS + patience_s)) ready
  while true; do
    # A server that only just started refuses the question: no node is ready then.
    ready=$({ on_node 1 "sudo /usr/local/bin/k3s kubectl get nodes --no-headers 2>/dev/null" || true; } | awk '$2 == "Ready"' | wc -l)
    [ "$ready" -ge "${#nodes[@]}" ] && break
    [ $SECONDS -lt $until ] || die "$ready of ${#nodes[@]} nodes are ready after $patience_s s (on the server: sudo /usr/local/bin/k3s kubectl get nodes)"
    sleep 3
  done
  say "all ${#nodes[@]} nodes are ready"
}

main() {
  local number token
  for number in $(seq "${#nodes[@]}"); do wait_for_node "$number"; done
  install_on 1 server
  on_node 1 "sudo /usr/local/sbin/ca4-node boot"
  token=$(on_node 1 "sudo /usr/local/sbin/ca4-node token") || die "the server has no token yet: is K3s running there? (journalctl -u k3s)"
  for number in $(seq 2 "${#nodes[@]}"); do
    install_on "$number" agent "${nodes[0]}"
    on_node "$number" "sudo /usr/local/sbin/ca4-node join" <<<"$token"
  done
  fetch_kubeconfig
  wait_until_ready
}

main "$@"
