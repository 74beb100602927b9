"""The archive in a bucket: a real server, with faults, restarts and kills, and read back by other people's tools."""

import base64
import io
import json

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import numpy
import pytest
import requests
import zstandard
from fault_proxy import FaultProxy
from s3_server import S3Server
from server_process import free_port
from support import BINARY, ENVIRONMENT, ROOT, event, eventually, run
from test_durability import Load
from test_worker import committed, part_name

TOPIC = "gpu-metadata"
CONFORMANCE = BINARY.parent / "src/archive/s3_conformance_test"
# Faults are over when the test says so: no long pauses behind them.
QUICK = ("--worker-backoff-ms-max", "200", "--archive-linger-ms", "50")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3")).start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3, request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-") + f"-{random.randrange(1 << 32):08x}"
    s3.make_bucket(name)
    return name


@pytest.fixture
def proxy(s3):
    between = FaultProxy(s3.address)
    yield between
    between.close()


def settings(bucket, endpoint):
    return {"CA4_ARCHIVE_S3_BUCKET": bucket, "CA4_ARCHIVE_S3_ENDPOINT": endpoint}


def view(s3, bucket, prefix=""):
    """The archive's view as docs/formats.md has it: {(topic, partition, offset): (row, floats)}."""
    found = {}
    bodies = {key: s3.get(bucket, key) for key in s3.keys(bucket)}
    matrices = {key: numpy.load(io.BytesIO(body)) for key, body in bodies.items() if key.endswith(".npy")}
    for key, body in bodies.items():
        if not key.endswith(".ndjson.zst"):
            continue
        assert key.startswith(prefix)
        with zstandard.open(io.BytesIO(body), "rt") as lines:
            for row in map(json.loads, lines):
                floats = matrices[key.rsplit("/", 1)[0] + "/" + row["embedding_file"]][row["embedding_row"]]
                row.pop("processed_at"), row.pop("embedding_file"), row.pop("embedding_row")
                place = row["topic"], row["partition"], row["offset"]
                if place in found:
                    assert found[place][0] == row
                    assert numpy.array_equal(found[place][1], floats)
                found[place] = row, floats
    return found


def assert_holds_once(s3, bucket, ids):
    """Each accepted id is in the view, and each place of the log is there once."""
    rows = [row for row, _ in view(s3, bucket).values()]
    assert {row["metadata_id"] for row in rows} >= set(ids)
    assert sorted(row["offset"] for row in rows) == list(range(len(rows)))


def archived(server):
    """Whether the archiver has committed everything that was accepted."""
    with closing(sqlite3.connect(server.data_dir / f"log/{TOPIC}.db")) as log:
        (end,) = log.execute("SELECT max(offset) + 1 FROM records").fetchone()
    return committed(server.data_dir, "ca4-archiver") == end


def requests_by_result(server):
    text = server.get("/metrics").text
    return {r: float(n) for r, n in re.findall(r'^ca4_archive_requests_total{result="(\w+)"} (\S+)$', text, re.MULTILINE)}


