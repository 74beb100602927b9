"""`ca4 verify` on a real pipeline: all passes, and each thing that can be wrong is named, with what to do."""

import http.server
import json
import re
import signal
import subprocess
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests
from server_process import free_port
from support import BINARY, ENVIRONMENT, ROOT, documents, event, eventually

SUITES = ["preflight", "kafka", "db", "archive", "workflow"]


@pytest.fixture
def verify(ca4):
    """verify(server, "db", *flags) returns (exit code, {check: result}); a check is "suite/name"."""

    def check(server, *arguments, **keywords):
        where = ["--data-dir", server.data_dir, "--endpoint", server.url]
        shown = ca4("verify", *arguments, *where, "--json", **keywords)
        assert shown.stdout, shown.stderr
        checks = json.loads(shown.stdout)["checks"]
        return shown.returncode, {f"{c['suite']}/{c['name']}": c for c in checks}

    return check


def outcomes(checks):
    return {name: check["outcome"] for name, check in checks.items()}


def test_a_pipeline_that_works_passes_everything_and_keeps_no_marker(up, verify):
    server = up("--archive-linger-ms", "200")
    kept = server.accept(event("kept"))["metadata_id"]
    server.when_stored([kept])
    # Not in one archive object with the markers.
    eventually(lambda: list(server.data_dir.glob("archive/**/*.ndjson.zst")), "the event is archived")
    before = sorted(server.data_dir.glob("archive/**/*.npy"))
    code, checks = verify(server, *SUITES, "--archive-linger-ms", "200")
    assert "fail" not in outcomes(checks).values(), checks
    assert code == 0
    assert {name for name, outcome in outcomes(checks).items() if outcome == "skip"} == {
        "kafka/brokers",
        "kafka/write-and-read",
    }
    hops = ["log-opens", "send", "log", "database", "archive", "clean-archive", "clean-database"]
    assert [name for name in checks if name.startswith("workflow/")] == [f"workflow/{hop}" for hop in hops]
    for hop in ("send", "log", "database", "archive"):
        assert re.search(r"\d+ ms after it was sent$", checks[f"workflow/{hop}"]["detail"])
    assert checks["workflow/clean-archive"]["detail"] == "removed"
    assert [document["metadata_id"] for document in documents(server.data_dir)] == ["kept"]
    assert sorted(server.data_dir.glob("archive/**/*.npy")) == before


def test_the_lines_for_people(up, ca4):
    server = up()
    shown = ca4("verify", "db", "--data-dir", server.data_dir)
    assert shown.returncode == 0, shown.stdout
    lines = shown.stdout.splitlines()
    assert lines[0] == "db"
    assert re.fullmatch(r"  ok   answers +\d+ ms  it answers", lines[1]), lines[1]
    assert re.fullmatch(r"0 of 6 checks failed, [\d.]+ m?s", lines[-1])
    broken = ca4("verify", "preflight", "--data-dir", server.data_dir, "--endpoint", f"http://127.0.0.1:{free_port()}")
    assert broken.returncode == 1
    assert re.search(r"\n  FAIL processor +\d+ ms  http://127.0.0.1:\d+: .+\n +what to do: start the processor", broken.stdout)
    assert "1 of " in broken.stdout.splitlines()[-1]


def test_without_a_worker_the_workflow_stops_at_the_database(serve, verify, tmp_path, start):
    server = serve("serve", tmp_path / "data")
    code, checks = verify(server, "workflow", "--timeout-s", "5")
    assert code == 1
    assert outcomes(checks)["workflow/log"] == "pass"
    failed = checks["workflow/database"]
    assert failed["outcome"] == "fail"
    assert "not stored after 5 s: the worker (ca4-worker) is at offset 0, the event at 0" in failed["detail"]
    assert "start the worker" in failed["fix"]
    assert "workflow/archive" not in checks
    # With a worker it passes; the marker of before is an ordinary event, and old ones are swept later.
    start("work", "--data-dir", server.data_dir, "--archive-linger-ms", "100")
    code, checks = verify(server, "workflow", "--archive-linger-ms", "100")
    assert code == 0, checks


