"""What the programs say: one line an event, which request it is about, how much of it, and never a secret."""

import base64
import json
import re
import signal
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from server_process import free_port
from support import MODEL, PATIENCE_S, PHOTOS, event, eventually, run

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def lines(server):
    return [json.loads(line) for line in server.said().splitlines()]


def test_a_request_has_one_id_in_the_answer_and_in_every_line_about_it(up):
    server = up("--log-format", "json", "--log-level", "debug")
    given = server.post(event("a"), headers={"X-Request-Id": "from-the-client", "traceparent": TRACEPARENT})
    assert given.headers["X-Request-Id"] == "from-the-client"
    made = server.post(event("b")).headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", made)
    assert server.get("/nowhere").headers["X-Request-Id"] not in (made, "")
    odd = server.post(event("c"), headers={"X-Request-Id": "two words"}).headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+", odd) and odd != made
    (line,) = [one for one in lines(server) if one.get("request_id") == "from-the-client"]
    assert line["trace_id"] == TRACE
    assert re.match(r"POST /metadata from 127\.0\.0\.1:\d+: 200 in [\d.]+ ms", line["message"])
    (line,) = [one for one in lines(server) if one.get("request_id") == made]
    assert "trace_id" not in line


def test_the_level_of_a_running_server_shows_its_requests_and_hides_them_again(up):
    server = up()
    admin = (server.data_dir / "admin/up").read_text().strip()
    server.accept(event("unseen"))
    assert requests.put(admin + "/log-level", data="debug", timeout=PATIENCE_S).ok
    server.accept(event("seen"))
    eventually(lambda: server.said().count("POST /metadata from") == 1, server.said)
    assert requests.put(admin + "/log-level", data="info", timeout=PATIENCE_S).ok
    server.accept(event("unseen again"))
    server.stop()
    assert server.said().count("POST /metadata from") == 1


def test_what_cannot_be_kept_is_said_once_with_its_reason(serve, tmp_path):
    broker = f"127.0.0.1:{free_port()}"
    server = serve(
        "serve", tmp_path, "--kafka-bootstrap", broker, "--no-kafka-outbox", "--kafka-delivery-timeout-ms", "1000"
    )
    ids = [server.post(event(f"e{i}")).headers["X-Request-Id"] for i in range(3)]
    said = [line for line in server.said().splitlines() if "POST /metadata" in line]
    assert len(said) == 1, said
    assert " is answered 503: " in said[0] and said[0].endswith(f"request_id={ids[0]}")


def test_what_clients_send_makes_no_line_of_its_own(up):
    server = up("--log-level", "debug")
    server.get("/a%0A2026-01-01T00:00:00.000Z%20error%20forged%1B%5B31m")
    server.stop()
    assert "\x1b" not in server.said()
    for line in server.said().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z (info|debug|warn|warning)", line), line
    assert r"/a\n2026-01-01T00:00:00.000Z error forged\x1b[31m" in server.said()


SECRETS = {
    "token": "tok3n-of-a-producer-Zq1",
    "admin token": "tok3n-of-an-operator-Zq2",
    "kafka password": "p4ssword/of:kafka-Zq3",
    "mongo password": "p4ssword-of-mongo-Zq4",
    "aws key": "s3cr3t/key+of/aws-Zq5",
    "aws session": "s3ssion/token+of/aws-Zq6",
}


