"""Somebody else who writes to the topic, and nothing that is an event: each of these must become a dead letter, and stop nobody."""

import random
import threading

from confluent_kafka import Producer

EVERY_S = 0.5
DELIVERY_S = 60
VALUES = (b"no event", b"", b'{"metadata_id": 7}', b"\xca\x01torn", b'{"embedding": [1, 2]')


class Stranger(threading.Thread):
    """Writes straight to the broker: what is planned for the way to it is not meant for this one."""

    def __init__(self, bootstrap, topic, seed, ledger):
        super().__init__(daemon=True, name="stranger")
        self._topic, self._ledger, self._rng = topic, ledger, random.Random(f"{seed} stranger")
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "delivery.timeout.ms": DELIVERY_S * 1000, "log_level": 0, "acks": "all"}
        )
        self._over = threading.Event()

    def stop(self):
        """Returns from join() when the fate of each is known."""
        self._over.set()

    def run(self):
        made = 0
        while not self._over.wait(EVERY_S):
            metadata_id = f"stranger-{made}"
            made += 1
            (number,) = self._ledger.begin([(metadata_id, 0, "", True)], foreign=True)

            def told(error, _, number=number):
                self._ledger.end(number, "unknown" if error else "ok", late=bool(error))

            self._producer.produce(self._topic, key=metadata_id, value=self._rng.choice(VALUES), on_delivery=told)
            self._producer.poll(0)
        self._producer.flush(DELIVERY_S)
