"""Processor and worker on a real Kafka broker."""

import json
import struct
import uuid

import pytest
import requests
from confluent_kafka.admin import AdminClient, ConfigResource
from kafka_records import fresh_topic, produce, records, when_direct
from server_process import free_port
from support import PATIENCE_S, assert_problem, documents, event, eventually, run, when_stored
from test_batch import post_lines, results_of

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def groups_of(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return {group.group_id for group in admin.list_consumer_groups().result(PATIENCE_S).valid}


def test_an_event_goes_through_the_topic_as_the_contract_says(serve, work, tmp_path, kafka, topic, on_kafka):
    server = when_direct(serve("serve", tmp_path, *on_kafka))
    worker = work(tmp_path, *on_kafka)
    eventually(lambda: "stored on this machine" in worker.said(), "it says that others would miss what it stores")
    assert "stored on this machine" not in server.said()
    sent = event("img-1", dim=5, extra={"pipeline": "p"}, more={"a": [1]})
    answer = server.post(sent, headers={"traceparent": TRACE})
    assert answer.status_code == 200, answer.text
    assert answer.json()["durable_in"] == "kafka"
    assert answer.json()["kafka_enabled"] is True

    (record,) = records(kafka, topic)
    assert record.key == b"img-1"
    value = json.loads(record.value)
    assert {"metadata_id", "source_uri", "embedding", "embedding_dim", "gpu_hardware", "extra", "ingested_at"} <= value.keys()
    assert value["metadata_id"] == "img-1"
    assert value["embedding_dim"] == 5 == len(value["embedding"])
    assert isinstance(value["ingested_at"], float)
    assert value["more"] == {"a": [1]}
    headers = dict(record.headers)
    assert headers["traceparent"] == TRACE.encode()

    document = server.when_stored(["img-1"])["img-1"]
    assert (document["topic"], document["partition"], document["offset"]) == (topic, record.partition, record.offset)
    assert document["embedding"] == value["embedding"]
    assert document["traceparent"] == TRACE
    assert document["version"] == int(headers["ca4_version"])
    health = server.get("/health").json()
    assert (health["kafka_enabled"], health["kafka_bootstrap"]) == (True, kafka)
    assert server.get("/readyz").status_code == 200
    metrics = server.get("/metrics").text
    assert "\nca4_kafka_up 1\n" in metrics
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "no lag")


@pytest.mark.parametrize("state", ["direct", "spooling"])
def test_a_line_over_the_records_limit_is_refused_alone(serve, work, tmp_path, kafka, topic, on_kafka, state):
    if state == "direct":
        flags = on_kafka
    else:  # nobody is there: all goes to the outbox
        flags = ["--kafka-bootstrap", f"127.0.0.1:{free_port()}", "--topic", topic]
    server = serve("serve", tmp_path, *flags, "--kafka-record-bytes-max", 64 << 10)
    if state == "direct":
        when_direct(server)
    # 32 kB as the outbox keeps it, twice the limit in the topic's JSON.
    large = event("large", dim=8192)
    results = results_of(post_lines(server, [event("first"), large, event("last")]))
    assert [(r["line"], r["status"]) for r in results] == [(1, "ok"), (2, "error"), (3, "ok")]
    assert results[1]["error"]["status"] == 413
    assert "kafka.record_bytes_max" in results[1]["error"]["detail"]
    assert "kafka.record_bytes_max" in assert_problem(server.post(large), 413)["detail"]
    assert {r["durable_in"] for r in results if r["status"] == "ok"} == {"kafka" if state == "direct" else "outbox"}
    if state == "direct":
        work(tmp_path, *on_kafka)
        server.when_stored(["first", "last"])


