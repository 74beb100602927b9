"""An acknowledged event is stored exactly once, whatever is killed; what can't be kept is not acknowledged."""

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest
import requests
from support import PATIENCE_S, event, eventually, when_stored
from test_spool import small_disk
from test_worker import keys_in_log
from wire import Wire

KILL_ROUNDS = int(os.environ.get("CA4_KILL_ROUNDS", 5))


class Load:
    """Clients that post without pause until told to stop. Ids count from the moment the 200 is here."""

    def __init__(self, url, prefix, clients=4, dim=256):
        self.url = url
        self.prefix = prefix
        self.dim = dim
        self.acknowledged = set()
        self.other_statuses = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(c,)) for c in range(clients)]
        for thread in self._threads:
            thread.start()

    def _client(self, client):
        with requests.Session() as session:
            n = 0
            while not self._over.is_set():
                metadata_id = f"{self.prefix}-{client}-{n}"
                try:
                    answer = session.post(
                        self.url + "/metadata", json=event(metadata_id, self.dim), timeout=PATIENCE_S
                    )
                except requests.RequestException:
                    return  # killed: nothing was promised
                if answer.status_code == 200:
                    self.acknowledged.add(metadata_id)
                else:
                    self.other_statuses[answer.status_code] += 1
                n += 1

    def wait_for(self, events):
        eventually(lambda: len(self.acknowledged) >= events, f"{events} events under load")

    def finish(self):
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()
        return self.acknowledged


def test_every_acknowledged_event_is_there_once_after_kill_9_under_load(up, tmp_path):
    acknowledged = set()
    data = tmp_path / "data"
    rng = random.Random()
    seed = rng.randrange(1 << 32)
    print(f"random moments from seed {seed}")
    rng.seed(seed)
    for round_number in range(KILL_ROUNDS):
        server = up(data_dir=data)
        load = Load(server.url, f"r{round_number}")
        load.wait_for(rng.randrange(1, 150))
        # No synchronisation: the moment is to be anywhere within a group commit, a store batch, a checkpoint.
        time.sleep(rng.uniform(0, 0.05))
        server.kill()
        acknowledged |= load.finish()
    server = up(data_dir=data)
    when_stored(data, acknowledged)
    server.accept(event("after"))
    when_stored(data, ["after"])
    server.stop()
    # Each was sent once: nothing may have put it into the log a second time.
    counts = Counter(keys_in_log(data))
    assert acknowledged <= counts.keys()
    assert set(counts.values()) == {1}


def test_sigterm_under_load_loses_nothing_and_exits_0(up, tmp_path):
    data = tmp_path / "data"
    server = up(data_dir=data)
    load = Load(server.url, "t", clients=8)
    load.wait_for(100)
    server.stop()
    acknowledged = load.finish()
    assert load.other_statuses.keys() <= {503}
    up(data_dir=data)
    when_stored(data, acknowledged)
    counts = Counter(keys_in_log(data))
    assert acknowledged <= counts.keys()
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_pipeline_ends_with_0(up, number):
    server = up()
    server.signal(number)
    assert server.wait() == 0


def test_after_sigterm_a_request_in_flight_is_still_answered(up):
    server = up()
    body = b'{"metadata_id": "slow", "embedding": [1]}'
    connection = Wire(server.address)
    connection.send(
        b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    assert connection.receive().status == 100  # the server is in the middle of this request
    server.signal(signal.SIGTERM)

    def refuses_newcomers():
        try:
            Wire(server.address).close()
        except ConnectionError:
            return True
        return False

    eventually(refuses_newcomers, "the server accepts no more connections")
    connection.send(body)
    assert connection.receive().json()["metadata_id"] == "slow"
    assert server.wait() == 0


def test_a_client_that_never_ends_its_request_does_not_hold_up_the_end(up):
    server = up("--shutdown-grace-ms", "500")
    connection = Wire(server.address)
    connection.send(
        b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        b"Content-Length: 9\r\n\r\n"
    )
    assert connection.receive().status == 100
    server.stop()


def test_events_of_a_server_without_worker_wait_for_one(serve, start, tmp_path):
    server = serve("serve", tmp_path)
    ids = [f"w{i}" for i in range(20)]
    for i in ids:
        server.accept(event(i))
    worker = start("work", "--data-dir", tmp_path)
    when_stored(tmp_path, ids)
    # Both run on: what comes now is stored too.
    server.accept(event("later"))
    when_stored(tmp_path, ["later"])
    worker.stop()
    server.stop()


def test_a_server_without_worker_shows_how_far_it_is_behind(serve, start, tmp_path):
    server = serve("serve", tmp_path)

    def lag():
        return {group: server.metric("ca4_lag_records", group=group) for group in ("ca4-worker", "ca4-archiver")}

    assert lag() == {"ca4-worker": 0, "ca4-archiver": 0}
    for i in range(3):
        server.accept(event(f"e{i}"))
    assert lag() == {"ca4-worker": 3, "ca4-archiver": 3}
    worker = start("work", "--data-dir", tmp_path, "--archive-linger-ms", "0")
    eventually(lambda: set(lag().values()) == {0}, "the worker has caught up")
    worker.stop()


def fill(disk):
    """Until there is no room for another byte."""
    with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
        while True:
            filler.write(b"x" * 4096)


def test_a_full_log_is_503_until_a_worker_has_made_room(serve, start, tmp_path):
    server = serve("serve", tmp_path, "--log-bytes-max", str(1 << 20))
    accepted = []

    def post(n):
        answer = server.post(event(f"f{n}", dim=2048))
        if answer.status_code == 200:
            accepted.append(f"f{n}")
        return answer

    refused = next(answer for answer in map(post, range(1000)) if answer.status_code != 200)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["Content-Type"].split(";")[0] == "application/problem+json"
    assert server.get("/livez").status_code == 200

    worker = start("work", "--data-dir", tmp_path, "--archive-linger-ms", "100")
    when_stored(tmp_path, accepted)
    numbers = iter(range(1000, 100000))
    eventually(lambda: post(next(numbers)).status_code == 200, "there is room again")
    when_stored(tmp_path, accepted)
    worker.stop()


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_processor_starts_on_a_full_disk_and_says_so(serve, command, tmp_path):
    with small_disk(tmp_path / "disk", 32 << 20) as disk:
        server = serve("up", disk / "data")
        kept = server.accept(event("kept"))["metadata_id"]
        server.when_stored([kept])
        server.kill()
        fill(disk)
        server = serve(command, disk / "data")
        answer = server.post(event("refused", dim=4096))
        assert answer.status_code == 503
        assert "disk is full" in answer.json()["detail"]
        assert server.get("/api/documents").json()["documents"][0]["metadata_id"] == "kept"
        (disk / "filler").unlink()
        server.accept(event("again"))
        server.stop()


def test_a_second_pipeline_on_the_same_data_is_refused(up, ca4):
    server = up()
    result = ca4("up", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0")
    assert result.returncode == 1
    assert str(server.data_dir) in result.stderr
    server.accept(event())


def test_an_address_in_use_is_told(up, ca4, tmp_path):
    server = up()
    host, port = server.address
    result = ca4("up", "--data-dir", tmp_path / "other", "--listen", f"{host}:{port}")
    assert result.returncode == 1
    assert f"{host}:{port}" in result.stderr


def test_who_does_not_listen_warns_of_nobody(up, ca4, tmp_path):
    taken = f"0.0.0.0:{up().address[1]}"
    result = ca4("up", "--data-dir", tmp_path / "other", "--listen", taken)
    assert result.returncode == 1
    assert f"can't listen on {taken}" in result.stderr
    assert "anybody" not in result.stderr
