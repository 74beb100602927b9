"""A topic that is deleted while processor and worker use it, and comes back."""

import re

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from kafka_records import when_direct
from support import PATIENCE_S, event, eventually, run


def delete(bootstrap, topic):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.delete_topics([topic], request_timeout=PATIENCE_S).values():
        done.result(PATIENCE_S)
    eventually(lambda: topic not in admin.list_topics(timeout=PATIENCE_S).topics, "the topic is gone")


@pytest.mark.parametrize("noticed", [False, True])
def test_a_worker_ends_after_its_topic_was_deleted(serve, work, tmp_path, kafka, topic, on_kafka, noticed):
    server = when_direct(serve("serve", tmp_path, *on_kafka))
    worker = work(tmp_path, *on_kafka)
    server.accept(event("before"))
    server.when_stored(["before"])
    delete(kafka, topic)
    if noticed:
        eventually(lambda: "ca4 topics ensure" in worker.said(), "it says what is missing")
    # librdkafka alone never comes to the end of an instance whose topic is gone.
    worker.stop()
    server.stop()


def test_a_topic_that_comes_back_is_used_again(serve, work, tmp_path, kafka, topic, on_kafka):
    server = when_direct(serve("serve", tmp_path, *on_kafka, "--kafka-delivery-timeout-ms", "1000"))
    worker = work(tmp_path, *on_kafka)
    server.accept(event("before"))
    server.when_stored(["before"])
    delete(kafka, topic)
    answer = server.accept(event("meanwhile"))
    assert answer["durable_in"] == "outbox"
    eventually(lambda: "ca4 topics ensure" in worker.said(), "it says what is missing")
    assert run("topics", "ensure", *on_kafka, "--kafka-partitions", 3).returncode == 0
    server.accept(event("after"))
    server.when_stored(["before", "meanwhile", "after"])
    worker.stop()
    server.stop()


def test_a_topic_that_is_replaced_at_once_is_read_and_committed(serve, work, tmp_path, kafka, topic, on_kafka):
    server = when_direct(serve("serve", tmp_path, *on_kafka))
    worker = work(tmp_path, *on_kafka)

    def stored(prefix, count):
        ids = [f"{prefix}-{i}" for i in range(count)]
        for metadata_id in ids:
            server.accept(event(metadata_id))
        server.when_stored(ids)

    stored("before", 60)
    worker.stop()
    worker = work(tmp_path, *on_kafka)  # begins behind these
    stored("again", 30)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([topic])[topic].result(PATIENCE_S)

    def made():
        future = admin.create_topics([NewTopic(topic, 3)], request_timeout=PATIENCE_S)[topic]
        return future.exception(PATIENCE_S) is None

    eventually(made, "the topic is there again")
    stored("after", 12)
    eventually(lambda: server.metric("ca4_lag_records", group="ca4-worker") == 0, "its group is at the end")
    assert re.search(r"offset reset \(at offset \d+, .*docs/kafka.md#retention", worker.said()), worker.said()
    worker.stop()
    server.stop()
