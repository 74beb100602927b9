"""Brokers that die: one that is all there is, and one of three that leads."""

import json
import re
import select
import time
import uuid

import numpy
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from kafka_records import fresh_topic, records, warm_up, when_direct
from kafka_server import KafkaCluster
from server_process import free_port
from support import PATIENCE_S, assert_problem, clock_ahead_s, documents, event, eventually, run, set_clock, when_stored, with_clock
from tcp_fault_proxy import TcpFaultProxy
from test_durability import Load
from wire import Wire, request


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory):
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka-1"))
    try:
        warm_up(cluster.start().bootstrap())
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def lone_broker(one_broker):
    """All there is of a cluster; to be killed, since no other file's tests use it."""
    (node,) = one_broker.nodes
    if not node.server.runs():
        node.server.start()
        warm_up(node.address())
    return node


@pytest.fixture(scope="module")
def three_brokers(tmp_path_factory):
    """Three brokers behind one address each: what they call themselves, nobody can resolve."""
    cluster = KafkaCluster(
        tmp_path_factory.mktemp("kafka-3"), 3, advertise=lambda node, listener: f"kafka-{node.node_id}.ca4.invalid:9092"
    )
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def mapped(cluster):
    """The flags that find such brokers, as through tunnels."""
    pairs = [f"kafka-{node.node_id}.ca4.invalid:9092={node.address()}" for node in cluster.nodes]
    return ["--kafka-bootstrap", "kafka-1.ca4.invalid:9092,kafka-2.ca4.invalid:9092", "--kafka-broker-map", ",".join(pairs)]


def test_nobody_waits_while_kafka_is_asked_for_the_metrics(lone_broker, serve, tmp_path):
    proxy = TcpFaultProxy(("127.0.0.1", lone_broker.ports["PLAINTEXT"]))
    try:
        reached = ["--kafka-bootstrap", proxy.address, "--kafka-broker-map", f"*={proxy.address}"]
        server = when_direct(serve("serve", tmp_path, *reached, "--topic", fresh_topic(lone_broker.address())))
        # As through a tunnel on a slow link.
        proxy.slow(delay_s=0.3)
        # On connections enough that every event loop has some.
        scrapes, others = ([Wire(server.address) for _ in range(8)] for _ in range(2))
        for scrape in scrapes:
            scrape.send(request("GET", "/metrics"))
        for other in others:
            other.send(request("GET", "/livez"))
            assert other.receive().status == 200
        assert not select.select([scrape.socket for scrape in scrapes], [], [], 0)[0], "they waited for the metrics"
        texts = {scrape.receive().body for scrape in scrapes}
        assert all(b"ca4_lag_records{" in text for text in texts)
        # All that asked while the first was made shared the second.
        assert len(texts) <= 2
    finally:
        proxy.close()


def test_a_broker_that_is_killed_is_missed_and_found_again(lone_broker, serve, work, tmp_path):
    topic = fresh_topic(lone_broker.address())
    flags = ["--kafka-bootstrap", lone_broker.address(), "--topic", topic, "--kafka-delivery-timeout-ms", "2000", "--no-kafka-outbox"]
    server = serve("serve", tmp_path, *flags)
    worker = work(tmp_path, *flags)
    eventually(lambda: server.post(event("before")).status_code == 200, "taken")
    server.when_stored(["before"])

    lone_broker.server.kill()
    problem = assert_problem(server.post(event("meanwhile")), 503)
    assert "do not answer" in problem["detail"]
    eventually(lambda: server.get("/readyz").status_code == 503, "not ready")
    assert "\nca4_kafka_up 0\n" in server.get("/metrics").text
    assert server.get("/health").status_code == 200  # it is alive

    lone_broker.server.start()
    eventually(lambda: server.post(event("after")).status_code == 200, "taken again without a restart")
    server.when_stored(["before", "after"])
    eventually(lambda: server.get("/readyz").status_code == 200, "ready again")
    assert worker.runs()
    for program in (server, worker):
        # Once each time, and in our words: librdkafka says it for each client, connection and try. A busy broker may be slow at the start.
        said = program.said()
        words = re.findall(r"Z \w+ +kafka topic \S+: (the brokers do not answer|back again)", said)
        assert words in (n * ["the brokers do not answer", "back again"] for n in (1, 2)), said
        for theirs in ("FAIL", "REQTMOUT", "GETPID", "/bootstrap", "in state "):
            assert theirs not in said, said


