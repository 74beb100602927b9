"""Clients as there are many: one event or a batch, numbers or base64, on a connection that is kept or on a fresh one."""

import http.client
import json
import random
import threading
import time

import payload

# Above what any planned fault keeps an answer back, so that a client gives up only what hangs.
TIMEOUT_S = 60
# In the answer to what was sent to Kafka, got no acknowledgement, and found no room in the outbox: it is refused, and may be there.
IN_DOUBT = b"Kafka may have it all the same"
HOT = 40  # ids of its own that a client sends again


class Client(threading.Thread):
    """Owns its ids: nobody else sends them, and it waits for an answer before the next request.

    Each connection is to one of `addresses`, as a balancer deals them out.
    """

    def __init__(self, number, seed, addresses, ledger, events_per_s):
        super().__init__(daemon=True, name=f"client {number}")
        self.number, self.addresses, self.ledger, self.events_per_s = number, addresses, ledger, events_per_s
        self._rng = random.Random(f"{seed} client {number}")
        self._over = threading.Event()
        self._connection, self._front = None, 0
        self._made = 0
        self._hot = {}  # id: [revision, fields, embedding]
        self._again = []  # what got no answer: (id, revision, fields, embedding)

    def stop(self):
        self._over.set()

    def run(self):
        due = time.monotonic()
        while not self._over.is_set():
            events = [self._next() for _ in range(1 if self._rng.random() < 0.5 else self._rng.randrange(2, 40))]
            self._post(events)
            # Not faster after a pause: what was not sent meanwhile is not made up for.
            due = max(due, time.monotonic() - 0.5) + len(events) / self.events_per_s
            self._over.wait(max(0.0, due - time.monotonic()))
        self._close()

    def _next(self):
        """(id, revision, hash, bad, body, fields, embedding)."""
        rng, draw = self._rng, self._rng.random()
        if self._again and draw < 0.7:
            metadata_id, revision, fields, embedding = self._again.pop()
        elif draw < 0.05:
            self._made += 1
            metadata_id = f"bad-{self.number}-{self._made}"
            fields, embedding = payload.make(rng, metadata_id, 0)
            return metadata_id, 0, payload.fingerprint(fields, embedding), True, payload.bad_body(rng, fields), None, None
        elif self._hot and draw < 0.35:
            metadata_id = rng.choice(list(self._hot))
            revision, fields, embedding = self._hot[metadata_id]
            if rng.random() < 0.75:  # else the same again, as a client does that did not hear the answer
                revision += 1
                fields, embedding = payload.make(rng, metadata_id, revision)
        else:
            self._made += 1
            metadata_id, revision = f"img-{self.number}-{self._made}", 0
            fields, embedding = payload.make(rng, metadata_id, 0)
        self._hot[metadata_id] = (revision, fields, embedding)
        if len(self._hot) > HOT:
            del self._hot[next(iter(self._hot))]
        text = payload.body(fields, embedding, compact=rng.random() < 0.5)
        return metadata_id, revision, payload.fingerprint(fields, embedding), False, text, fields, embedding

    def _post(self, events):
        batch = len(events) > 1 or self._rng.random() < 0.2
        if self._rng.random() < 0.3:
            self._close()
        if self._connection is None:
            self._front = self._rng.randrange(len(self.addresses))
        numbers = self.ledger.begin([event[:4] for event in events], self._front)
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.addresses[self._front], timeout=TIMEOUT_S)
                self._connection.connect()
        except OSError:
            self._close()
            self._end(numbers, "refused")  # it never left
            time.sleep(0.1)
            return
        try:
            path, kind = ("/metadata/batch", "application/x-ndjson") if batch else ("/metadata", "application/json")
            self._connection.request("POST", path, "\n".join(e[4] for e in events).encode(), {"Content-Type": kind})
            answer = self._connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._close()
            self._end(numbers, "unknown", late=isinstance(error, TimeoutError))
            self._again += [(e[0], e[1], e[5], e[6]) for e in events if not e[3] and self._hot.get(e[0], [-1])[0] == e[1]]
            return
        if answer.status == 200 and batch:
            for number, line in zip(numbers, map(json.loads, said.splitlines()), strict=True):
                if line["status"] == "ok":
                    self.ledger.end(number, "ok", 200, line["durable_in"], front=self._front)
                else:
                    self.ledger.end(number, "refused", line["error"]["status"], front=self._front)
        elif answer.status == 200:
            self.ledger.end(numbers[0], "ok", 200, json.loads(said)["durable_in"], front=self._front)
        else:
            self._end(numbers, "unknown" if IN_DOUBT in said else "refused", answer.status)
            if answer.status == 503:
                time.sleep(0.2)  # Retry-After says a second; a client less polite finds more

    def _end(self, numbers, outcome, status=0, late=False):
        for number in numbers:
            self.ledger.end(number, outcome, status, late=late, front=self._front)

    def _close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None
