"""`ca4 tunnel --via ssm` with the real AWS CLI. Systems Manager itself cannot be had here: a small server on loopback
answers StartSession, and in place of AWS's session-manager-plugin stands a program that forwards by itself."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from server_process import ServerProcess, free_port
from support import ROOT, Program, eventually, run

AWS_FOLDER = ROOT / ".deps/venv/bin"
TARGET = "i-0123456789abcdef0"

# Started by aws as: session-manager-plugin VARIABLE REGION StartSession PROFILE PARAMETERS ENDPOINT.
PLUGIN = """#!/usr/bin/python3
import json, os, select, socket, sys, threading
if sys.argv[1:] == ["--version"]:
    print("1.3.0.0")
    sys.exit()
json.loads(os.environ[sys.argv[1]])["StreamUrl"]
parameters = json.loads(sys.argv[5])["Parameters"]
far = (parameters["host"][0], int(parameters["portNumber"][0]))
door = socket.create_server(("127.0.0.1", int(parameters["localPortNumber"][0])))
print(f"Port {door.getsockname()[1]} opened for sessionId x.\\nWaiting for connections...", flush=True)
def carry(here):
    with here:
        try:
            there = socket.create_connection(far)
        except OSError:
            return
        with there:
            while True:
                for end in select.select([here, there], [], [])[0]:
                    bytes = end.recv(65536)
                    if not bytes:
                        return
                    (there if end is here else here).sendall(bytes)
while True:
    threading.Thread(target=carry, args=(door.accept()[0],), daemon=True).start()
