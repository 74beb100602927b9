"""The outbox in front of a real Kafka that goes away and comes back."""

import json
import threading

import pytest
import requests
from kafka_records import fresh_topic, records, warm_up, when_direct
from kafka_server import KafkaCluster
from support import PATIENCE_S, documents, event, eventually, run, set_clock, when_stored, with_clock
from tcp_fault_proxy import TcpFaultProxy
from test_spool import small_disk

# What the forwarder sends at once, and so what one failure lets it send again (SpooledLogOptions::batch_records_max).
BATCH = 512


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory):
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka-outbox"))
    try:
        warm_up(cluster.start().bootstrap())
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def broker(one_broker):
    (node,) = one_broker.nodes
    if not node.server.runs():
        node.server.start()
        warm_up(node.address())
    return node


def durable_in(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["durable_in"]


def goes_to(server, place, refused=()):
    """Waits until a probe's answer names `place`; returns the ids of the probes, which are events like any other.

    Probes may be refused with the statuses `refused` before that.
    """
    probes = []

    def there():
        metadata_id = f"probe-{place}-{len(probes)}"
        answer = server.post(event(metadata_id))
        if answer.status_code in refused:
            return False
        probes.append(metadata_id)
        return durable_in(answer) == place

    eventually(there, f"events go to {place}")
    return probes


def spool_stats(data_dir, topic):
    shown = run("spool", "stats", "--format", "ndjson", "--data-dir", data_dir, "--topic", topic)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def keys(broker, topic):
    return [record.key.decode() for record in records(broker.address(), topic)]


def assert_delivered(found, sent):
    """Each at least once: what got no answer in the time of a delivery may be there all the same, and is sent again."""
    assert set(found) == set(sent)
    assert len(found) - len(sent) <= BATCH


def test_events_of_an_outage_wait_in_order_and_go_on_by_themselves(broker, serve, work, tmp_path):
    topic = fresh_topic(broker.address())
    flags = ["--kafka-bootstrap", broker.address(), "--topic", topic]
    server = serve("serve", tmp_path, *flags, "--kafka-delivery-timeout-ms", "2000")
    work(tmp_path, *flags)
    assert durable_in(when_direct(server).post(event("before"))) == "kafka"

    broker.server.kill()
    probes = goes_to(server, "outbox")
    for version in range(50):
        assert durable_in(server.post(event("same", dim=4, extra={"pipeline": f"p{version}"}))) == "outbox"
    assert server.get("/readyz").status_code == 200, "it takes events"
    eventually(lambda: "\nca4_kafka_up 0\n" in server.get("/metrics").text, "Kafka is seen to be away")

    broker.server.start()
    probes += goes_to(server, "kafka")
    when_stored(tmp_path, ["before", "same", *probes])
    eventually(lambda: "p49" in json.dumps(when_stored(tmp_path, ["same"])["same"]["extra"]), "the last version")
    # In the topic the versions stand in the order of acceptance.
    versions = [
        json.loads(record.value)["extra"]["pipeline"]
        for record in records(broker.address(), topic)
        if record.key == b"same"
    ]
    accepted = [f"p{n}" for n in range(50)]
    assert list(dict.fromkeys(versions)) == accepted
    assert_delivered(versions, accepted)
    assert keys(broker, topic).count("before") == 1


def test_a_processor_that_is_killed_sends_what_waited_after_its_restart(broker, serve, tmp_path):
    topic = fresh_topic(broker.address())
    flags = ["--kafka-bootstrap", broker.address(), "--topic", topic, "--kafka-delivery-timeout-ms", "1000"]
    broker.server.kill()
    server = serve("serve", tmp_path, *flags)
    waiting = [f"waits-{n}" for n in range(300)]
    for metadata_id in waiting:
        assert durable_in(server.post(event(metadata_id))) == "outbox"
    server.kill()
    assert spool_stats(tmp_path, topic)["waiting"] == len(waiting)

    # Still without a broker: it takes more.
    again = serve("serve", tmp_path, *flags)
    assert durable_in(again.post(event("more"))) == "outbox"
    broker.server.start()
    goes_to(again, "kafka")
    assert_delivered([key for key in keys(broker, topic) if not key.startswith("probe-")], [*waiting, "more"])


def test_what_was_delivered_before_a_crash_is_not_sent_again(broker, serve, tmp_path):
    topic = fresh_topic(broker.address())
    proxy = TcpFaultProxy(("127.0.0.1", broker.ports["PLAINTEXT"]))
    try:
        reached = ["--kafka-bootstrap", proxy.address, "--kafka-broker-map", f"*={proxy.address}"]
        flags = [*reached, "--topic", topic, "--kafka-compression", "none"]
        proxy.refuse()
        server = serve("serve", tmp_path, *flags)
        waiting = [f"waits-{n}" for n in range(2000)]
        for first in range(0, len(waiting), 1000):
            lines = "".join(json.dumps(event(i, dim=64)) + "\n" for i in waiting[first : first + 1000])
            answer = requests.post(server.url + "/metadata/batch", data=lines, timeout=PATIENCE_S)
            assert answer.text.count('"durable_in":"outbox"') == 1000, answer.text
        # Slowly, so that it is killed in the middle.
        proxy.heal()
        proxy.slow(bytes_per_s=500_000)
        eventually(lambda: 100 < len(keys(broker, topic)), "some are delivered")
        server.kill()
        left = spool_stats(tmp_path, topic)["waiting"]
        assert 0 < left < len(waiting)
        proxy.heal()
        serve("serve", tmp_path, *flags)
        eventually(lambda: set(keys(broker, topic)) == set(waiting), "all are delivered")
    finally:
        proxy.close()
    # At most the batch that was in flight comes twice.
    assert_delivered(keys(broker, topic), waiting)


def test_packets_that_go_nowhere_are_as_good_as_a_broker_that_is_away(broker, serve, work, tmp_path):
    topic = fresh_topic(broker.address())
    proxy = TcpFaultProxy(("127.0.0.1", broker.ports["PLAINTEXT"]))
    try:
        reached = ["--kafka-bootstrap", proxy.address, "--kafka-broker-map", f"*={proxy.address}"]
        server = serve("serve", tmp_path, *reached, "--topic", topic, "--kafka-delivery-timeout-ms", "1000")
        work(tmp_path, "--kafka-bootstrap", broker.address(), "--topic", topic)
        assert durable_in(when_direct(server).post(event("before"))) == "kafka"
        proxy.stall()
        probes = goes_to(server, "outbox")
        proxy.heal()
        probes += goes_to(server, "kafka")
        when_stored(tmp_path, ["before", *probes])
    finally:
        proxy.close()


def test_an_outbox_that_is_too_old_takes_nothing_new_until_it_is_delivered(broker, serve, tmp_path):
    topic = fresh_topic(broker.address())
    proxy = TcpFaultProxy(("127.0.0.1", broker.ports["PLAINTEXT"]))
    try:
        reached = ["--kafka-bootstrap", proxy.address, "--kafka-broker-map", f"*={proxy.address}", "--topic", topic]
        proxy.refuse()
        server = serve("serve", tmp_path, *reached, "--kafka-delivery-timeout-ms", "1000", "--kafka-outbox-age-s-max", "1")
        assert durable_in(server.post(event("first"))) == "outbox"
        taken = ["first"]

        def refused():
            answer = server.post(event(f"img-{len(taken)}"))
            if answer.status_code == 200:
                taken.append(answer.json()["metadata_id"])
            return [answer] if answer.status_code == 503 else None

        (answer,) = eventually(refused, "it is too old")
        assert int(answer.headers["Retry-After"]) > 0
        assert "kafka.outbox_age_s_max (1)" in answer.json()["detail"]
        assert "Connection refused" in answer.json()["detail"]
        assert server.get("/readyz").status_code == 503
        assert spool_stats(tmp_path, topic)["waiting"] == len(taken), "nothing that was taken is dropped"
        proxy.heal()
        probes = goes_to(server, "kafka", refused=(503,))
        assert server.get("/readyz").status_code == 200
    finally:
        proxy.close()
    assert_delivered(keys(broker, topic), taken + probes)


def test_a_full_disk_under_the_outbox_refuses_and_keeps_what_it_took(broker, serve, tmp_path):
    topic = fresh_topic(broker.address())
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        flags = ["--kafka-bootstrap", broker.address(), "--topic", topic, "--kafka-outbox-file", disk / "outbox.db"]
        broker.server.kill()
        server = serve("serve", tmp_path / "data", *flags, "--kafka-delivery-timeout-ms", "1000")
        taken = []

        def full():
            answer = server.post(event(f"img-{len(taken)}", dim=2048))
            if answer.status_code == 503:
                return answer.json()["detail"]
            assert durable_in(answer) == "outbox"
            taken.append(answer.json()["metadata_id"])
            return None

        for _ in range(2000):
            if detail := full():
                break
        assert "disk is full" in detail
        assert len(taken) > 20
        broker.server.start()
        goes_to(server, "kafka", refused=(503,))
        server.stop()
    assert_delivered([key for key in keys(broker, topic) if not key.startswith("probe-")], taken)


def test_no_acknowledged_event_is_lost_over_an_outage_under_load(broker, serve, work, tmp_path):
    topic = fresh_topic(broker.address())
    flags = ["--kafka-bootstrap", broker.address(), "--topic", topic]
    server = serve("serve", tmp_path, *flags, "--kafka-delivery-timeout-ms", "2000")
    work(tmp_path, *flags)
    acknowledged, stopped, lock = {"kafka": [], "outbox": []}, threading.Event(), threading.Lock()

    def post(number):
        for count in range(100_000):
            if stopped.wait(0.005):
                return
            metadata_id = f"load-{number}-{count}"
            place = durable_in(server.post(event(metadata_id)))
            with lock:
                acknowledged[place].append(metadata_id)

    threads = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            eventually(lambda: len(acknowledged["kafka"]) > 50, "the load runs")
            broker.server.kill()
            in_outbox = len(acknowledged["outbox"])
            eventually(lambda: len(acknowledged["outbox"]) > in_outbox + 100, "it goes on without a broker")
            broker.server.start()
            in_kafka = len(acknowledged["kafka"])
            eventually(lambda: len(acknowledged["kafka"]) > in_kafka + 50, "and with it again")
    finally:
        stopped.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    when_stored(tmp_path, acknowledged["kafka"] + acknowledged["outbox"])


def test_an_update_counts_although_the_clock_was_set_back_and_nobody_knew_the_newest_event(broker, serve, work, tmp_path):
    """A laptop that lost its power, its clock and its network: what it took before went to Kafka, which can't be asked."""
    topic = fresh_topic(broker.address())
    way = TcpFaultProxy(("127.0.0.1", int(broker.address().rpartition(":")[2])))
    clock = tmp_path / "clock"
    flags = ["--kafka-bootstrap", broker.address(), "--kafka-broker-map", f"{broker.address()}={way.address}", "--topic", topic]
    try:
        set_clock(clock, 3600)
        server = when_direct(serve("serve", tmp_path, *flags, env=with_clock(clock)))
        assert durable_in(server.post(event("same", dim=2))) == "kafka"
        # The next run begins where the disk says that this one was.
        mark = tmp_path / f"outbox/{topic}.db-version"
        eventually(lambda: mark.stat().st_size > 0, "the version is marked on the disk")
        server.kill()
        way.refuse()
        set_clock(clock, 0)
        server = serve("serve", tmp_path, *flags, env=with_clock(clock))
        assert durable_in(server.post(event("same", dim=3))) == "outbox"
        way.heal()
        when_direct(server)
        work(tmp_path, *flags)
        server.accept(event("after"))
        server.when_stored(["after", "same"])
        (same,) = (found for found in documents(tmp_path) if found["metadata_id"] == "same")
        assert same["embedding_dim"] == 3
    finally:
        way.close()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_of_two_processors_the_one_that_was_started_again_is_not_ahead(broker, serve, work, tmp_path, end):
    topic = fresh_topic(broker.address())
    flags = ["--kafka-bootstrap", broker.address(), "--topic", topic]
    one, other = (when_direct(serve("serve", tmp_path / name, *flags)) for name in ("one", "other"))
    mark = tmp_path / f"one/outbox/{topic}.db-version"
    one.accept(event("same", dim=2))
    eventually(lambda: mark.stat().st_size > 0, "the version is marked on the disk")
    getattr(one, end)()
    one = serve("serve", tmp_path / "one", *flags)
    one.accept(event("same", dim=3))
    other.accept(event("same", dim=4))
    work(tmp_path / "stored", *flags)
    other.accept(event("after"))
    when_stored(tmp_path / "stored", ["after", "same"])
    eventually(lambda: {d["metadata_id"]: d["embedding_dim"] for d in documents(tmp_path / "stored")}["same"] == 4, "the last one wins")
