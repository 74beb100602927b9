"""Who may do what: tokens kept as hashes, scopes, rates, guessing, the audit lines; what a process shows of its secrets."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from kafka_records import records
from server_process import free_port
from support import MODEL, PATIENCE_S, PHOTOS, ROOT, assert_problem, event, eventually, run
from wire import Wire, request

NDJSON = {"Content-Type": "application/x-ndjson"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def new_token(file, name, scope, *flags):
    made = run("token", "new", "--token-file", file, "--name", name, "--scope", scope, *flags)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert re.fullmatch(r"ca4_[0-9a-f]{64}", token)
    assert token not in made.stderr
    return token


@pytest.fixture
def token_file(tmp_path):
    return tmp_path / "tokens"


def test_a_token_is_shown_once_and_kept_as_its_hash(token_file, up):
    token = new_token(token_file, "colab", "write")
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert re.fullmatch(r"colab write sha256:[0-9a-f]{64}\n", token_file.read_text())
    server = up("--token-file", token_file)
    assert server.post(event("a"), headers=bearer(token)).status_code == 200
    # The hash, which somebody may have read, opens nothing.
    for stolen in (token_file.read_text().split()[-1], token_file.read_text().split(":")[-1].strip()):
        assert server.post(event("b"), headers=bearer(stolen)).status_code == 401

    second = new_token(token_file, "dash", "read")
    assert server.get("/api/documents", headers=bearer(second)).status_code == 401
    server.signal(signal.SIGHUP)
    eventually(lambda: server.get("/api/documents", headers=bearer(second)).status_code == 200, "it is taken after SIGHUP")
    listed = run("token", "list", "--token-file", token_file).stdout
    assert re.findall(r"^(colab|dash) +(\w+) +no limit +its hash$", listed, re.MULTILINE) == [("colab", "write"), ("dash", "read")]


@pytest.mark.parametrize(
    "flags, code, why",
    [
        (["--name", "colab"], 1, "has a token 'colab' already"),
        (["--name", "two words"], 1, "1 to 64 of"),
        (["--name", "a", "--scope", "everything"], 2, "'everything' is no scope"),
        ([], 2, "--name is required"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_no_new_token_changes_nothing(token_file, flags, code, why):
    new_token(token_file, "colab", "write")
    before = token_file.read_text()
    refused = run("token", "new", "--token-file", token_file, *flags)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert why in refused.stderr
    assert token_file.read_text() == before


def test_the_file_may_be_named_without_a_folder(tmp_path):
    assert run("token", "new", "--token-file", "tokens", "--name", "a", cwd=tmp_path).returncode == 0
    assert (tmp_path / "tokens").read_text().startswith("a write sha256:")


def test_without_a_file_it_asks_for_one():
    refused = run("token", "new", "--name", "a")
    assert refused.returncode == 2
    assert "--token-file" in refused.stderr


def test_a_client_that_is_given_the_servers_file_is_told(token_file):
    new_token(token_file, "colab", "write")
    refused = run("produce", PHOTOS / "coffee.png", "--model", MODEL, "--token-file", token_file)
    assert refused.returncode == 78
    assert "is the hash of a token" in refused.stderr


def test_each_scope_opens_its_own_and_no_more(token_file, up):
    writer, reader, operator = (new_token(token_file, name, name) for name in ("write", "read", "admin"))
    server = up("--token-file", token_file, "--admin-token-file", token_file, "--metrics-auth")
    admin = (server.data_dir / "admin/up").read_text().strip()

    def status(token, method, url, **keywords):
        return requests.request(method, url, headers=bearer(token) | keywords.pop("headers", {}), timeout=PATIENCE_S, **keywords)

    opened = {
        "write": [("POST", server.url + "/metadata", {"json": event("a")}),
                  ("POST", server.url + "/metadata/batch", {"data": json.dumps(event("b")), "headers": NDJSON})],
        "read": [("GET", server.url + path, {}) for path in ("/api/stats", "/api/documents", "/api/similar?id=a", "/metrics")]
        + [("GET", admin + "/log-level", {}), ("GET", admin + "/tap", {})],
        "admin": [("PUT", admin + "/log-level", {"data": "info"})],
    }  # fmt: skip
    assert server.post(event("a"), headers=bearer(writer)).status_code == 200
    server.when_stored(["a"])
    for scope, requests_of in opened.items():
        for method, url, keywords in requests_of:
            for name, token in (("write", writer), ("read", reader), ("admin", operator)):
                answer = status(token, method, url, **keywords)
                if name == scope:
                    assert answer.status_code == 200, (name, method, url, answer.text)
                    continue
                problem = assert_problem(answer, 403)
                assert f"the token '{name}' has no scope {scope}" in problem["detail"]
                assert f'error="insufficient_scope", scope="{scope}"' in answer.headers["WWW-Authenticate"]
    said = server.said()
    assert re.search(r"audit: POST /metadata from 127\.0\.0\.1:\d+ is refused 403: token 'read' has no scope write request_id=\S+$", said, re.M)
    assert "audit: log level info instead of info, as token 'admin' from 127.0.0.1:" in said
    for token in (writer, reader, operator):
        assert token not in said + server.printed()


def test_who_did_what_is_in_the_log_by_name_and_request(token_file, up):
    token = new_token(token_file, "colab", "write")
    server = up("--token-file", token_file, "--log-level", "debug", "--log-format", "json")
    server.post(event("a"), headers=bearer(token) | {"X-Request-Id": "r1"})
    server.post(event("a"), headers={"X-Request-Id": "r2"})
    server.post(event("a"), headers=bearer("not-a-token-of-ours") | {"X-Request-Id": "r3", "X-Forwarded-For": "198.51.100.7"})
    server.stop()
    lines = [json.loads(line) for line in server.said().splitlines()]
    of = {line["request_id"]: line["message"] for line in lines if "audit:" in line["message"] or " ms, " in line["message"] and line["request_id"] == "r1"}
    assert re.match(r"POST /metadata from 127\.0\.0\.1:\d+ by token 'colab': 200 in ", of["r1"])
    assert re.match(r"audit: POST /metadata from 127\.0\.0\.1:\d+ is refused 401: no token$", of["r2"])
    assert re.match(r"audit: POST /metadata from 127\.0\.0\.1:\d+ for 198\.51\.100\.7 is refused 401: a token that is none$", of["r3"])
    assert "not-a-token-of-ours" not in server.said() and token not in server.said()


def test_a_token_is_held_to_its_rate_and_a_producer_waits_as_it_is_told(token_file, up, tmp_path):
    token = new_token(token_file, "colab", "write", "--requests-per-s-max", "1")
    other = new_token(token_file, "other", "write")
    server = up("--token-file", token_file)
    (tmp_path / "token").write_text(token)
    photos = [PHOTOS / name for name in ("coffee.png", "rocket.jpg", "chelsea.png", "coins.png", "china.jpg", "astronaut.png")]
    flags = ["--endpoint", server.url, "--token-file", tmp_path / "token", "--batch", "1", "--journal", tmp_path / "journal"]
    sent = run("produce", *photos, "--model", MODEL, *flags, "--id-template", "{name}")
    assert sent.returncode == 0, sent.stderr
    server.when_stored([photo.name for photo in photos])
    # In a list, as an answer that refuses is false.
    (over,) = eventually(lambda: [a for a in [server.post(event("x"), headers=bearer(token))] if a.status_code == 429], "it is over")
    over = assert_problem(over, 429)
    assert "the token 'colab' may make 1 requests a second" in over["detail"]
    assert server.post(event("y"), headers=bearer(other)).status_code == 200
    assert server.metric("ca4_auth_refused_total", reason="rate") >= 2
    assert server.metric("ca4_http_requests_total", route="/metadata/batch", code="429") >= 1


def test_guessing_is_slowed_down_for_who_guesses(token_file, up):
    token = new_token(token_file, "colab", "write")
    plain = "a-plain-token-of-before"
    with token_file.open("a") as file:
        file.write(plain + "\n")
    server = up("--token-file", token_file)
    behind_agent = {"X-Forwarded-For": "203.0.113.9"}
    answers = []

    def too_early():
        answers.append(server.post(event("x"), headers=bearer(f"guess-number-{len(answers):04}") | behind_agent))
        return answers[-1].status_code == 429

    def keeps_out():
        # A second later it would not.
        return too_early() and server.post(event("x"), headers=bearer(plain) | behind_agent).status_code == 429

    eventually(keeps_out, "one guess is too early, and what can be guessed is not taken from there")
    codes = [answer.status_code for answer in answers]
    assert codes[:20] == [401] * 20
    assert int(answers[-1].headers["Retry-After"]) == 1
    # Neither one whose token nobody guesses, nor anybody elsewhere, is kept out by that.
    assert server.post(event("a"), headers=bearer(token) | behind_agent).status_code == 200
    assert server.post(event("b"), headers=bearer(plain) | {"X-Forwarded-For": "203.0.113.10"}).status_code == 200
    assert server.said().count("is refused 429") == 1
    assert server.metric("ca4_auth_refused_total", reason="unknown") == codes.count(401)


def test_headers_keep_data_out_of_caches_and_frames(token_file, up):
    token = new_token(token_file, "all", "write,read")
    server = up("--token-file", token_file)
    page = server.get("/").headers
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert "script-src" not in page["Content-Security-Policy"] and "default-src 'self'" in page["Content-Security-Policy"]
    assert page["Referrer-Policy"] == "no-referrer"
    answers = [server.get(path, headers=bearer(token)) for path in ("/api/stats", "/api/documents", "/nowhere", "/metrics", "/")]
    answers += [server.post(event("a"), headers=bearer(token)), server.post(event("a"))]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
        assert answer.headers["Cache-Control"] == ("no-cache" if answer.url == server.url + "/" else "no-store"), answer.url
        assert "Strict-Transport-Security" not in answer.headers


SECRETS = {"MONGO_URI": "mongodb://ca4:p4ssword-of-mongo-Zq@127.0.0.1:{}/", "AWS_SECRET_ACCESS_KEY": "s3cret-of-aws-Zq"}


def test_a_process_shows_its_secrets_to_nobody(token_file, serve, tmp_path):
    """In its command line, its children's, a core, or the modes of what it makes. Its environment is its own user's to read."""
    token = new_token(token_file, "colab", "write")
    agent = tmp_path / "agent"
    agent.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/fake_agent.py "$@"\n')
    agent.chmod(0o755)
    env = {name: value.format(free_port()) for name, value in SECRETS.items()}
    data = tmp_path / "data"
    flags = ["--token-file", token_file, "--admin-token-file", token_file, "--tunnel", "ngrok", "--tunnel-command", agent]
    # With all that a shell may allow.
    server = serve("serve", data, *flags, env=env, prefix=["prlimit", "--core=unlimited:unlimited"])
    assert server.post(event("a"), headers=bearer(token)).status_code == 200
    eventually(lambda: "public at" in server.printed(), "the agent runs")
    children = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True).stdout.split()
    assert len(children) >= 2
    for pid in [str(server.pid), *children]:
        shown = Path(f"/proc/{pid}/cmdline").read_text()
        for secret in (token, "p4ssword", "s3cret"):
            assert secret not in shown, shown
        assert re.search(r"^Max core file size +0 ", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE), pid
        assert stat.S_IMODE(os.stat(f"/proc/{pid}/environ").st_mode) == 0o400
    made = [path for path in data.rglob("*") if not path.is_socket()]
    assert made
    for path in [data, *made]:
        assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO == 0, path
    server.signal(signal.SIGABRT)
    assert server.wait() == -signal.SIGABRT
    assert not list(tmp_path.rglob("core*"))


def fill(server, headers, size):
    """Posts until the log is full; returns the ids that were accepted. Bounded."""
    accepted = []
    for i in range(400):
        answer = server.post(event(f"fill-{i}", notes="x" * size), headers=headers)
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            return accepted
        assert answer.status_code == 200, answer.text
        accepted.append(f"fill-{i}")
    raise AssertionError("it takes events without end")


def refusals(server, writer, reader):
    """One request of every class that a processor refuses, as (status, answer)."""
    good = json.dumps(event("refused")).encode()
    json_type = {"Content-Type": "application/json"}

    def post(body, path="/metadata", **headers):
        return requests.post(server.url + path, data=body, headers=json_type | headers, timeout=PATIENCE_S).status_code

    def raw(data, lenient=False):
        wire = Wire(server.address)
        wire.send(data, lenient)
        answer = wire.receive(or_end=True)
        wire.close()
        return answer.status if answer else None

    with_writer = bearer(writer)
    line = good + b"\n"
    guess = bearer("not-a-token-of-ours") | {"X-Forwarded-For": "203.0.113.9"}

    def guessed():
        """Until it is too early, which all of a hundred can't miss."""
        return next((status for status in (post(good, **guess) for _ in range(100)) if status != 401), 401)

    return [
        (401, post(good)),
        (401, post(good, **bearer("not-a-token-of-ours"))),
        (401, post(line, "/metadata/batch", **NDJSON)),
        (403, post(good, **bearer(reader))),
        (403, post(line, "/metadata/batch", **bearer(reader), **NDJSON)),
        (400, post(good[:-1], **with_writer)),
        (400, post(b"\x1f\x8bnothing", **with_writer, **{"Content-Encoding": "gzip"})),
        (400, raw(request("POST", "/metadata", good, with_writer).replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length"))),
        (405, requests.put(server.url + "/metadata", data=good, headers=json_type | with_writer, timeout=PATIENCE_S).status_code),
        (408, raw(request("POST", "/metadata", good, with_writer)[:-10])),
        (413, post(json.dumps(event("refused", notes="x" * 70_000)).encode(), **with_writer)),
        (413, raw(request("POST", "/metadata", b"", with_writer | {"Content-Length": 1 << 30}))),
        (413, post(line * 5, "/metadata/batch", **with_writer, **NDJSON)),
        (415, post(good, **with_writer, **{"Content-Type": "text/plain"})),
        (415, post(good, **with_writer, **{"Content-Encoding": "br"})),
        (422, post(json.dumps(event("refused") | {"embedding": []}).encode(), **with_writer)),
        (422, post(b'{"metadata_id": "refused", "embedding": [NaN]}', **with_writer)),
        (431, raw(request("POST", "/metadata", good, with_writer | {"X-Long": "x" * 20_000}), lenient=True)),
        (429, guessed()),
    ]


@pytest.mark.parametrize("log", ["embedded", "spool", "kafka"])
def test_what_is_refused_never_reaches_the_log(token_file, serve, tmp_path, log, request):
    writer, reader = new_token(token_file, "w", "write"), new_token(token_file, "r", "read")
    topic, kafka = "gpu-metadata", None
    flags = ["--token-file", token_file, "--body-bytes-max", "65536", "--batch-events-max", "4", "--header-timeout-ms", "500"]
    if log == "embedded":
        flags += ["--log-bytes-max", "1048576"]
    elif log == "spool":
        flags += ["--kafka-bootstrap", f"127.0.0.1:{free_port()}", "--kafka-outbox-bytes-max", "1048576"]
    else:
        kafka, topic = (request.getfixturevalue(name) for name in ("kafka", "topic"))
        flags += ["--kafka-bootstrap", kafka, "--topic", topic, "--no-kafka-outbox"]
    server = serve("serve", tmp_path / "data", *flags)
    eventually(lambda: server.get("/readyz").status_code == 200, "it takes events")
    wrong = [(expected, got) for expected, got in refusals(server, writer, reader) if expected != got]
    assert not wrong
    assert server.post(event("kept"), headers=bearer(writer)).status_code == 200
    # 503, where there is a disk of ours that can be full.
    accepted = ["kept"] if log == "kafka" else ["kept", *fill(server, bearer(writer), 50_000)]
    server.stop()
    if log == "embedded":
        listed = run("log", "head", "--data-dir", tmp_path / "data", "--limit", "1000", "--format", "ndjson")
        kept = [json.loads(line)["key"] for line in listed.stdout.splitlines()]
    elif log == "spool":
        listed = run("spool", "export", "--data-dir", tmp_path / "data")
        kept = [json.loads(line)["metadata_id"] for line in listed.stdout.splitlines()]
    else:
        kept = [record.key.decode() for record in records(kafka, topic)]
    assert kept == accepted


def test_what_is_over_a_tokens_rate_never_reaches_the_log(token_file, serve, tmp_path):
    token = new_token(token_file, "colab", "write", "--requests-per-s-max", "1")
    server = serve("serve", tmp_path / "data", "--token-file", token_file)
    codes = {f"e{i}": server.post(event(f"e{i}"), headers=bearer(token)).status_code for i in range(8)}
    assert set(codes.values()) == {200, 429}
    server.stop()
    listed = run("log", "head", "--data-dir", tmp_path / "data", "--format", "ndjson")
    kept = [json.loads(line)["key"] for line in listed.stdout.splitlines()]
    assert kept == [name for name, code in codes.items() if code == 200]