def test_the_compact_value_makes_the_same_document(serve, work, tmp_path, kafka, topic, on_kafka):
    server = serve("serve", tmp_path, *on_kafka)
    work(tmp_path, *on_kafka)
    server.accept(event("as-json", dim=5, seed=1))
    compact = serve("serve", tmp_path / "compact", *on_kafka, "--kafka-value-format", "record")
    compact.accept(event("as-record", dim=5, seed=1))
    found = server.when_stored(["as-json", "as-record"])
    values = {record.key.decode(): record.value for record in records(kafka, topic)}
    assert values["as-json"].startswith(b"{")
    assert values["as-record"].startswith(b"\xca")
    assert found["as-json"]["source_uri"] == found["as-record"]["source_uri"]
    # The same events through the other format: the hash is that of the payload, not of its form.
    compact.accept(event("as-json", dim=5, seed=1))
    again = eventually(
        lambda: [
            d for d in documents(tmp_path) if d["metadata_id"] == "as-json" and d["version"] > found["as-json"]["version"]
        ],
        "the update stored",
    )
    assert again[0]["payload_hash"] == found["as-json"]["payload_hash"]


def kept_on_disk(node, topic):
    """What the broker's files hold of a topic: their bytes, and the codecs of the batches (Kafka protocol, RecordBatch: attributes)."""
    codecs, size = set(), 0
    for file in node.folder.glob(f"data/{topic}-*/*.log"):
        left = file.read_bytes()
        size += len(left)
        while left:
            (length,) = struct.unpack(">i", left[8:12])
            codecs.add(left[22] & 7)
            left = left[12 + length :]
    return size, codecs


def test_compression_saves_the_brokers_disk_and_everybody_can_read_it(serve, work, tmp_path, kafka, kafka_node):
    sizes = {}
    for name, codec in {"none": 0, "lz4": 3, "zstd": 4}.items():
        topic = fresh_topic(kafka)
        flags = ["--kafka-bootstrap", kafka, "--topic", topic, "--kafka-compression", name]
        server = when_direct(serve("serve", tmp_path / name, *flags))
        work(tmp_path / name, *flags)
        sent = [event(f"img-{n}", dim=64, tags=["a", "b"], camera={"maker": "nobody", "model": "none"}) for n in range(200)]
        lines = "".join(json.dumps(one) + "\n" for one in sent)
        answer = requests.post(server.url + "/metadata/batch", data=lines, timeout=PATIENCE_S)
        assert answer.text.count('"durable_in":"kafka"') == len(sent), answer.text
        server.when_stored([one["metadata_id"] for one in sent])
        # Another client, of another language's Kafka library, gets each event as it was sent.
        values = {v["metadata_id"]: v for v in (json.loads(record.value) for record in records(kafka, topic))}
        for one in sent:
            value = values[one["metadata_id"]]
            assert {key: value[key] for key in one if key != "embedding"} == {key: one[key] for key in one if key != "embedding"}
            assert value["embedding"] == pytest.approx(one["embedding"])
        sizes[name], codecs = kept_on_disk(kafka_node, topic)
        assert codecs == {codec}, name
    print(sizes)
    assert sizes["lz4"] < 0.9 * sizes["none"]
    assert sizes["zstd"] < 0.6 * sizes["none"]


def test_json_of_another_writer_becomes_a_document(work, tmp_path, kafka, topic, on_kafka):
    work(tmp_path, *on_kafka)
    plain = {"metadata_id": "x-1", "source_uri": None, "embedding": [1, 2.5], "embedding_dim": 2, "gpu_hardware": None}
    # In milliseconds, as many clocks give the time: it would be newer than whatever comes later.
    produce(kafka, topic, "x-1", json.dumps(plain | {"ingested_at": 1699999999000}))
    produce(kafka, topic, "x-1", json.dumps(plain | {"extra": {"pipeline": "old"}, "ingested_at": 1700000000.25}))
    document = when_stored(tmp_path, ["x-1"])["x-1"]
    assert document["embedding"] == [1.0, 2.5]
    assert document["ingested_at"] == 1700000000.25
    assert document["version"] == 1700000000250000
    assert document["pipeline"] == "old"
    letter = eventually(lambda: records(kafka, topic + ".dlq"), "the letter")[0]
    assert b"ingested_at: must be Unix seconds" in dict(letter.headers)["reason"]


