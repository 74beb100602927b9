"""What is in a Kafka topic, and putting something there, by a client that is not ours."""

import uuid
from collections import namedtuple

from confluent_kafka import Consumer, Producer, TopicPartition
from support import PATIENCE_S, eventually, run

Record = namedtuple("Record", "partition offset key value headers")


def fresh_topic(bootstrap, *flags, partitions=3):
    """A topic of its own, with that of its dead letters; returns its name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    made = run("topics", "ensure", "--kafka-bootstrap", bootstrap, "--topic", name, "--kafka-partitions", partitions, *flags)
    assert made.returncode == 0, made.stdout + made.stderr
    return name


def warm_up(bootstrap):
    """Until the broker has made what idempotent writers need: it answers before that, and then their first event waits in the outbox."""
    produce(bootstrap, fresh_topic(bootstrap), "warm", "up", **{"enable.idempotence": True})


def when_direct(server):
    """Waits until this processor sends events to Kafka as they come; returns the server."""
    eventually(lambda: '\nca4_outbox_state{state="direct"} 1\n' in server.get("/metrics").text, "events go to Kafka directly")
    return server


def records(bootstrap, topic, **settings):
    """Every record of a topic, in offset order within a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False} | settings)
    try:
        partitions = consumer.list_topics(topic, PATIENCE_S).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), PATIENCE_S)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        found = []

        def all_read():
            for message in consumer.consume(1000, 1):
                if message.error():
                    continue
                found.append(
                    Record(message.partition(), message.offset(), message.key(), message.value(), message.headers() or [])
                )
                if message.offset() + 1 >= ends.get(message.partition(), 0):
                    ends.pop(message.partition(), None)
            return not ends

        if ends:
            eventually(all_read, f"all of {topic} read")
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close()


def produce(bootstrap, topic, key, value, headers=None, **settings):
    producer = Producer({"bootstrap.servers": bootstrap} | settings)
    failures = []
    producer.produce(topic, key=key, value=value, headers=headers, on_delivery=lambda error, _: failures.append(error))
    producer.flush(PATIENCE_S)
    assert failures == [None], failures