def conformance(endpoint, bucket, **env):
    return subprocess.run(
        [CONFORMANCE],
        env=ENVIRONMENT | {"CA4_TEST_S3_ENDPOINT": endpoint, "CA4_TEST_S3_BUCKET": bucket} | env,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_archive_on_s3_does_what_every_archive_must(s3, bucket):
    result = conformance(s3.endpoint, bucket, **s3.keys_env)
    assert result.returncode == 0, result.stdout[-5000:]
    assert not s3.uploads(bucket), "an upload in parts was left behind"


def test_the_conformance_suite_fails_without_a_server():
    result = subprocess.run([CONFORMANCE], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "CA4_TEST_S3_ENDPOINT" in result.stdout


def test_with_tls_and_the_bucket_in_the_host_name(tmp_path, up):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test",
         "-addext", "subjectAltName=DNS:*.s3.localhost,IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "server").mkdir()
    server = S3Server(
        tmp_path / "server", "--cert", tmp_path / "cert.pem", "--key", tmp_path / "key.pem",
        "--virtual-domain", "s3.localhost", scheme="https", ca_file=tmp_path / "cert.pem",
    ).start()  # fmt: skip
    try:
        server.make_bucket("tls-bucket")
        env = server.keys_env | settings("tls-bucket", f"https://s3.localhost:{server.port}")
        refused = up(*QUICK, data_dir=tmp_path / "refused", env=env)
        eventually(lambda: "certificate" in refused.said(), "an authority that nobody named is not trusted")
        pipeline = up(*QUICK, "--archive-s3-ca-file", tmp_path / "cert.pem", env=env)
        pipeline.accept(event("a"))
        eventually(lambda: archived(pipeline), "the event is in the bucket")
        assert_holds_once(server, "tls-bucket", ["a"])
    finally:
        server.stop()


def test_objects_are_as_the_formats_page_says(s3, bucket, proxy, up):
    flags = ("--archive-s3-prefix", "ca4/pre_fix", "--archive-s3-sse", "aws:kms", "--archive-s3-kms-key-id", "k1")
    # All of them in one object: written when the last is there.
    flags += ("--archive-linger-ms", "600000", "--archive-records-max", "20")
    server = up(*flags, env=s3.keys_env | settings(bucket, proxy.endpoint))
    sent = {f"a{i}": event(f"a{i}", dim=8 if i % 3 else 4, extra={"pipeline": "p", "n": i}) for i in range(20)}
    for one in sent.values():
        server.accept(one)
    stored = server.when_stored(sent)
    eventually(lambda: archived(server), "all of it is archived")
    server.stop()
    if len({time.gmtime(d["ingested_at"]).tm_hour for d in stored.values()}) == 1:
        stem = f"ca4/pre_fix/{part_name(sorted(stored.values(), key=lambda d: d['offset']))}"
        assert s3.keys(bucket) == [f"{stem}.d4.npy", f"{stem}.d8.npy", f"{stem}.ndjson.zst"]
        assert s3.head(bucket, f"{stem}.ndjson.zst")["Content-Type"] == "application/zstd"
        assert s3.head(bucket, f"{stem}.d4.npy")["x-amz-checksum-crc32c"]
    found = {row["metadata_id"]: (row, floats) for row, floats in view(s3, bucket, "ca4/pre_fix/").values()}
    assert found.keys() == sent.keys()
    for i, (row, floats) in found.items():
        assert row["extra"] == sent[i]["extra"]
        assert numpy.array_equal(floats, numpy.float32(sent[i]["embedding"]))
    puts = [headers for method, _, headers in proxy.requests if method == "PUT"]
    assert puts
    for headers in puts:
        headers = {name.lower(): value for name, value in headers.items()}
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "k1"
        assert "x-amz-server-side-encryption" in headers["authorization"], "it must be signed"


def snippets():
    """The pieces of Python of docs/archive.md."""
    found = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/archive.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 2
    return found


def test_the_pieces_of_the_archive_page_read_it(s3, bucket, up, tmp_path, monkeypatch):
    server = up("--archive-records-max", "7", "--archive-linger-ms", "500", env=s3.keys_env | settings(bucket, s3.endpoint))
    sent = {f"a{i}": event(f"a{i}", dim=8 if i % 5 else 4, extra={"pipeline": "p", "n": i}) for i in range(40)}
    for one in sent.values():
        server.accept(one)
    again = event("a7", dim=8, seed=1)
    server.accept(again)
    eventually(lambda: archived(server), "all of it is archived")
    server.stop()
    for key in s3.keys(bucket):
        path = tmp_path / "archive" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get(bucket, key))
    # The same lines once more, as a crash can leave them: all offsets of a part, in a part that begins and ends elsewhere.
    part = next((tmp_path / "archive").rglob("*.ndjson.zst"))
    part.with_name(part.name.replace("p0-", "p0-9")).write_bytes(part.read_bytes())
    # And what an older log of that name held, before it was moved away: its offsets begin at 0, too.
    older = {f"older{i}": event(f"older{i}", dim=8) for i in range(3)}
    server = up("--archive-linger-ms", "500", data_dir=tmp_path / "older")
    for one in older.values():
        server.accept(one)
    eventually(lambda: archived(server), "all of it is archived")
    server.stop()
    for folder in (tmp_path / "older/archive").rglob("hour=*"):
        shutil.copytree(folder, tmp_path / "archive/gpu-metadata/dt=2020-01-01" / folder.name)
    sent |= older
    monkeypatch.chdir(tmp_path)
    duck, pandas = snippets()
    names = {}
    exec(duck, names)
    rows = names["documents"].project('metadata_id, "offset"').fetchall()
    assert sorted(row[1] for row in rows) == sorted([*range(41), *range(3)])
    assert {row[0] for row in rows} == sent.keys()
    names = {}
    exec(pandas, names)
    assert len(names["rows"]) == 44
    newest = names["newest"].set_index("metadata_id")
    assert newest.index.sort_values().tolist() == sorted(sent)
    for i, one in (sent | {"a7": again}).items():
        assert numpy.array_equal(newest.embedding[i], numpy.float32(one["embedding"])), i
    assert names["vectors"].shape == (35, 8)
    assert names["vectors"].dtype == numpy.float32


def test_a_wrong_secret_is_told_loses_nothing_and_is_used_when_it_is_mended(s3, bucket, up, tmp_path):
    keys = tmp_path / "credentials"
    keys.write_text(f"[default]\naws_access_key_id = {s3.access}\naws_secret_access_key = n0t-the-secret\n")
    server = up(*QUICK, env=settings(bucket, s3.endpoint) | {"AWS_SHARED_CREDENTIALS_FILE": str(keys)})
    eventually(lambda: "the archive is not ready" in server.said(), "it is told before anything is archived")
    for i in range(10):
        server.accept(event(f"a{i}"))
    server.when_stored([f"a{i}" for i in range(10)])  # the database does not wait
    eventually(lambda: "SignatureDoesNotMatch" in server.said(), "what the server says")
    assert "the keys are from profile 'default': correct or renew them" in server.said()
    assert "n0t-the-secret" not in server.said() and s3.access not in server.said(), "keys are no matter of the log"
    assert not s3.keys(bucket)
    keys.write_text(f"[default]\naws_access_key_id = {s3.access}\naws_secret_access_key = {s3.secret}\n")
    eventually(lambda: archived(server), "the mended key is used")
    assert_holds_once(s3, bucket, [f"a{i}" for i in range(10)])


@pytest.mark.parametrize(
    ("flags", "env", "said"),
    [
        (("--archive-s3-bucket", "no-such-bucket"), {}, "make the bucket, or correct archive.s3_bucket"),
        (("--archive-s3-region", "eu-west-1"), {}, "the bucket is in us-east-1: set archive.s3_region"),
        ((), {"AWS_ACCESS_KEY_ID": ""}, "only the second is set"),
        ((), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials. environment: "),
    ],
    ids=["bucket", "region", "half a key", "no key"],
)
def test_what_is_set_up_wrong_is_told_with_what_to_do(s3, bucket, up, flags, env, said):
    server = up(*QUICK, *flags, env=s3.keys_env | settings(bucket, s3.endpoint) | env)
    eventually(lambda: said in server.said(), said)
    server.accept(event("a"))
    server.when_stored(["a"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--archive-s3-bucket", "Not_A_Bucket"), "archive.s3_bucket: 'Not_A_Bucket'"),
        (("--archive-s3-kms-key-id", "k"), 'needs archive.s3_sse = "aws:kms"'),
        (("--archive-s3-endpoint", "http://h/path"), "archive.s3_endpoint"),
        (("--archive-s3-ca-file", "/nowhere/ca.pem"), "/nowhere/ca.pem: No such file"),
    ],
)
def test_settings_that_can_never_work_are_refused_at_the_start(tmp_path, flags, said):
    env = {"CA4_ARCHIVE_S3_BUCKET": "bucket", "CA4_ARCHIVE_S3_ENDPOINT": "http://127.0.0.1:1"}
    result = run("up", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0", *flags, env=env)
    assert result.returncode == 78, result.stderr
    assert said in result.stderr


def test_verify_says_what_a_server_that_is_away_is_asked_and_where(tmp_path, proxy):
    env = {"CA4_ARCHIVE_S3_BUCKET": "bucket", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}

    def verify(endpoint):
        shown = run("verify", "archive", "--data-dir", tmp_path, "--json", env=env | {"CA4_ARCHIVE_S3_ENDPOINT": endpoint})
        assert shown.returncode == 1
        (check,) = json.loads(shown.stdout)["checks"]
        assert check["name"] == "answers"
        assert "archive.s3_endpoint" in check["fix"]
        return check["detail"], check["took_ms"]

    nobody = f"http://127.0.0.1:{free_port()}"
    detail, took_ms = verify(nobody)
    assert detail.startswith(f"S3 bucket 'bucket': HEAD: {nobody}/bucket")
    assert "onnect" in detail
    assert took_ms < 5_000
    proxy.fault = lambda _: time.sleep(12)
    detail, took_ms = verify(proxy.endpoint)
    assert proxy.endpoint in detail
    assert took_ms < 10_000


@pytest.mark.parametrize("kind", ["503", "403", "429", "broken bodies", "lost answers"])
def test_a_server_in_trouble_is_waited_for(s3, bucket, proxy, up, kind):
    faults = {
        "503": (proxy.answering(503, "SlowDown", {"Retry-After": "0"}), "throttled"),
        "403": (proxy.answering(403, "AccessDenied"), "refused"),
        "429": (proxy.answering(429, "TooManyRequests"), "throttled"),
        "broken bodies": (proxy.breaking_bodies(), "unreachable"),
        "lost answers": (proxy.losing_answers(), "unreachable"),
    }
    fault, result = faults[kind]
    server = up(*QUICK, env=s3.keys_env | settings(bucket, proxy.endpoint))
    server.accept(event("before"))
    eventually(lambda: archived(server), "the first event is archived")
    proxy.fault = fault
    ids = [f"a{i}" for i in range(20)]
    for i in ids:
        server.accept(event(i, dim=512))
    # More than the tries of one put, so that the archiver's own patience is seen too.
    eventually(lambda: proxy.faults > 6, "the fault is met again and again")
    server.when_stored(ids)
    assert not archived(server)
    proxy.fault = None
    eventually(lambda: archived(server), "it goes on by itself")
    assert_holds_once(s3, bucket, ["before", *ids])
    assert requests_by_result(server)[result] > 0


def test_a_slow_server_holds_up_nobody_and_gets_everything(s3, bucket, proxy, up):
    proxy.fault = proxy.slow(bytes_per_s=400_000)
    server = up(*QUICK, env=s3.keys_env | settings(bucket, proxy.endpoint))
    ids = [f"a{i}" for i in range(64)]
    for i in ids:
        server.accept(event(i, dim=2048))
    server.when_stored(ids)
    eventually(lambda: archived(server), "everything is in the bucket")
    assert_holds_once(s3, bucket, ids)


def test_the_server_killed_and_restarted_under_load_loses_and_doubles_nothing(tmp_path, up):
    (tmp_path / "s3").mkdir()
    s3 = S3Server(tmp_path / "s3").start()
    try:
        s3.make_bucket("kept")
        server = up(*QUICK, env=s3.keys_env | settings("kept", s3.endpoint))
        load = Load(server.url, "k", clients=2, dim=256)
        for _ in range(3):
            load.wait_for(len(load.acknowledged) + 50)
            s3.kill()
            load.wait_for(len(load.acknowledged) + 50)
            s3.start()
            eventually(lambda: len(s3.keys("kept")) > 0, "objects come")
        acknowledged = load.finish()
        assert not load.other_statuses
        eventually(lambda: archived(server), "the archive has caught up")
        assert server.runs()
        assert_holds_once(s3, "kept", acknowledged)
    finally:
        s3.stop()


def big_batch(ids, dim):
    lines = []
    for i in ids:
        floats = numpy.random.default_rng(int(i[1:])).standard_normal(dim, dtype=numpy.float32)
        lines.append(json.dumps({"metadata_id": i, "embedding_b64": base64.b64encode(floats.tobytes()).decode()}))
    return "\n".join(lines).encode()


def post_batch(server, body):
    answer = requests.post(server.url + "/metadata/batch", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
    assert answer.status_code == 200, answer.text


def test_an_object_of_more_than_8_mib_goes_in_parts_and_is_whole(s3, bucket, up):
    ids = [f"b{i}" for i in range(160)]
    flags = ("--archive-linger-ms", "600000", "--archive-records-max", "160")
    server = up(*flags, env=s3.keys_env | settings(bucket, s3.endpoint))
    for begin in range(0, 160, 80):
        post_batch(server, big_batch(ids[begin : begin + 80], 32_768))
    eventually(lambda: archived(server), "all of it is archived")
    server.stop()
    found = {row["metadata_id"]: floats for row, floats in view(s3, bucket).values()}
    assert found.keys() == set(ids)
    for i in ids:
        assert numpy.array_equal(found[i], numpy.random.default_rng(int(i[1:])).standard_normal(32_768, dtype=numpy.float32))
    large = max((k for k in s3.keys(bucket) if k.endswith(".npy")), key=lambda k: int(s3.head(bucket, k)["Content-Length"]))
    assert int(s3.head(bucket, large)["Content-Length"]) > 8 << 20
    assert re.search(r"-\d+$", s3.head(bucket, large)["ETag"].strip('"')), "it went in parts"
    assert not s3.uploads(bucket)


def test_kill_9_of_the_worker_during_uploads_loses_and_doubles_nothing(s3, bucket, proxy, serve, start, tmp_path):
    proxy.fault = proxy.slow(bytes_per_s=2_000_000)
    env = s3.keys_env | settings(bucket, proxy.endpoint)
    server = serve("serve", tmp_path, env=env)
    ids = [f"b{i}" for i in range(96)]
    for begin in range(0, 96, 48):
        post_batch(server, big_batch(ids[begin : begin + 48], 32_768))
    for records_max in (96, 40, 70):  # cut elsewhere each time
        proxy.in_body.clear()
        worker = start("work", "--data-dir", tmp_path, *QUICK, "--archive-records-max", records_max, env=env)
        eventually(proxy.in_body.is_set, "the worker sends")
        worker.kill()
    proxy.fault = None
    worker = start("work", "--data-dir", tmp_path, *QUICK, env=env)
    eventually(lambda: archived(server), "everything is archived")
    worker.stop()
    assert_holds_once(s3, bucket, ids)


def test_a_slow_bucket_keeps_no_process_from_ending(s3, bucket, proxy, serve, start, tmp_path):
    """Half a minute, and no word of it lost: what was not archived is read again."""
    env = s3.keys_env | settings(bucket, proxy.endpoint)
    server = serve("serve", tmp_path, env=env)
    ids = [f"b{i}" for i in range(48)]
    post_batch(server, big_batch(ids, 32_768))
    proxy.fault = proxy.slow(bytes_per_s=50_000)
    worker = start("work", "--data-dir", tmp_path, *QUICK, env=env)
    eventually(proxy.in_body.is_set, "the worker sends")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 1
    assert "work did not stop within 30 s and ends now" in worker.said()
    proxy.fault = None
    worker = start("work", "--data-dir", tmp_path, *QUICK, env=env)
    eventually(lambda: archived(server), "everything is archived")
    worker.stop()
    assert_holds_once(s3, bucket, ids)