def test_what_can_not_be_stored_is_a_letter_in_the_topic_of_dead_letters(work, tmp_path, kafka, topic, on_kafka):
    work(tmp_path, *on_kafka)
    produce(kafka, topic, "bad", b"no event", headers={"traceparent": TRACE})
    produce(kafka, topic, "good", json.dumps({"metadata_id": "good", "embedding": [1]}))
    when_stored(tmp_path, ["good"])
    letter = eventually(lambda: records(kafka, topic + ".dlq"), "the letter")[0]
    assert (letter.key, letter.value) == (b"bad", b"no event")
    headers = dict(letter.headers)
    (original,) = [r for r in records(kafka, topic) if r.key == b"bad"]
    assert b"event record" in headers["reason"]
    assert headers["stage"] == b"decode"
    assert headers["source_topic"] == topic.encode()
    assert (int(headers["source_partition"]), int(headers["source_offset"])) == (original.partition, original.offset)
    assert headers["traceparent"] == TRACE.encode()
    listed = run("dlq", "list", *on_kafka, "--format", "ndjson")
    assert json.loads(listed.stdout)["key"] == "bad", listed.stderr
    shown = run("dlq", "show", "bad", *on_kafka)
    assert "no event" in shown.stdout, shown.stdout + shown.stderr
    refused = run("dlq", "replay", *on_kafka)
    assert refused.returncode == 1
    assert "not replayed" in refused.stderr


def test_a_dead_letter_in_json_goes_its_way_again(work, tmp_path, kafka, topic, on_kafka):
    value = json.dumps({"metadata_id": "again", "embedding": [1, 2], "ingested_at": 1700000000})
    reasons = [("reason", "store was full"), ("stage", "store"), ("source_topic", topic), ("source_partition", "0")]
    headers = reasons + [("source_offset", "7"), ("failed_at", "2026-11-23T18:58:17Z"), ("ca4_version", "1700000000000042")]
    produce(kafka, topic + ".dlq", "again", value, headers=headers)
    shown = run("dlq", "show", "again", *on_kafka, "--format", "ndjson")
    assert json.loads(shown.stdout)["event"]["metadata_id"] == "again", shown.stderr
    assert "1 dead letter, 1 not replayed" in run("dlq", "count", *on_kafka).stdout
    replayed = run("dlq", "replay", *on_kafka)
    assert replayed.returncode == 0, replayed.stderr
    assert "1 replayed" in replayed.stdout
    assert "1 dead letter, 0 not replayed" in run("dlq", "count", *on_kafka).stdout
    work(tmp_path, *on_kafka)
    assert when_stored(tmp_path, ["again"])["again"]["version"] == 1700000000000042
    (record,) = records(kafka, topic)
    assert record.value.decode() == value
    assert dict(record.headers) == {"ca4_version": b"1700000000000042", "replayed_from": b"0:7"}


def test_the_whole_pipeline_in_one_process_runs_on_kafka_too(up, on_kafka):
    server = up(*on_kafka, "--archive-linger-ms", "100")
    server.accept(event("a"))
    server.when_stored(["a"])
    eventually(lambda: list(server.data_dir.glob("archive/**/*.npy")), "an archived matrix")


def test_whoever_taps_a_topic_leaves_no_group(up, start, kafka, on_kafka):
    server = when_direct(up(*on_kafka))
    server.accept(event("a"))
    server.when_stored(["a"])
    eventually(lambda: groups_of(kafka) >= {"ca4-worker", "ca4-archiver"}, "both groups are there")
    before = groups_of(kafka)
    flags = ["--format", "ndjson", "--rate", 1000]
    port = (server.data_dir / "admin/up").read_text().strip()
    for tap in (start("tap", *on_kafka, *flags), start("tap", port, *flags)):

        def sees(tap=tap):
            server.accept(event("b"))
            return '"metadata_id":"b"' in tap.printed()

        eventually(sees, tap.said)
        assert groups_of(kafka) <= before
        tap.stop()


