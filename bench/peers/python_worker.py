"""A worker of the usual kind, from Kafka to MongoDB, as most are written: kafka-python and pymongo.

    python_worker.py one|many BOOTSTRAP TOPIC GROUP MONGO_URI DATABASE

`one` inserts each event by itself; `many` writes what a poll brought as one unordered bulk of upserts, which is safe to do
again. Both leave committing to kafka-python (every 5 s), as its examples do.
"""

import json
import sys

from kafka import KafkaConsumer
from pymongo import MongoClient, ReplaceOne


def document(message):
    event = message.value
    return event | {
        "_id": event["metadata_id"],
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
    }


def one_by_one(consumer, collection):
    for message in consumer:
        collection.insert_one(document(message))


def in_bulk(consumer, collection):
    while True:
        polled = consumer.poll(timeout_ms=500)
        documents = [document(message) for messages in polled.values() for message in messages]
        if documents:
            collection.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents], ordered=False)


def main():
    way, bootstrap, topic, group, uri, database = sys.argv[1:]
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", value_deserializer=json.loads)
    collection = MongoClient(uri)[database]["gpu_metadata"]
    {"one": one_by_one, "many": in_bulk}[way](consumer, collection)


if __name__ == "__main__":
    main()
