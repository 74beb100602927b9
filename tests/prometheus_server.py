"""A real Prometheus with the cluster's configuration and rules, and whom it asks besides CA4."""

import http.server
import json
import re
import threading
import time

import requests
import yaml
from server_process import ServerProcess, free_port
from support import ROOT

MONITORING = ROOT / "deploy/monitoring"
DEBIAN = ROOT / ".deps/prometheus/usr/bin"


class Prometheus(ServerProcess):
    """The cluster's configuration and rules, with the pods' labels from a file, and every time a second or so.

    `alertmanager` is the port of one that is told of alerts; without it nobody is.
    """

    # Waits of minutes are shortened, and thresholds that are a time themselves.
    HURRIED = (
        (r"for: \w+", "for: 1s"),
        (r"ca4_outbox_age_seconds > 300", "ca4_outbox_age_seconds > 3"),
        (r"p99_5m > 60", "p99_5m > 5"),
    )

    def __init__(self, folder, targets, alertmanager=None):
        folder.mkdir()
        for path in (MONITORING / "rules").glob("*.yaml"):
            text = path.read_text()
            for pattern, hurried in self.HURRIED:
                text = re.sub(pattern, hurried, text)
            (folder / path.name).write_text(text)
        (folder / "targets.json").write_text(json.dumps(targets))
        config = yaml.safe_load((MONITORING / "config/prometheus.yaml").read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(folder / "*.yaml")]
        told = config["alerting"]["alertmanagers"][0]["static_configs"][0]
        told["targets"] = [f"127.0.0.1:{alertmanager}"] if alertmanager else []
        port = free_port()
        for scrape in config["scrape_configs"]:
            if scrape.pop("kubernetes_sd_configs", None):
                scrape["file_sd_configs"] = [{"files": [str(folder / "targets.json")]}]
            else:
                scrape["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{port}"
        argv = [DEBIAN / "prometheus", f"--config.file={folder / 'config.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        argv += [f"--web.listen-address=127.0.0.1:{port}"]
        super().__init__("prometheus", argv, folder / "prometheus.log", ready=lambda: self.answers(port) and self.ready())

    def ready(self):
        return requests.get(f"{self.url}/-/ready", timeout=5).status_code == 200

    def get(self, path, **params):
        answer = requests.get(f"{self.url}/api/v1/{path}", params=params, timeout=30).json()
        assert answer["status"] == "success", (params, answer)
        return answer["data"]

    def series(self, query, since):
        """What a panel would draw from then until now."""
        return self.get("query_range", query=query, start=since, end=time.time(), step="1")["result"]

    def fires(self, alert):
        return self.get("query", query=f'ALERTS{{alertname="{alert}", alertstate="firing"}}')["result"]

    def fired(self, since):
        return {s["metric"]["alertname"] for s in self.series('ALERTS{alertstate="firing"}', since)}


def pod(name, port, node="node-1", controller="ReplicaSet", namespace="app", number=0):
    """What Kubernetes' discovery says of a pod; the pod's address stands for the port's, as the relabelling puts them together."""
    prefix = "__meta_kubernetes_pod_"
    labels = {
        f"{prefix}annotation_prometheus_io_scrape": "true",
        f"{prefix}annotation_prometheus_io_port": str(port),
        f"{prefix}ip": "127.0.0.1",
        f"{prefix}phase": "Running",
        f"{prefix}label_app_kubernetes_io_name": name,
        f"{prefix}name": f"{name}-{number}",
        f"{prefix}node_name": node,
        f"{prefix}controller_kind": controller,
        "__meta_kubernetes_namespace": namespace,
    }
    # One of its other ports.
    return {"targets": ["127.0.0.1:1"], "labels": labels}


class PlayedExporter:
    """Stands in for an exporter that can't be had here: whoever asks gets `text`, which may be changed at any time."""

    def __init__(self, text):
        self.text = text
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(f"{exporter.text}\n".encode())

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