def test_two_workers_share_the_partitions_and_one_takes_over_from_the_other(serve, work, tmp_path, kafka, topic, on_kafka):
    # Stores of their own, so that it shows who did what.
    server = serve("serve", tmp_path / "a", *on_kafka)
    first = work(tmp_path / "a", *on_kafka)
    second = work(tmp_path / "b", *on_kafka)
    sent = []

    def both_have_some():
        sent.append(f"img-{len(sent)}")
        server.accept(event(sent[-1]))
        return ids(tmp_path / "a") and ids(tmp_path / "b")

    eventually(both_have_some, "both workers stored something")
    eventually(lambda: ids(tmp_path / "a") | ids(tmp_path / "b") == set(sent), "everything stored")
    second.stop()
    late = [f"late-{i}" for i in range(20)]
    for metadata_id in late:
        server.accept(event(metadata_id))
    when_stored(tmp_path / "a", late)
    first.stop()
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "no lag")


def ids(data_dir):
    """The ids that are stored there; none while there is no store."""
    result = run("query", "--data-dir", data_dir, "--format", "ndjson", "--limit", "0")
    return {json.loads(line)["metadata_id"] for line in result.stdout.splitlines()}


def test_topics_are_made_by_nobody_but_topics_ensure(serve, work, tmp_path, kafka):
    topic = f"test-{uuid.uuid4().hex[:12]}"
    flags = ["--kafka-bootstrap", kafka, "--topic", topic]
    server = serve("serve", tmp_path, *flags, "--kafka-delivery-timeout-ms", "1000", "--no-kafka-outbox")
    worker = work(tmp_path, *flags)
    with_outbox = serve("serve", tmp_path / "outbox", *flags, "--kafka-delivery-timeout-ms", "1000")
    assert with_outbox.accept(event("waits"))["durable_in"] == "outbox"
    eventually(lambda: "ca4 topics ensure" in with_outbox.said(), "it says what is missing")
    problem = assert_problem(server.post(event("a")), 503)
    assert "ca4 topics ensure" in problem["detail"]
    assert server.get("/readyz").status_code == 503
    eventually(lambda: "ca4 topics ensure" in worker.said(), "the worker says what is missing")
    listed = run("topics", "list", *flags, "--json")
    assert listed.returncode == 1
    assert [row["state"] for row in json.loads(listed.stdout)["topics"]] == ["missing", "missing"]

    assert run("topics", "ensure", *flags, "--kafka-partitions", 2).returncode == 0
    eventually(lambda: server.post(event("a")).status_code == 200, "taken without a restart")
    server.when_stored(["a", "waits"])
    eventually(lambda: server.get("/readyz").status_code == 200, "ready again")