"""


class SystemsManager:
    """Answers the requests that the AWS CLI sends, and keeps them."""

    def __init__(self):
        self.requests = []
        self.refusal = None  # (status, code, message) instead of a session
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.headers["X-Amz-Target"], body))
                answer = {"SessionId": "s-1", "TokenValue": "t", "StreamUrl": "wss://127.0.0.1:1/"}
                status = 200
                if outer.refusal:
                    status, code, message = outer.refusal
                    answer = {"__type": code, "message": message}
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def aws():
    made = SystemsManager()
    yield made
    made.close()


@pytest.fixture
def far_side(tmp_path):
    """Two services that the tunnel leads to."""
    servers = []
    for name in ("one", "two"):
        (tmp_path / name / "api").mkdir(parents=True)
        (tmp_path / name / "api/health").write_text(name)
        port = free_port()
        argv = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", tmp_path / name, port]
        server = ServerProcess(name, argv, tmp_path / f"{name}.log", ready=lambda port=port: ServerProcess.answers(port))
        server.port = port
        servers.append(server.start())
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
def tunnel(aws, programs, tmp_path):
    plugin = tmp_path / "bin/session-manager-plugin"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN)
    plugin.chmod(0o755)
    home = {
        "PATH": f"{plugin.parent}:{AWS_FOLDER}:/usr/bin:/bin",
        "AWS_ENDPOINT_URL": aws.url(),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Never a question to an address outside.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def begin(forwards, *flags, env=None):
        quick = ["--check-interval-ms", "200", "--check-timeout-ms", "2000", "--tunnel-backoff-ms-max", "300"]
        quick += ["--connect-timeout-s", "60"]  # aws takes seconds to start on a busy machine
        where = ["--data-dir", tmp_path / "data", "--via", "ssm", "--ssm-target", TARGET, "--ssm-region", "eu-central-1"]
        assert (AWS_FOLDER / "aws").is_file(), "the AWS CLI is not there: run scripts/setup.sh test"
        program = Program("tunnel", *where, "--forwards", forwards, *quick, *flags, env=home | (env or {}))
        programs.append(program)
        return program

    begin.plugin = plugin
    begin.data_dir = tmp_path / "data"
    return begin


def status(data_dir):
    shown = run("tunnel", "--status", "--json", "--data-dir", data_dir)
    return json.loads(shown.stdout) if shown.stdout else {"healthy": False}


def plugins(folder):
    """The pids of the plugins that run out of `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if f"{folder}/session-manager-plugin" in words:
            found.append(int(entry.parent.name))
    return found


def forwards_to(servers):
    ports = [free_port() for _ in servers]
    return ports, ",".join(f"{p}:127.0.0.1:{s.port}=http/api/health" for p, s in zip(ports, servers))


def test_each_forward_is_a_session_and_all_of_them_end_with_it(aws, tunnel, far_side):
    ports, forwards = forwards_to(far_side)
    kept_up = tunnel(forwards)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    assert sorted(aws.requests, key=str) == sorted(
        (
            (
                "AmazonSSM.StartSession",
                {
                    "Target": TARGET,
                    "DocumentName": "AWS-StartPortForwardingSessionToRemoteHost",
                    "Parameters": {
                        "host": ["127.0.0.1"],
                        "portNumber": [str(server.port)],
                        "localPortNumber": [str(port)],
                    },
                },
            )
            for port, server in zip(ports, far_side)
        ),
        key=str,
    )
    assert len(plugins(tunnel.plugin.parent)) == 2
    kept_up.stop()
    # One that was killed is to be seen until it is gone.
    eventually(lambda: not plugins(tunnel.plugin.parent), "the plugins end with it")


def test_a_session_that_ends_is_started_again_alone(aws, tunnel, far_side):
    _, forwards = forwards_to(far_side)
    kept_up = tunnel(forwards)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    os.kill(plugins(tunnel.plugin.parent)[0], signal.SIGKILL)
    eventually(lambda: len(aws.requests) == 3, kept_up.said)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    assert sorted(link["restarts"] for link in status(tunnel.data_dir)["links"]) == [0, 1]


def test_a_plugin_that_hangs_is_replaced(aws, tunnel, far_side):
    _, forwards = forwards_to(far_side[:1])
    kept_up = tunnel(forwards)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    (hanging,) = plugins(tunnel.plugin.parent)
    os.kill(hanging, signal.SIGSTOP)
    eventually(lambda: len(aws.requests) == 2, kept_up.said)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    assert hanging not in plugins(tunnel.plugin.parent)


def test_kill_9_leaves_neither_aws_nor_plugin_behind(tunnel, far_side):
    _, forwards = forwards_to(far_side[:1])
    kept_up = tunnel(forwards)
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    assert plugins(tunnel.plugin.parent)
    kept_up.kill()
    eventually(lambda: not plugins(tunnel.plugin.parent), "the plugin ends with us")


def refused(program):
    assert program.wait() == 1, program.said()
    assert "what to do: " in program.said()
    return program.said()


def test_refusals_of_aws_are_said_once_with_what_to_do(aws, tunnel, far_side):
    _, forwards = forwards_to(far_side[:1])
    aws.refusal = (400, "TargetNotConnected", f"{TARGET} is not connected.")
    assert f"{TARGET} is not connected to Systems Manager" in refused(tunnel(forwards))
    aws.refusal = (400, "AccessDeniedException", "User: x is not authorized to perform: ssm:StartSession")
    said = refused(tunnel(forwards))
    assert "AWS does not allow the session" in said
    assert "is not authorized to perform: ssm:StartSession" in said
    assert "aws has no credentials" in refused(
        tunnel(forwards, env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    )
    assert "The config profile (nobody) could not be found" in refused(tunnel(forwards, "--ssm-profile", "nobody"))
    aws.refusal = None
    tunnel.plugin.unlink()
    assert "aws does not find its session-manager-plugin" in refused(tunnel(forwards))


def test_an_aws_that_is_out_of_reach_is_waited_for(aws, tunnel, far_side):
    _, forwards = forwards_to(far_side[:1])
    aws.refusal = (500, "InternalServerError", "try later")
    kept_up = tunnel(forwards)
    eventually(lambda: "InternalServerError" in kept_up.said(), kept_up.said)
    aws.refusal = None
    eventually(lambda: status(tunnel.data_dir)["healthy"], kept_up.said)
    kept_up.stop()


def test_without_aws_it_says_what_to_install(tunnel, tmp_path):
    assert "no program aws in PATH" in refused(tunnel("1:a:1", env={"PATH": str(tmp_path)}))


def test_without_an_instance_it_is_a_configuration_error(ca4, tmp_path):
    nobody = ca4("tunnel", "--data-dir", tmp_path, "--via", "ssm")
    assert nobody.returncode == 78
    assert "Set tunnel.ssm_target" in nobody.stderr