def test_a_stopped_worker_is_told_by_its_offset(up, serve, verify, start, tmp_path):
    server = serve("serve", tmp_path / "data", "--no-archive")
    worker = start("work", "--data-dir", server.data_dir, "--no-archive")
    server.accept(event("first"))
    # Idle, so that it is not stopped in the middle of a transaction.
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "the worker is done")
    worker.signal(signal.SIGSTOP)
    code, checks = verify(server, "workflow", "--timeout-s", "5", "--no-archive")
    assert code == 1
    assert "not stored after 5 s: the worker (ca4-worker) is at offset 1, the event at 1" in checks["workflow/database"]["detail"]
    worker.signal(signal.SIGCONT)
    code, checks = verify(server, "workflow", "--no-archive")
    assert (code, outcomes(checks)["workflow/archive"]) == (0, "skip")


def test_a_marker_that_shares_its_archive_object_leaves_it_alone(up, verify):
    server = up("--archive-linger-ms", "3000")
    # Until the archiver has what comes before, nothing after it shares an object with the marker.
    sender = subprocess.Popen(
        [BINARY, "verify", "workflow", "--data-dir", server.data_dir, "--endpoint", server.url]
        + ["--archive-linger-ms", "3000", "--json"],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    eventually(lambda: "ca4-verify-" in server.get("/api/documents").text, "the marker is stored")
    server.accept(event("neighbour"))
    printed, _ = sender.communicate(timeout=120)
    checks = {check["name"]: check for check in json.loads(printed)["checks"]}
    assert sender.returncode == 0, checks
    assert "shares an object with other events" in checks["clean-archive"]["detail"]
    (rows,) = server.data_dir.glob("archive/**/*.ndjson.zst")
    assert rows.is_file()
    assert [document["metadata_id"] for document in documents(server.data_dir)] == ["neighbour"]


def test_until_ends_at_a_hop(up, verify):
    server = up()
    code, checks = verify(server, "workflow", "--until", "log")
    assert (code, list(checks)) == (0, ["workflow/log-opens", "workflow/send", "workflow/log"])
    code, checks = verify(server, "workflow", "--until", "database")
    assert code == 0
    assert list(checks)[-2:] == ["workflow/database", "workflow/clean-database"]


def test_a_processor_of_another_log_is_found_out(up, verify, tmp_path):
    server, other = up(), up(data_dir=tmp_path / "other")
    other.url = server.url
    code, checks = verify(other, "workflow", "--timeout-s", "5")
    assert code == 1
    assert "accepted the event, but it is not in this log" in checks["workflow/log"]["detail"]
    assert "is it this processor's log" in checks["workflow/log"]["fix"]


def test_tokens(up, verify, tmp_path):
    (tmp_path / "tokens").write_text("right-token-0123456789\n")
    (tmp_path / "wrong").write_text("wrong-token-0123456789\n")
    server = up("--token-file", tmp_path / "tokens")
    for suite, check in (("preflight", "preflight/token"), ("workflow", "workflow/send")):
        code, checks = verify(server, suite)
        assert (code, outcomes(checks)[check]) == (1, "fail")
        assert "give it a token" in checks[check]["fix"]
        code, checks = verify(server, suite, "--token-file", tmp_path / "wrong")
        assert (code, outcomes(checks)[check]) == (1, "fail")
        assert "not one of the processor's" in checks[check]["fix"]
    code, checks = verify(server, "preflight", "--token-file", tmp_path / "tokens")
    assert code == 0, checks
    assert checks["preflight/token"]["detail"] == "the token may write"
    code, checks = verify(server, "preflight", "--token-file", tmp_path / "nothing")
    assert (code, outcomes(checks)["preflight/token-file"]) == (1, "fail")


def test_no_processor(up, verify):
    server = up()
    server.stop()
    code, checks = verify(server, "preflight")
    assert code == 1
    assert "start the processor" in checks["preflight/processor"]["fix"]
    assert "preflight/token" not in checks
    assert outcomes(checks)["preflight/database"] == "pass", "what is there is still looked at"


class ForwardProxy(http.server.BaseHTTPRequestHandler):
    """Takes requests for any name to the server that its own server is told of."""

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        answer = requests.request(self.command, self.server.target + path, data=body, headers={"Content-Type": "application/json"})
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = forward

    def log_message(self, *_):
        pass


def test_a_proxy_of_the_environment_is_used_as_by_the_producer(up, verify):
    server = up()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ForwardProxy) as proxy:
        proxy.target = server.url
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        environment = {"http_proxy": "http://127.0.0.1:{}".format(proxy.server_port)}
        # This machine's own address needs none.
        code, checks = verify(server, "preflight", env={"http_proxy": "http://127.0.0.1:1"})
        assert code == 0, checks
        server.url = "http://processor.invalid:8000"
        code, checks = verify(server, "preflight", "workflow", "--until", "log", env=environment)
        proxy.shutdown()
    assert code == 0, checks