def test_topics_ensure_says_what_differs_and_grows_only_when_told(kafka, topic):
    flags = ["--kafka-bootstrap", kafka, "--topic", topic]

    def ensure(*more):
        ran = run("topics", "ensure", *flags, "--json", *more)
        return ran.returncode, {row["topic"]: row for row in json.loads(ran.stdout)["topics"]}

    code, rows = ensure("--kafka-partitions", 3)
    assert (code, rows[topic]["state"], rows[topic + ".dlq"]["state"]) == (0, "ok", "ok")
    assert (rows[topic]["partitions"], rows[topic + ".dlq"]["partitions"]) == (3, 1)
    assert (rows[topic]["replicas"], rows[topic]["min_insync"], rows[topic]["leaderless"]) == (1, 1, 0)
    kept = ConfigResource(ConfigResource.Type.TOPIC, topic + ".dlq")
    admin = AdminClient({"bootstrap.servers": kafka})
    limits = admin.describe_configs([kept])[kept].result(PATIENCE_S)
    assert {limits[name].value for name in ["retention.ms", "retention.bytes"]} == {"-1"}
    assert not limits["retention.bytes"].is_default  # also where brokers have a limit of their own
    assert ensure("--kafka-partitions", 2)[0] == 0  # more is never wrong
    code, rows = ensure("--kafka-partitions", 5)
    assert (code, rows[topic]["state"], rows[topic]["partitions"]) == (1, "differs", 3)
    assert "--grow" in rows[topic]["differs"][0]
    code, rows = ensure("--kafka-partitions", 5, "--grow")
    assert (code, rows[topic]["state"], rows[topic]["partitions"]) == (0, "grown", 5)
    code, rows = ensure("--kafka-partitions", 5, "--kafka-record-bytes-max", 32 << 20)
    assert (code, rows[topic]["state"]) == (1, "differs")
    assert "max.message.bytes" in rows[topic]["differs"][0]
    refused = run("topics", "ensure", *flags[:3], topic + "-3", "--kafka-replicas", 3)
    assert refused.returncode == 1
    assert "only 1 broker" in refused.stderr
    unset = run("topics", "list")
    assert unset.returncode == 78


def test_small_events_get_into_a_topic_that_takes_only_small_requests(serve, work, tmp_path, kafka):
    limit = 64 << 10
    topic = fresh_topic(kafka, "--kafka-record-bytes-max", limit, partitions=1)
    flags = ["--kafka-bootstrap", kafka, "--topic", topic]
    listed = run("topics", "list", *flags, "--json")
    assert listed.returncode == 1
    rows = json.loads(listed.stdout)["topics"]
    assert [row["state"] for row in rows] == ["differs", "differs"]
    assert "max.message.bytes" in rows[0]["differs"][0]
    assert run("topics", "list", *flags, "--kafka-record-bytes-max", limit).returncode == 0

    server = when_direct(serve("serve", tmp_path, *flags, "--kafka-compression", "none", "--kafka-linger-ms", "50"))
    ids = [f"img-{i}" for i in range(200)]
    results = results_of(post_lines(server, [event(i, dim=256) for i in ids]))
    assert {r["status"] for r in results} == {"ok"}
    assert {r["durable_in"] for r in results} == {"kafka"}
    assert "topics list" in server.said()
    # Only the brokers know that one of these is too large.
    refused = assert_problem(post_lines(server, [event("small"), event("large", dim=32768)]), 413)
    assert "others may be kept" in refused["detail"]
    assert "max.message.bytes" in refused["detail"]
    work(tmp_path, *flags)
    server.when_stored(ids)


def test_verify_says_what_brokers_and_topics_are_like(tmp_path, kafka, topic, on_kafka):
    result = run("verify", "kafka", "--json", "--data-dir", tmp_path, *on_kafka)
    assert result.returncode == 0, result.stdout + result.stderr
    checks = {f"{check['suite']}/{check['name']}": check for check in json.loads(result.stdout)["checks"]}
    assert kafka in checks["kafka/brokers"]["detail"]
    assert "3 partitions with 1 replicas, all in sync" in checks["kafka/topic"]["detail"]
    assert checks["kafka/write-and-read"]["outcome"] == "pass"
    assert any(record.key.startswith(b"ca4-verify-") for record in records(kafka, topic))


def test_verify_says_which_topic_is_missing(tmp_path, kafka):
    absent = f"absent-{uuid.uuid4().hex}"
    result = run("verify", "kafka", "--json", "--data-dir", tmp_path, "--kafka-bootstrap", kafka, "--topic", absent)
    assert result.returncode == 1
    checks = {f"{check['suite']}/{check['name']}": check for check in json.loads(result.stdout)["checks"]}
    assert checks["kafka/topic"]["outcome"] == "fail"
    assert f"make {absent} with `ca4 topics ensure`" in checks["kafka/topic"]["fix"]