@pytest.mark.alone
def test_topics_of_brokers_that_nobody_runs_are_not_waited_for(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    result = run("topics", "ensure", "--kafka-bootstrap", address)
    assert time.monotonic() - began < 8
    assert result.returncode == 1
    assert f"kafka: the brokers do not answer (Local: Broker transport failure); {address}: " in result.stderr
    assert "Connection refused" in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


def test_processor_and_worker_may_start_before_the_broker(lone_broker, serve, work, tmp_path):
    topic = fresh_topic(lone_broker.address())
    lone_broker.server.stop()
    flags = ["--kafka-bootstrap", lone_broker.address(), "--topic", topic, "--kafka-delivery-timeout-ms", "1000", "--no-kafka-outbox"]
    server = serve("serve", tmp_path, *flags)
    work(tmp_path, *flags)
    assert_problem(server.post(event("early")), 503)
    lone_broker.server.start()
    eventually(lambda: server.post(event("late")).status_code == 200, "taken")
    server.when_stored(["late"])


def test_a_worker_ends_while_the_broker_is_away(lone_broker, work, tmp_path):
    topic = fresh_topic(lone_broker.address())
    worker = work(tmp_path, "--kafka-bootstrap", lone_broker.address(), "--topic", topic)
    eventually(lambda: "work runs on" in worker.said(), "it runs")
    lone_broker.server.kill()
    worker.stop()


def leader(cluster, topic):
    """The node that leads partition 0."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap()})
    node_id = admin.list_topics(topic, PATIENCE_S).topics[topic].partitions[0].leader
    return next(node for node in cluster.nodes if node.node_id == node_id)


def test_a_cluster_that_loses_a_leader_under_load_loses_no_event(three_brokers, serve, work, tmp_path):
    topic = f"test-{uuid.uuid4().hex[:12]}"
    flags = [*mapped(three_brokers), "--topic", topic]
    made = run("topics", "ensure", *flags, "--json")
    assert made.returncode == 0, made.stderr
    rows = json.loads(made.stdout)["topics"]
    assert [(row["replicas"], row["min_insync"]) for row in rows] == [(3, 2), (3, 2)]

    server = serve("serve", tmp_path, *flags)
    work(tmp_path, *flags)
    load = Load(server.url, "load", dim=4)
    try:
        load.wait_for(51)
        lost = leader(three_brokers, topic)
        lost.server.kill()
        load.wait_for(len(load.acknowledged) + 201)  # it runs on without the leader
        lost.server.start()
        load.wait_for(len(load.acknowledged) + 51)  # and with it again
    finally:
        load.finish()
    assert load.other_statuses.keys() <= {503}
    # One document an id, by the store's own key; none of the acknowledged may be missing.
    when_stored(tmp_path, load.acknowledged)
    counted = json.loads(run("dlq", "count", *flags, "--format", "ndjson").stdout)
    assert counted["letters"] == 0


@pytest.fixture
def proxy(kafka):
    """On the way to the broker that tests share."""
    host, port = kafka.split(":")
    between = TcpFaultProxy((host, int(port)))
    yield between
    between.close()


@pytest.mark.parametrize(("value_format", "compression"), [("json", "none"), ("json", "zstd"), ("record", "none")])
def test_what_comes_damaged_from_a_broker_is_asked_for_again(
    serve, work, tmp_path, kafka, topic, on_kafka, proxy, value_format, compression
):
    server = when_direct(serve("serve", tmp_path, *on_kafka, "--kafka-value-format", value_format, "--kafka-compression", compression))
    sent = {f"a{i}": event(f"a{i}", dim=512, seed=i) for i in range(40)}
    for one in sent.values():
        server.accept(one)
    proxy.corrupt(to_server=False)
    flags = ("--kafka-bootstrap", proxy.address, "--kafka-broker-map", f"{kafka}={proxy.address}", "--topic", topic, "--no-archive")
    worker = work(tmp_path, *flags)
    eventually(lambda: proxy.corrupted >= 5, "records were damaged")
    eventually(lambda: "is damaged" in worker.said(), "it says so")
    proxy.heal()
    found = server.when_stored(sent)
    assert all(numpy.array_equal(numpy.float32(found[i]["embedding"]), numpy.float32(sent[i]["embedding"])) for i in sent)
    assert records(kafka, topic + ".dlq") == []
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "all of it is committed")
    worker.stop()


def test_a_batch_that_lies_damaged_on_the_brokers_disk_is_named_and_holds_up_no_other_partition(work, tmp_path, kafka_node, kafka, topic):
    producer = Producer({"bootstrap.servers": kafka})

    def put(name, partition):
        producer.produce(topic, json.dumps(event(name, dim=64)), name, partition=partition)
        assert producer.flush(PATIENCE_S) == 0

    for i in range(5):
        put(f"a{i}", 0)
    segment = (kafka_node.folder / "data" / f"{topic}-0" / f"{0:020}.log").open("r+b", buffering=0)
    place = segment.read().index(b'"a2"')
    segment.seek(place)
    segment.write(b'"x2"')
    worker = work(tmp_path, "--kafka-bootstrap", kafka, "--topic", topic, "--no-archive")
    eventually(lambda: "MessageSet at offset 2 " in worker.said(), "the log names it")
    for i in range(30):
        put(f"b{i}", 1)
        time.sleep(0.1)
    sound = {"a0", "a1", *(f"b{i}" for i in range(30))}
    when_stored(tmp_path, sound)
    assert {one["metadata_id"] for one in documents(tmp_path)} == sound
    assert worker.said().count("poll fails") < 5  # once in half a minute
    segment.seek(place)
    segment.write(b'"a2"')
    segment.close()
    when_stored(tmp_path, {f"a{i}" for i in range(5)})
    worker.stop()


def test_a_machine_that_has_no_thread_left_is_no_wrong_configuration():
    # More stack a thread than there are addresses; systemd starts again what ends with 1, and never what ends with 78.
    stack = 1 << 48
    ran = run("topics", "list", "--kafka-bootstrap", "127.0.0.1:1", prefix=["prlimit", f"--stack={stack}:{stack}"])
    assert ran.returncode == 1, ran.stderr
    assert "Failed to create thread" in ran.stderr


def test_a_clock_that_is_set_back_holds_nobody_up(serve, work, tmp_path, kafka, topic, on_kafka):
    """A wait of librdkafka's that ended by the time of day would take the hour longer."""
    clock = tmp_path / "clock"
    set_clock(clock, 3600)
    server = when_direct(serve("serve", tmp_path, *on_kafka, env=with_clock(clock)))
    worker = work(tmp_path, *on_kafka, env=with_clock(clock))
    assert clock_ahead_s(server.url) > 3000
    server.accept(event("ahead"))
    server.when_stored(["ahead"])
    set_clock(clock, 0)
    eventually(lambda: clock_ahead_s(server.url) < 60, "the clock is back")
    server.accept(event("back"))
    server.when_stored(["back"])
    for program in (worker, server):
        began = time.monotonic()
        program.stop()
        assert time.monotonic() - began < 20