def test_something_else_than_a_processor(up, verify, tmp_path):
    server = up()
    folder = tmp_path / "web"
    folder.mkdir()
    port = free_port()
    web = subprocess.Popen(
        ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        server.url, real = f"http://127.0.0.1:{port}", server.url
        eventually(lambda: "answers 404" in verify(server, "preflight")[1]["preflight/processor"]["detail"], "it answers")
        server.url = real
    finally:
        web.kill()
        web.wait()


def test_a_processor_that_hangs_is_given_up_in_time(up, verify):
    server = up()
    server.signal(signal.SIGSTOP)
    began = time.monotonic()
    code, checks = verify(server, "workflow", "--timeout-s", "1")
    assert time.monotonic() - began < 30
    server.signal(signal.SIGCONT)
    assert code == 1
    assert checks["workflow/send"]["outcome"] == "fail"
    assert "stuck" in checks["workflow/send"]["fix"]


def test_nothing_was_ever_started(ca4, tmp_path):
    where = ["--data-dir", tmp_path / "data", "--endpoint", f"http://127.0.0.1:{free_port()}"]
    shown = ca4("verify", "db", *where)
    assert shown.returncode == 1
    assert "no document store here" in shown.stdout
    assert "start `ca4 up`" in shown.stdout
    assert not list((tmp_path / "data").glob("store/*")), "looking makes nothing"
    shown = ca4("verify", "preflight", *where)
    assert shown.returncode == 1
    assert "preflight" in shown.stdout


def test_a_wrong_configuration_is_the_first_thing_said(ca4, tmp_path):
    file = tmp_path / "ca4.toml"
    file.write_text("[archive]\nlinger_ms = -1\n")
    shown = ca4("verify", "preflight", "--config", file, "--data-dir", tmp_path / "data")
    assert shown.returncode == 1
    assert "FAIL configuration" in shown.stdout
    assert "linger_ms" in shown.stdout
    assert "data-dir" not in shown.stdout
    other = ca4("verify", "db", "--config", file, "--data-dir", tmp_path / "data")
    assert other.returncode == 78


def test_a_data_directory_that_is_a_file(up, ca4, tmp_path):
    (tmp_path / "file").write_text("x")
    shown = ca4("verify", "preflight", "--data-dir", tmp_path / "file")
    assert shown.returncode == 1
    assert re.search(r"FAIL data-dir +\d+ ms  .*/file", shown.stdout)


def test_forwards_of_a_tunnel_are_looked_through(up, verify):
    server = up()
    host, port = server.address
    here = f"{port}:processor:8000=http/health,{free_port()}:kafka:9092"
    code, checks = verify(server, "preflight", "--bastion", "bastion", "--forwards", here)
    assert code == 1
    assert outcomes(checks)["preflight/tunnel processor:8000"] == "pass"
    assert checks["preflight/tunnel kafka:9092"]["outcome"] == "fail"
    assert "`ca4 tunnel` keeps it up" in checks["preflight/tunnel kafka:9092"]["fix"]


def test_suites_are_named(ca4):
    assert ca4("verify").returncode == 2
    assert ca4("verify", "everything").returncode == 2


def test_the_make_targets_are_there_and_listed():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("verify-preflight", "verify-kafka", "verify-db", "verify-workflow"):
        assert target in listed
        planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f"build/release/ca4 verify {target.removeprefix('verify-')}" in planned


@pytest.mark.parametrize("suite", ["preflight", "kafka", "workflow"])
def test_a_wrong_data_directory_is_told_without_a_word_of_brokers(ca4, tmp_path, suite):
    result = ca4("verify", suite, "--data-dir", tmp_path / "mistyped", "--endpoint", "http://127.0.0.1:1")
    assert result.returncode == 1
    assert "what to do: name the data directory that `ca4 up` or `ca4 serve` runs on (--data-dir)" in result.stdout
    assert "brokers run" not in result.stdout and "verify kafka" not in result.stdout
