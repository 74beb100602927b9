"""Measures the longest gap in service after a fault heals, on real servers of this machine.

    .deps/venv/bin/python bench/faults.py [--down-s 30]

`ca4 serve` and `ca4 work` run on Kafka and a MongoDB-wire database, and a client posts an event every 50 ms. Each fault lasts
--down-s seconds. Then, from the moment in which it is healed: the time until a fresh event is acknowledged by Kafka itself (not
the outbox), and until an event that was posted after the healing is in the database. Nothing of ours is restarted, and in the end
every acknowledged event must be in the database once.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import requests
from frame.results import table

sys.path += [str(Path(__file__).resolve().parent.parent / folder) for folder in ("tests", "lab")]
from kafka_records import fresh_topic, warm_up, when_direct  # noqa: E402
from kafka_server import KafkaCluster  # noqa: E402
from mongo_server import Database, NxServer  # noqa: E402
from support import Program, Server, event, eventually  # noqa: E402
from tcp_fault_proxy import TcpFaultProxy  # noqa: E402


class Client:
    """Posts an event every 50 ms; keeps when each was acknowledged and where it was durable then."""

    def __init__(self, url):
        self.url, self.acknowledged, self.refused = url, [], 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        number = 0
        with requests.Session() as session:
            while not self._over.wait(0.05):
                metadata_id, begun = f"img-{number}", time.monotonic()
                number += 1
                answer = session.post(self.url + "/metadata", json=event(metadata_id, dim=64), timeout=60)
                if answer.status_code == 200:
                    self.acknowledged.append((begun, time.monotonic(), metadata_id, answer.json()["durable_in"]))
                else:
                    self.refused += 1

    def first_after(self, moment, places):
        return next((a for a in list(self.acknowledged) if a[0] >= moment and a[3] in places), None)

    def stop(self):
        self._over.set()
        self._thread.join()


class Pipeline:
    def __init__(self, folder, broker, mongo):
        self.kafka = TcpFaultProxy(("127.0.0.1", broker.ports["PLAINTEXT"]))
        self.mongo = TcpFaultProxy(("127.0.0.1", mongo.port))
        self.database = Database(mongo, f"mongodb://{self.mongo.address}/")
        self.topic = fresh_topic(broker.address())
        flags = ["--kafka-bootstrap", self.kafka.address, "--kafka-broker-map", f"*={self.kafka.address}", "--topic", self.topic]
        flags += ["--no-archive"]
        self.server = Server("serve", folder / "serve", *flags, env=self.database.env)
        self.server.wait_until_listening()
        self.worker = Program("work", "--data-dir", folder / "work", *flags, env=self.database.env)
        when_direct(self.server)
        self.client = Client(self.server.url)

    def close(self):
        self.client.stop()
        for program in (self.worker, self.server):
            program.stop()
        self.kafka.close()
        self.mongo.close()


def measure(name, fail, heal, pipeline, down_s):
    client = pipeline.client
    eventually(lambda: client.first_after(0, ["kafka"]), "the pipeline runs")
    refused, before = client.refused, time.monotonic()
    fail()
    time.sleep(down_s)
    heal()
    healed = time.monotonic()
    direct = eventually(lambda: client.first_after(healed, ["kafka"]), "Kafka acknowledges again", 120)
    fresh = eventually(lambda: client.first_after(healed, ["kafka", "outbox"]), "an event is taken", 120)
    eventually(lambda: pipeline.database.get(fresh[2]), "a fresh event is stored", 120)
    stored = time.monotonic() - healed
    during = Counter(a[3] for a in client.acknowledged if before <= a[0] < healed)
    return {"fault": name, "taken meanwhile": f"{during['kafka']} kafka, {during['outbox']} outbox", "refused": client.refused - refused,
            "Kafka answers again after s": f"{direct[1] - healed:.1f}", "a fresh event is stored after s": f"{stored:.1f}"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--down-s", type=float, default=30)
    down_s = arguments.parse_args().down_s
    with tempfile.TemporaryDirectory(prefix="ca4-faults-") as name:
        folder = Path(name)
        cluster = KafkaCluster(folder / "kafka")
        mongo = NxServer(folder)
        pipeline = None
        try:
            (broker,) = cluster.start().nodes
            warm_up(broker.address())
            mongo.start()
            pipeline = Pipeline(folder, broker, mongo)
            faults = [
                ("broker killed", broker.server.kill, broker.server.start),
                ("packets to the broker dropped", pipeline.kafka.stall, pipeline.kafka.heal),
                ("broker refuses connections", pipeline.kafka.refuse, pipeline.kafka.heal),
                ("database killed", mongo.kill, mongo.start),
                ("packets to the database dropped", pipeline.mongo.stall, pipeline.mongo.heal),
            ]
            rows = [measure(title, fail, heal, pipeline, down_s) for title, fail, heal in faults]
            pipeline.client.stop()
            acknowledged = {a[2] for a in pipeline.client.acknowledged}
            eventually(lambda: pipeline.database.holds(acknowledged), "every acknowledged event is stored", 120)
            assert pipeline.database.collection.count_documents({}) == len(acknowledged), "a document that nobody was promised"
            print(f"each fault for {down_s:g} s\n\n{table(rows)}\n\n{len(acknowledged)} acknowledged, all stored, each once")
        finally:
            if pipeline is not None:
                pipeline.close()
            mongo.kill()
            cluster.stop()


if __name__ == "__main__":
    main()
