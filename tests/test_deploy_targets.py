"""The Make targets of the wire contract: all there, explained, and doing what their line says."""

import http.server
import os
import re
import subprocess
import threading

import pytest
from support import ROOT

TARGETS = [
    *("ca4-plan", "ca4-apply", "ca4-destroy", "ca4-bootstrap-k3s", "ca4-platform-setup", "ca4-deploy-edge"),
    *("ca4-deploy-monitoring", "ca4-verify-preflight", "ca4-verify-kafka", "ca4-verify-db", "ca4-verify-e2e"),
    *("ca4-open-grafana", "ca4-clean", "ca4-nuke", "run-local-processor", "stop-local-processor"),
]


def make(*args, env=None):
    # Not the flags of the make that may run these tests.
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KUBECONFIG")}
    return subprocess.run(
        ["make", *args], cwd=ROOT, capture_output=True, text=True, env=clean | (env or {}), timeout=300, stdin=subprocess.DEVNULL
    )


def test_help_lists_every_target_with_what_it_needs():
    lines = dict(re.findall(r"^\s*(\S+)\s+(.+)$", make("help").stdout, re.MULTILINE))
    for target in TARGETS:
        assert len(lines[target]) > 20, target
        # Only cleaning up and ending need nothing.
        assert lines[target].startswith("[") or target in ("ca4-clean", "stop-local-processor"), target


def test_plan_and_destroy_go_where_aws_endpoint_url_says(applied):
    env = applied.env
    planned = make("ca4-plan", env=env)
    assert planned.returncode == 0, planned.stderr
    assert "ca4-network: as it should be" in planned.stdout
    refused = make("ca4-destroy", "ONLY=node-2", env=env)
    assert refused.returncode != 0
    assert "CONFIRM=ca4" in refused.stderr


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("ca4-verify-preflight", "build/release/ca4 verify preflight"),
        ("ca4-verify-kafka", "build/release/ca4 verify kafka"),
        ("ca4-verify-db", "kubectl --namespace app exec deployment/worker -- ca4 verify db"),
        ("ca4-verify-e2e", "build/release/ca4 verify workflow"),
        ("ca4-verify-e2e", "kubectl --namespace app exec deployment/worker -- ca4 verify db archive"),
    ],
)
def test_verify_targets_run_the_checks_of_ca4(target, command):
    assert command in [line.strip() for line in make("--dry-run", target).stdout.splitlines()]


@pytest.mark.parametrize("target", ["ca4-verify-db", "ca4-verify-e2e"])
def test_without_a_cluster_the_checks_in_it_say_what_comes_first(target, tmp_path):
    asked = make(target, env={"KUBECONFIG": str(tmp_path / "none.yaml")})
    assert asked.returncode != 0
    assert f"{target}: {tmp_path}/none.yaml is not there: run `make ca4-bootstrap-k3s` first" in asked.stderr


def test_checks_look_at_a_processor_that_was_started_by_the_same_make(tmp_path):
    """checks.mk comes to be while make runs: `make ca4-platform-setup ca4-verify-e2e` must find it all the same."""
    late = tmp_path / "late.mk"
    late.write_text(
        f"include {ROOT}/Makefile\nlate:\n\t@echo 'verify-kafka: export CA4_CONFIG ?= nowhere.toml' > {tmp_path}/checks.mk\n"
    )
    asked = make("-f", str(late), "late", "ca4-verify-kafka", f"MAKE=make -C {ROOT} --old-file=build", env={"CA4_LOCAL_DIR": str(tmp_path)})
    assert asked.returncode != 0
    assert "nowhere.toml" in asked.stderr


def test_bootstrap_without_outputs_says_what_comes_first(tmp_path):
    result = make("ca4-bootstrap-k3s", env={"CA4_STATE_DIR": str(tmp_path)})
    assert result.returncode != 0
    assert "make ca4-apply" in result.stderr


def test_clean_removes_what_was_written_here(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "outputs.env").write_text("ca4_vpc_id=vpc-1\n")
    kube = tmp_path / "kube"
    kube.mkdir()
    for name in ("kubeconfig.yaml", "kubeconfig.yaml.new", "config"):
        (kube / name).touch()
    result = subprocess.run(
        [ROOT / ".deps/venv/bin/python", ROOT / "deploy/aws/cloud.py", "clean"],
        env={"CA4_STATE_DIR": str(state), "CA4_KUBE_DIR": str(kube), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert not state.exists()
    assert [path.name for path in kube.iterdir()] == ["config"]


def test_targets_of_one_command_line_run_one_after_the_other(tmp_path):
    steps = tmp_path / "steps.mk"
    steps.write_text(f"include {ROOT}/Makefile\nfirst:\n\t@sleep 0.5; echo first\nsecond:\n\t@echo second\n")
    assert make("-f", str(steps), "-j2", "first", "second").stdout == "first\nsecond\n"


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_open_grafana_names_the_tunnels_end_once_something_answers_there():
    nothing = make("ca4-open-grafana", env={"CA4_GRAFANA_URL": "http://127.0.0.1:1", "DISPLAY": "", "WAYLAND_DISPLAY": ""})
    assert nothing.returncode != 0
    assert "Is the tunnel up" in nothing.stderr
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        opened = make("ca4-open-grafana", env={"CA4_GRAFANA_URL": url, "DISPLAY": "", "WAYLAND_DISPLAY": ""})
        server.shutdown()
    assert opened.stdout.strip() == url
