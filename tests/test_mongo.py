"""The document store on MongoDB-compatible servers: documents, commands, TLS. Faults are in test_mongo_faults.py."""

import json
import os
import sqlite3
import struct
import subprocess
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest
import requests
from mongo_server import Database
from name_server import NameServer
from support import BINARY, PATIENCE_S, event, eventually, run

CONFORMANCE = BINARY.parent / "src/store/mongo_server_test"


def conformance(uri, *flags, **env):
    assert CONFORMANCE.is_file(), f"{CONFORMANCE} is not built: run `make build` with target mongo_server_test"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CA4_TEST_")}
    return subprocess.run(
        [CONFORMANCE, "--gtest_brief=1", *flags],
        env=clean | env | ({"CA4_TEST_MONGO_URI": uri} if uri else {}),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(("server", "embedding"), [("nx", "array"), ("nx", "vector"), ("java", "array")])
def test_the_store_passes_the_conformance_suite(request, server, embedding):
    server = request.getfixturevalue(server)
    result = conformance(server.uri, CA4_TEST_MONGO_EMBEDDING=embedding)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_store_passes_the_conformance_suite_over_tls(java_tls):
    result = conformance(java_tls.uri, "--gtest_filter=*/StoreConformance.*")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_conformance_suite_fails_without_a_server():
    assert conformance(None, "--gtest_filter=*AnEmptyBatch*").returncode == 1
    nobody = conformance("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100", "--gtest_filter=*AnEmptyBatch*")
    assert nobody.returncode == 1


GPU = {"available": True, "device": "cuda", "name": "Tesla T4", "total_memory_gb": 15.8, "cuda_version": "12.1"}


def test_a_document_is_as_the_contract_says(up, database):
    server = up(env=database.env)
    sent = event(
        "img-cat-1700000000",
        dim=8,
        gpu_hardware=GPU,
        extra={"pipeline": "demo", "notes": "a cat", "size.px": 3, "$x": {"y": [1, 2.5, None]}, "tags": ["a"]},
        model_name="resnet50",
        timestamp=1700000000.5,
        camera={"iso": 100},
        offset="mine",
    )
    server.accept(sent)
    document = eventually(lambda: database.get(sent["metadata_id"]), "the document is there")
    assert document["metadata_id"] == document["_id"] == sent["metadata_id"]
    assert document["source_uri"] == sent["source_uri"]
    assert document["embedding_dim"] == 8
    assert document["gpu_hardware"] == GPU
    assert document["extra"]["notes"] == "a cat"
    assert document["extra"]["size%2Epx"] == 3
    assert document["extra"]["%24x"] == {"y": [1, 2.5, None]}
    assert (document["topic"], document["partition"], document["offset"]) == ("gpu-metadata", 0, 0)
    assert document["pipeline"] == "demo"
    assert document["tags"] == ["a"]
    assert document["gpu"]["name"] == "Tesla T4"
    assert document["gpu"]["memory_total_bytes"] == 15_800_000_000
    assert document["model_name"] == "resnet50"
    assert document["timestamp"] == 1700000000.5
    assert document["camera"] == {"iso": 100}
    assert document["other"] == {"offset": "mine"}
    assert document["embedding"] == [struct.unpack("f", struct.pack("f", x))[0] for x in sent["embedding"]]
    assert isinstance(document["ingested_at"], float)
    accepted = document["ingested_at_date"].replace(tzinfo=UTC)
    assert abs(accepted.timestamp() - document["ingested_at"]) < 0.001
    assert abs(datetime.now(UTC) - accepted).total_seconds() < PATIENCE_S
    assert document["processed_at"] >= document["ingested_at_date"]
    assert document["version"] == round(document["ingested_at"] * 1e6)
    assert len(document["payload_hash"]) == 64
    assert document["schema_version"] == 1
    assert not server.data_dir.joinpath("store").exists(), "no embedded store is made beside it"


def test_an_embedding_is_a_float32_vector_or_nothing_where_that_is_set(up, nx_database, tmp_path):
    sent = event("a", dim=2048)
    for form in ("vector", "none"):
        nx_database.collection.delete_many({})
        server = up("--mongo-embedding", form, data_dir=tmp_path / form, env=nx_database.env)
        server.accept(sent)
        document = eventually(lambda: nx_database.get("a"), "the document is there")
        alike = server.get("/api/similar", params={"id": "a"})
        asked = run("query", "--similar", "a", "--mongo-embedding", form, env=nx_database.env)
        server.stop()
        assert document["embedding_dim"] == 2048
        if form == "none":
            assert "embedding" not in document
            assert alike.status_code == 400
            for told in (alike.json()["detail"], asked.stderr):
                assert "no embeddings are stored (store.mongo_embedding is none)" in told
        else:
            assert [n["document"]["metadata_id"] for n in alike.json()["neighbours"]] == ["a"]
            assert document["embedding"].subtype == 9
            vector = document["embedding"].as_vector()
            assert vector.dtype.name == "FLOAT32"
            assert vector.data == pytest.approx(sent["embedding"], rel=1e-7)


def test_serve_and_work_are_processes_of_their_own(serve, start, database, tmp_path):
    server = serve("serve", tmp_path, env=database.env)
    worker = start("work", "--data-dir", tmp_path, env=database.env)
    for i in range(20):
        server.accept(event(f"a{i}"))
    eventually(lambda: database.holds(f"a{i}" for i in range(20)), "all documents are there")
    page = server.get("/api/documents", params={"limit": 50}).json()
    assert {d["metadata_id"] for d in page["documents"]} == database.ids()
    stats = server.get("/api/stats").json()
    assert (stats["store_ready"], stats["documents"]) == ("ok", 20)
    metrics = server.get("/metrics").text
    assert 'ca4_mongo_command_seconds_count{command="find"}' in metrics
    worker.stop()


def query(database, *flags):
    result = run("query", "--format", "ndjson", *flags, env=database.env)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_query_finds_by_filter_and_by_likeness(up, database):
    server = up(env=database.env)
    events = [
        event("near", embedding=[1, 0.1, 0], extra={"pipeline": "a"}, gpu_hardware=GPU),
        event("far", embedding=[0, 0, 1], extra={"pipeline": "b"}),
        event("cat", embedding=[1, 0, 0], extra={"pipeline": "a"}),
    ]
    for one in events:
        server.accept(one)
    eventually(lambda: database.holds(["near", "far", "cat"]), "all documents are there")
    assert [d["metadata_id"] for d in query(database)] == ["cat", "far", "near"], "newest first"
    assert [d["metadata_id"] for d in query(database, "--pipeline", "b")] == ["far"]
    assert [d["metadata_id"] for d in query(database, "--device", "tesla")] == ["near"]
    assert [d["metadata_id"] for d in query(database, "--since", "1h", "--limit", "1")] == ["cat"]
    assert query(database, "--until", "1h") == []
    assert [d["metadata_id"] for d in query(database, "--similar", "cat", "-k", "2")] == ["near", "far"]
    (found,) = query(database, "--id", "near", "--with-embedding")
    assert found["embedding"] == pytest.approx([1, 0.1, 0])
    assert run("query", "--count", env=database.env).stdout == "3\n"
    table = run("query", env=database.env)
    assert table.stdout.splitlines()[0].split()[:2] == ["ID", "ACCEPTED"], table.stdout
    assert table.stderr == ""


def rewind(data_dir, group):
    with closing(sqlite3.connect(data_dir / "log/gpu-metadata.offsets.db")) as offsets, offsets:
        assert offsets.execute("DELETE FROM groups WHERE name = ?", (group,)).rowcount == 1


def test_redelivered_events_change_nothing(up, database):
    server = up("--no-archive", env=database.env)
    for i in range(30):
        server.accept(event(f"a{i % 10}", extra={"n": i}))
    eventually(lambda: (database.get("a9") or {}).get("extra", {}).get("n") == 29, "the last one is stored")
    server.stop()
    before = {d["_id"]: d for d in database.collection.find()}
    assert {d["extra"]["n"] for d in before.values()} == set(range(20, 30)), "of each id the last one"
    rewind(server.data_dir, "ca4-worker")
    server = up("--no-archive", env=database.env)
    server.accept(event("new"))
    eventually(lambda: database.holds(["new"]), "the log was read again to its end")
    after = {d["_id"]: d for d in database.collection.find({"_id": {"$ne": "new"}})}
    assert after == before
    # Counted in their order, each when it is in the database.
    eventually(lambda: server.metric("ca4_documents_total", result="inserted") == 1, "the new one is counted")
    metrics = server.get("/metrics").text
    counted = {"inserted": 1, "updated": 0, "unchanged": 10, "stale": 20}
    for result, documents in counted.items():
        assert f'ca4_documents_total{{result="{result}"}} {documents}\n' in metrics


def test_the_last_accepted_write_wins_over_two_pipelines(up, database, tmp_path):
    """Two processors with logs of their own give versions by the same clock, to the same ids, at the same time."""
    pipelines = [up(data_dir=tmp_path / name, env=database.env) for name in ("a", "b")]
    ids = [f"shared{i}" for i in range(5)]

    def write(server, name):
        with requests.Session() as session:
            for n in range(40):
                one = event(ids[n % 5], extra={"by": name, "n": n})
                assert session.post(server.url + "/metadata", json=one, timeout=PATIENCE_S).status_code == 200

    writers = [threading.Thread(target=write, args=(s, n)) for s, n in zip(pipelines, "ab", strict=True)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    last = {i: pipelines[k % 2].accept(event(i, extra={"last": i})) for k, i in enumerate(ids)}
    assert last.keys() == set(ids)
    eventually(
        lambda: all((database.get(i) or {}).get("extra", {}).get("last") == i for i in ids), "each id's last write"
    )
    for server in pipelines:
        server.stop()  # whatever was still on its way
    assert database.ids() == set(ids)
    assert all(database.get(i)["extra"]["last"] == i for i in ids)


def test_db_ensure_makes_each_index_once_and_nothing_else_does(up, database, ca4):
    server = up(env=database.env)
    server.accept(event("a"))
    eventually(lambda: database.holds(["a"]), "the document is there")
    assert len(list(database.collection.list_indexes())) == 1, "only that of _id"
    first = json.loads(ca4("db", "ensure", "--json", env=database.env).stdout)
    assert (first["database"], first["collection"]) == (database.name, "gpu_metadata")
    assert [i["created"] for i in first["indexes"]] == [True] * 4
    fields = [list(index["key"]) for index in database.collection.list_indexes()]
    assert ["ingested_at"] in fields
    assert ["pipeline", "ingested_at"] in fields
    second = ca4("db", "ensure", env=database.env)
    assert second.returncode == 0
    assert [line.split()[:2] for line in second.stdout.splitlines()] == [["was", "there"]] * 4
    assert len(query(database, "--pipeline", "unknown")) == 1


def test_db_ping_says_what_answers(database, ca4):
    said = json.loads(ca4("db", "ping", "--json", env=database.env).stdout)
    assert said["hosts"] == f"127.0.0.1:{database.server.port}"
    assert said["version"]
    assert said["ping_ms"] > 0
    for_people = ca4("db", "ping", env=database.env)
    assert f"127.0.0.1:{database.server.port} answers in" in for_people.stdout


def test_db_without_mongo_says_that_there_is_nothing_to_do(ca4):
    result = ca4("db", "ensure")
    assert result.returncode == 78
    assert "MONGO_URI" in result.stderr


def test_a_server_that_is_not_there_is_named_and_the_password_is_not(ca4, start, up, tmp_path):
    env = {"MONGO_URI": "mongodb://ann:s3cret@127.0.0.1:1/", "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "200"}
    for command in (["query"], ["db", "ping"], ["db", "ensure"]):
        result = ca4(*command, env=env)
        assert result.returncode == 1
        assert "127.0.0.1:1" in result.stderr
        assert "s3cret" not in result.stderr
    server = up("--log-level", "debug", env=env)
    server.accept(event("a"))
    eventually(lambda: "store fails, trying again until it works" in server.said(), "the worker says that it waits")
    assert "127.0.0.1:1" in server.said()
    shown = ca4("config", env=env)
    stats = server.get("/api/stats").text
    assert "127.0.0.1:1" in stats
    for text in (server.said(), shown.stdout, stats):
        assert "s3cret" not in text


def test_tls_with_the_right_ca_only(java_tls, tls, ca4, up):
    database = Database(java_tls, f"mongodb://127.0.0.1:{java_tls.port}/")
    patience = {"CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "3000"}
    right = {"CA4_STORE_MONGO_CA_FILE": str(tls.ca)}
    server = up(env=database.env | right)
    server.accept(event("a"))
    eventually(lambda: database.holds(["a"]), "the document is there")
    assert ca4("query", "--count", env=database.env | right).stdout == "1\n"

    wrong = ca4("db", "ping", env=database.env | patience | {"CA4_STORE_MONGO_CA_FILE": str(tls.other_ca)})
    assert wrong.returncode == 1
    assert "certificate verify failed" in wrong.stderr
    assert "store.mongo_ca_file" in wrong.stderr
    system = ca4("db", "ping", env=patience | {"MONGO_URI": f"mongodb://127.0.0.1:{java_tls.port}/?tls=true"})
    assert system.returncode == 1
    assert "certificate verify failed" in system.stderr
    plain = ca4("db", "ping", env=database.env | patience)
    assert plain.returncode == 1

    missing = ca4("db", "ping", env=database.env | {"CA4_STORE_MONGO_CA_FILE": "/nowhere/ca.pem"})
    assert missing.returncode == 78
    assert "/nowhere/ca.pem" in missing.stderr
    database.client.close()


@pytest.mark.parametrize("command", [["up"], ["work"], ["db", "ping"]])
def test_a_file_in_the_uri_that_is_no_certificate_is_one_message_at_the_start(ca4, tmp_path, command):
    # The library would try for ever, and say so each time.
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for file, why in [(tmp_path / "none.pem", "No such file"), (tmp_path, "directory"), (text, "no certificate")]:
        result = ca4(*command, env={"MONGO_URI": f"mongodb://ann:s3cret@db/?tls=true&tlsCAFile={file}", "CA4_DATA_DIR": str(tmp_path)})
        assert result.returncode == 78
        assert result.stderr.startswith(f"MONGO_URI (store.mongo_uri): tlsCAFile: {file}: ")
        assert why in result.stderr
        assert result.stderr.count("\n") == 1


def test_mongodb_srv_is_looked_up_also_when_names_come_late(java_tls, tls, ca4, up, tmp_path):
    """As Atlas is reached: an SRV record names the server, TLS is on without being asked for."""
    database = Database(java_tls, "mongodb+srv://cluster.ca4.test/")
    database.env |= {
        "CA4_STORE_MONGO_CA_FILE": str(tls.ca),
        "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "1000",
        "CA4_WORKER_BACKOFF_MS_MAX": "300",
    }
    names = NameServer(
        {
            ("_mongodb._tcp.cluster.ca4.test.", "SRV"): [f"0 0 {java_tls.port} db.cluster.ca4.test."],
            ("db.cluster.ca4.test.", "A"): ["127.0.0.1"],
        }
    )
    prefix = names.wrap(tmp_path)
    server = up(env=database.env, prefix=prefix)
    server.accept(event("early"))
    eventually(lambda: "store fails" in server.said(), "without names there is no server")
    assert "cluster.ca4.test" in server.said()
    names.start()
    eventually(lambda: database.holds(["early"]), "the event is there once there are names")
    patient = database.env | {"CA4_STORE_MONGO_SELECTION_TIMEOUT_MS": "30000"}
    assert "at cluster.ca4.test answers in" in ca4("db", "ping", env=patient, prefix=prefix).stdout
    server.stop()
    names.stop()
    database.client.close()


def dead_letters(data_dir):
    result = run("dlq", "list", "--data-dir", data_dir, "--format", "ndjson", "--limit", "0")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_document_too_large_for_mongodb_is_a_dead_letter_and_its_neighbours_get_in(up, nx_database):
    """16 MiB of text are accepted; with an array of doubles beside it they are more than a document may be."""
    server = up("--no-archive", "--body-bytes-max", str(32 << 20), env=nx_database.env)
    server.accept(event("before"))
    server.accept(event("large", dim=65_536, extra={"text": "x" * (16 << 20)}))
    server.accept(event("after"))
    eventually(lambda: nx_database.holds(["before", "after"]), "the neighbours are there")
    (letter,) = eventually(lambda: dead_letters(server.data_dir), "a dead letter")
    assert (letter["key"], letter["stage"]) == ("large", "store")
    assert "more than 16777216" in letter["reason"]
    assert nx_database.ids() == {"before", "after"}


def test_a_document_that_the_servers_own_rules_refuse_is_a_dead_letter(up, database):
    """Somebody made an index that only one document fits in."""
    server = up("--no-archive", env=database.env)
    server.accept(event("first", source_uri="file:///same.jpg"))
    eventually(lambda: database.holds(["first"]), "the first document is there")
    database.collection.create_index([("source_uri", 1)], unique=True)
    server.accept(event("second", source_uri="file:///same.jpg"))
    server.accept(event("third", source_uri="file:///other.jpg"))
    eventually(lambda: database.holds(["first", "third"]), "the neighbours are there")
    (letter,) = eventually(lambda: dead_letters(server.data_dir), "a dead letter")
    assert (letter["key"], letter["stage"]) == ("second", "store")
    assert "source_uri" in letter["reason"]
