#!/usr/bin/env bash
# Says where Grafana is, and opens it where there is a desktop. It is never public: the way is the tunnel.
set -euo pipefail

url=${CA4_GRAFANA_URL:-http://127.0.0.1:3000}
if ! curl --silent --output /dev/null --max-time 5 "$url/api/health"; then
  echo "open-grafana: nothing answers at $url. Is the tunnel up (make run-local-processor), and Grafana deployed (make ca4-deploy-monitoring)?" >&2
  exit 1
fi
echo "$url"
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null; then xdg-open "$url"; fi
