"""The MongoDB server is killed, paused, slow, cut off or refuses: nothing is lost, nothing of ours is restarted."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tcp_fault_proxy import TcpFaultProxy
from mongo_server import Database, JavaServer
from support import event, eventually, run
from test_durability import Load

# Far shorter than an operator would have them, so that a test need not wait for them.
IMPATIENT = {
    "CA4_STORE_MONGO_CONNECT_TIMEOUT_MS": "1000",
    "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "1000",
    "CA4_WORKER_BACKOFF_MS_MAX": "300",
}
# Where silence must be noticed. Batches are small, so that a server on a busy machine is not taken for a silent one.
NOTICES_SILENCE = IMPATIENT | {"CA4_STORE_MONGO_SOCKET_TIMEOUT_MS": "2000", "CA4_WORKER_BATCH_RECORDS_MAX": "16"}


def retries(server):
    """How often a batch was not stored at once."""
    for line in server.get("/metrics").text.splitlines():
        if line.startswith("ca4_retries_total") and 'step="store"' in line:
            return float(line.split()[-1])
    return 0


def dead_letter_count(data_dir):
    result = run("dlq", "count", "--data-dir", data_dir)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check_all_there_and_one_more(server, database, acknowledged):
    """What was acknowledged is there, nothing else is, and a fresh event passes."""
    eventually(lambda: database.holds(acknowledged), f"{len(acknowledged)} documents after the fault")
    start = time.monotonic()
    server.accept(event("fresh"))
    eventually(lambda: database.holds(["fresh"]), "a fresh event passes")
    print(f"fresh event in the database after {time.monotonic() - start:.2f} s")
    assert database.ids() == acknowledged | {"fresh"}
    assert server.runs()
    assert "0 dead letters" in dead_letter_count(server.data_dir)


def test_a_server_killed_under_load_and_started_again_has_every_event_once(up, own_nx):
    server = up(env=own_nx.env | IMPATIENT)
    load = Load(server.url, "k", dim=64)
    acknowledged = 0
    for _ in range(3):
        load.wait_for(acknowledged + 100)
        own_nx.server.kill()
        acknowledged = len(load.acknowledged)
        load.wait_for(acknowledged + 100)  # the log takes them meanwhile
        own_nx.server.start()
        acknowledged = len(load.acknowledged)
    healed = time.monotonic()
    check_all_there_and_one_more(server, own_nx, load.finish())
    print(f"all there {time.monotonic() - healed:.2f} s after the last restart")
    assert retries(server) >= 1


def test_a_paused_server_is_waited_for(up, own_nx):
    server = up(env=own_nx.env | NOTICES_SILENCE)
    load = Load(server.url, "p", clients=1, dim=64)
    load.wait_for(100)
    own_nx.server.pause()
    # Longer than any patience of the client: requests time out and are tried again.
    eventually(lambda: retries(server) >= 2, "writes time out")
    load.wait_for(len(load.acknowledged) + 100)
    own_nx.server.resume()
    check_all_there_and_one_more(server, own_nx, load.finish())


@pytest.fixture
def proxy(nx):
    made = TcpFaultProxy(("127.0.0.1", nx.port))
    yield made
    made.close()


@pytest.fixture
def behind(nx, proxy):
    """A database whose programs reach it through the proxy, while the test itself does not need to."""
    made = Database(nx, f"mongodb://{proxy.address}/")
    made.env |= IMPATIENT
    yield made
    made.client.close()


def test_a_pipeline_starts_without_its_database_and_drains_when_it_comes(up, proxy, behind):
    proxy.refuse()
    server = up(env=behind.env)
    ids = {f"a{i}" for i in range(50)}
    for i in ids:
        server.accept(event(i))
    eventually(lambda: "Connection refused" in server.said() or "Failed to connect" in server.said(), "it says why")
    assert behind.ids() == set()
    proxy.heal()
    check_all_there_and_one_more(server, behind, ids)


@pytest.mark.parametrize("fault", ["stall", "refuse", "reset"])
def test_a_cut_connection_is_made_again(up, proxy, behind, fault):
    server = up(env=behind.env | NOTICES_SILENCE)
    load = Load(server.url, fault, clients=1, dim=64)
    load.wait_for(50)
    getattr(proxy, fault)()
    load.wait_for(len(load.acknowledged) + 50)
    if fault != "reset":
        eventually(lambda: retries(server) >= 1, "the worker notices")
    proxy.heal()
    check_all_there_and_one_more(server, behind, load.finish())


def test_a_connection_cut_in_the_middle_of_messages_loses_and_doubles_nothing(up, proxy, behind):
    server = up(env=behind.env)
    # One client: the database is to keep up with it between the cuts.
    load = Load(server.url, "c", clients=1, dim=512)
    for cut in (3_000, 20_000, 50_000, 1):
        load.wait_for(len(load.acknowledged) + 50)
        before = retries(server)

        def write_was_cut(before=before, cut=cut):
            if not proxy.will_cut and retries(server) == before:
                proxy.cut_after(cut)  # what was cut was none: connections are also watched
            return retries(server) > before

        eventually(write_was_cut, "a write was cut")
    check_all_there_and_one_more(server, behind, load.finish())


def test_a_slow_network_is_only_slow(up, proxy, behind):
    # 100 documents of 2048 doubles are 3 MB.
    proxy.slow(delay_s=0.001, bytes_per_s=8_000_000)
    server = up(env=behind.env)
    ids = {f"s{i}" for i in range(100)}
    for i in ids:
        server.accept(event(i, dim=2048))
    check_all_there_and_one_more(server, behind, ids)
    assert retries(server) == 0


def test_sigterm_while_the_database_is_silent_ends_in_time_and_loses_nothing(up, proxy, behind):
    server = up(env=behind.env | NOTICES_SILENCE)
    server.accept(event("before"))
    eventually(lambda: behind.holds(["before"]), "the first event is stored")
    proxy.stall()
    server.accept(event("waits"))
    eventually(lambda: retries(server) >= 1, "the worker waits for the database")
    server.stop()
    proxy.heal()
    server = up(env=behind.env)
    check_all_there_and_one_more(server, behind, {"before", "waits"})


def test_a_search_that_waits_for_a_silent_database_keeps_no_process_from_ending(up, proxy, behind):
    server = up("--shutdown-grace-ms", "100", env=behind.env)
    server.accept(event("there"))
    eventually(lambda: behind.holds(["there"]), "it is stored")
    proxy.stall()
    searches = ThreadPoolExecutor(1)
    search = searches.submit(server.get, "/api/similar", params={"id": "there"})
    eventually(lambda: proxy.held > 0, "it waits")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 15
    assert isinstance(search.exception(), requests.ConnectionError)


def test_a_long_list_comes_over_a_slow_link_in_answers_that_fit_the_socket_timeout(java):
    """This server sends all that is left at once, as MongoDB does up to 16 MiB."""
    database = Database(java)
    note = "x" * 500
    row = {"extra": {"note": note}}
    database.collection.insert_many([{"_id": f"a{i}", "metadata_id": f"a{i}", "ingested_at": float(i)} | row for i in range(4000)])
    database.client.close()
    link = TcpFaultProxy(("127.0.0.1", java.port))
    link.slow(bytes_per_s=1_000_000)  # 2.4 s for all of it, 0.6 s for a thousand
    uri = f"mongodb://{link.address}/?socketTimeoutMS=1500"
    try:
        listed = run("query", "--limit", "0", "--format", "ndjson", env=database.env | {"MONGO_URI": uri})
    finally:
        link.close()
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count(note) == 4000


@pytest.fixture
def faulty(tmp_path):
    """A server that refuses writes when told to."""
    server = JavaServer(tmp_path).start()
    made = Database(server)
    made.env |= IMPATIENT
    yield made
    made.client.close()
    server.kill()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("refuse 10107 not primary", "not primary"),
        ("refuse 13 not authorized on db to execute command", "authSource"),
        ("refuse 8000 you are over your space quota", "space quota"),
        ("refuse 73 Invalid namespace", "Invalid namespace"),
        ("unconfirmed 64 waiting for replication timed out", "not confirmed by a majority"),
    ],
)
def test_a_server_that_refuses_writes_is_waited_for_with_the_reason(up, faulty, fault, text):
    faulty.server.fail_updates(fault)
    server = up(env=faulty.env)
    ids = {f"a{i}" for i in range(20)}
    for i in ids:
        server.accept(event(i))
    eventually(lambda: retries(server) >= 3, "the worker goes on trying")
    assert text in server.said()
    if fault.startswith("unconfirmed"):
        assert ids >= faulty.ids() != set(), "the first batch is there, and not yet taken for stored"
    else:
        assert faulty.ids() == set()
    for result in ("inserted", "updated", "unchanged", "stale"):
        assert f'ca4_documents_total{{result="{result}"}} 0\n' in server.get("/metrics").text
    faulty.server.heal()
    check_all_there_and_one_more(server, faulty, ids)


def test_workers_of_two_machines_and_a_killed_server_agree_on_the_newest(up, own_nx, tmp_path):
    """Two pipelines write the same ids while the database is killed under them: each id ends with its last write."""
    pipelines = [up(data_dir=tmp_path / name, env=own_nx.env | IMPATIENT) for name in ("a", "b")]
    ids = [f"shared{i}" for i in range(10)]
    over = threading.Event()

    def write(server):
        n = 0
        while not over.is_set():
            server.accept(event(ids[n % 10], extra={"n": n}))
            n += 1

    writers = [threading.Thread(target=write, args=(server,)) for server in pipelines]
    for writer in writers:
        writer.start()
    eventually(lambda: own_nx.holds(ids), "every id was written once")
    own_nx.server.kill()
    own_nx.server.start()
    over.set()
    for writer in writers:
        writer.join()
    for k, i in enumerate(ids):
        pipelines[k % 2].accept(event(i, extra={"last": k}))
    eventually(lambda: all("last" in own_nx.get(i)["extra"] for i in ids), "the last writes are stored")
    for server in pipelines:
        eventually(lambda server=server: "_total" in server.get("/metrics").text, "it still answers")
        server.stop()
    assert {own_nx.get(i)["extra"]["last"] for i in ids} == set(range(10))
    assert own_nx.ids() == set(ids)