def found_in(text):
    """Which secrets are in there, as they are or in a guise in which protocols carry them."""
    found = []
    for name, secret in SECRETS.items():
        guises = {secret, urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
        found += [name for guise in guises if guise in text]
    return found


def test_the_search_finds_secrets():
    assert found_in("x" + SECRETS["token"]) == ["token"]
    assert found_in(urllib.parse.quote(SECRETS["aws key"], safe="")) == ["aws key"]
    assert found_in(base64.b64encode(SECRETS["mongo password"].encode()).decode()) == ["mongo password"]


@pytest.fixture
def secretive(tmp_path):
    """Variables and files that hold every secret, of services of which none is there."""
    for name in ("token", "admin token", "kafka password"):
        (tmp_path / name.replace(" ", "-")).write_text(SECRETS[name] + "\n")
    mongo = f"mongodb://ca4:{SECRETS['mongo password']}@127.0.0.1:{free_port()}/?authSource=admin"
    return {
        "MONGO_URI": mongo,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRETS["aws key"],
        "AWS_SESSION_TOKEN": SECRETS["aws session"],
        "CA4_ARCHIVE_S3_BUCKET": "a-bucket",
        "CA4_ARCHIVE_S3_REGION": "eu-central-1",
        "CA4_ARCHIVE_S3_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "CA4_ARCHIVE_LINGER_MS": "100",
        "CA4_ADMIN_TOKEN_FILE": str(tmp_path / "admin-token"),
        "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "500",
        "CA4_WORKER_BACKOFF_MS_MAX": "200",
        "CA4_LOGGING_LEVEL": "trace",
    }


def with_kafka(tmp_path):
    return {
        "KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        "CA4_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
        "CA4_KAFKA_SASL_MECHANISM": "PLAIN",
        "CA4_KAFKA_USERNAME": "ca4",
        "CA4_KAFKA_PASSWORD_FILE": str(tmp_path / "kafka-password"),
        "CA4_KAFKA_DELIVERY_TIMEOUT_MS": "1000",
    }


def test_services_say_no_secret_whatever_fails(up, start, secretive, tmp_path):
    token = tmp_path / "token"
    server = up("--token-file", token, env=secretive)
    bearer = {"Authorization": "Bearer " + SECRETS["token"]}
    for i in range(5):
        assert server.post(event(f"e{i}"), headers=bearer).status_code == 200
    said = [server.post({"embedding": SECRETS["token"]}, headers=bearer), server.post(event("x"), headers={"Authorization": "Bearer no"})]
    said += [server.get("/health"), server.get("/metrics"), server.get("/api/documents", headers=bearer)]
    admin = (server.data_dir / "admin/up").read_text().strip()
    operator = {"Authorization": "Bearer " + SECRETS["admin token"]}
    said += [requests.get(admin + path, headers=operator, timeout=PATIENCE_S) for path in ("/log-level", "/readyz", "/metrics")]
    said.append(requests.put(admin + "/log-level", data=SECRETS["admin token"], timeout=PATIENCE_S))
    eventually(lambda: "store fails" in server.said() and "archive" in server.said(), server.said)
    # A token file that is wrong now.
    token.write_text(SECRETS["token"] + " and more\n")
    server.signal(signal.SIGHUP)
    eventually(lambda: "the old tokens stay" in server.said(), server.said)
    producer = start("produce", PHOTOS, "--model", MODEL, "--endpoint", server.url, "--token-file", tmp_path / "admin-token", cwd=tmp_path)
    assert producer.wait() != 0, "that token is none of the server's"
    server.stop()
    # What it echoed of an event is the client's own.
    echoed = [answer.text for answer in said[1:]] + [str(answer.headers) for answer in said]
    for text in [server.said(), server.printed(), producer.said(), producer.printed(), *echoed]:
        assert found_in(text) == [], text


def test_kafka_and_its_password_that_fail_say_no_secret(serve, work, secretive, tmp_path):
    env = secretive | with_kafka(tmp_path)
    server = serve("serve", tmp_path / "data", env=env)
    worker = work(tmp_path / "data", env=env)
    assert server.post(event("a")).json()["durable_in"] == "outbox"
    eventually(lambda: "kafka" in server.said().lower() and "kafka" in worker.said().lower(), server.said)
    for program in (server, worker):
        program.stop()
        assert found_in(program.said() + program.printed()) == [], program.said()


WRONG_URIS = [
    "mongodb://ca4:{}@127.0.0.1:port/",
    "mongodb://ca4:{}@x@127.0.0.1/",
    "mongodb://ca4:{}/x@127.0.0.1/",
    "mongo://ca4:{}@127.0.0.1/",
    "mongodb+srv://ca4:{}@127.0.0.1:27017/",
    "mongodb://ca4:{}@127.0.0.1/?tls=perhaps",
    "mongodb://ca4:{}@",
]


@pytest.mark.parametrize("uri", WRONG_URIS)
def test_a_wrong_connection_string_is_refused_without_its_password(uri, secretive, tmp_path):
    env = secretive | {"MONGO_URI": uri.format(SECRETS["mongo password"])}
    for command in (["work"], ["query", "--count"], ["db", "ping"]):
        data = [] if command[0] == "db" else ["--data-dir", tmp_path / "data"]
        result = run(*command, *data, env=env)
        assert result.returncode != 0
        assert result.stderr
        assert found_in(result.stdout + result.stderr) == [], result.stderr


def test_files_with_secrets_that_are_no_good_are_refused_by_name_and_line(secretive, tmp_path, ca4):
    spoilt = tmp_path / "spoilt"
    spoilt.write_text("# a comment\n" + SECRETS["token"] + " " + SECRETS["admin token"] + "\n")
    for flags in (["--token-file", spoilt], ["--admin-token-file", spoilt]):
        result = ca4("up", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", *flags, env=secretive)
        assert result.returncode == 78
        assert f"{spoilt}:2:" in result.stderr
        assert found_in(result.stdout + result.stderr) == [], result.stderr


def test_tools_print_settings_and_failures_without_secrets(secretive, tmp_path, ca4):
    env = secretive | with_kafka(tmp_path)
    file = tmp_path / "ca4.toml"
    file.write_text(f'[store]\nmongo_uri = "{env["MONGO_URI"]}"\nmongo_embeding = "array"\n')
    data = ["--data-dir", tmp_path / "data"]
    commands = (
        ["config"],
        ["config", "--format", "json"],
        ["config", "--format", "toml"],
        ["config", "validate", file],
        ["verify", "preflight", *data],
        ["verify", "kafka"],
        ["verify", "db"],
        ["verify", "archive", *data],
        ["topics", "list"],
        ["db", "ping"],
        ["db", "ensure"],
        ["dlq", "count", *data],
        ["query", "--count", *data],
    )
    # Most of them wait for somebody who is not there.
    with ThreadPoolExecutor(len(commands)) as pool:
        results = list(pool.map(lambda command: ca4(*command, env=env), commands))
    for command, result in zip(commands, results, strict=True):
        assert result.stdout + result.stderr, command
        assert found_in(result.stdout + result.stderr) == [], f"{command}: {result.stdout}{result.stderr}"
