"""`ca4 tap`: events as they pass, from the log itself and through an admin port."""

import json
import signal
import socket

import pytest
import requests
from support import PATIENCE_S, assert_problem, event, eventually, metric
from wire import request


def lines(program):
    return [json.loads(line) for line in program.printed().splitlines()]


def admin_of(server):
    return (server.data_dir / "admin/up").read_text().strip()


@pytest.fixture(params=["log", "port"])
def tap(request, start, up):
    """tap(*flags) watches a pipeline, `tap.server`: from its log, or through its admin port. It sees what is sent from then on."""
    server = up()

    def begin(*flags, form="ndjson"):
        where = ["--data-dir", server.data_dir] if request.param == "log" else [admin_of(server)]
        program = start("tap", *where, "--format", form, *flags)
        if form == "ndjson":
            # It has begun when it sees something: what was before it is not shown.
            def sees():
                server.accept(event("begun", extra={"pipeline": "p"}, model_name="m"))
                return program.printed()

            eventually(sees, "the tap sees an event")
        return program

    begin.server = server
    return begin


def shown(program):
    return [line["metadata_id"] for line in lines(program) if line["metadata_id"] != "begun"]


def test_events_pass_with_the_norm_of_their_embedding_only(tap):
    program = tap("--rate", "1000")
    tap.server.accept(event("a", embedding=[3, 4], extra={"pipeline": "x"}, model_name="m"))
    eventually(lambda: shown(program) == ["a"], program.printed)
    line = lines(program)[-1]
    assert line["embedding"] == {"dim": 2, "norm": 5}
    assert line["event"]["extra"]["pipeline"] == "x"
    assert line["event"]["model_name"] == "m"
    program.stop()
    assert program.said() == ""


def test_filters_and_the_numbers_where_they_are_wanted(tap):
    program = tap("--id", "b*", "--pipeline", "p", "--model", "m", "--full", "--rate", "1000")
    good = {"extra": {"pipeline": "p"}, "model_name": "m"}
    tap.server.accept(event("a", **good))
    tap.server.accept(event("b1", **good | {"model_name": "n"}))
    tap.server.accept(event("b2", **good | {"extra": {"pipeline": "q"}}))
    tap.server.accept(event("b3", embedding=[3, 4], **good))
    eventually(lambda: "b3" in shown(program), program.printed)
    assert shown(program) == ["b3"]
    assert lines(program)[-1]["embedding"]["numbers"] == [3, 4]


def test_over_the_rate_they_are_counted(tap):
    program = tap("--rate", "1")
    for i in range(50):
        tap.server.accept(event(f"e{i}"))
    eventually(lambda: "more passed, over --rate 1" in program.said(), program.said)
    program.signal(signal.SIGINT)
    assert program.wait() == 0
    assert len(shown(program)) < 50


def test_a_table_for_people_that_ends_after_so_many(tap):
    program = tap("--limit", "2", form="table")

    def over():
        tap.server.accept(event("x", embedding=[3, 4], source_uri="file:///\x1b[31m.jpg", extra={"pipeline": "p"}))
        return not program.runs()

    eventually(over, program.printed)
    assert program.wait() == 0
    head, *rows = program.printed().splitlines()
    assert head.split() == ["TIME", "ID", "PIPELINE", "DIM", "NORM", "SOURCE"]
    assert len(rows) == 2
    assert rows[0].split()[1:5] == ["x", "p", "2", "5"]
    assert "\x1b" not in program.printed()


def test_a_port_that_goes_away_is_waited_for(start, up):
    server = up("--admin-listen", "127.0.0.1:0")
    address = admin_of(server)
    program = start("tap", address, "--format", "ndjson", "--rate", "1000")

    def sees(name):
        server.accept(event(name))
        return name in program.printed()

    eventually(lambda: sees("first"), program.said)
    server.stop()
    eventually(lambda: "trying again" in program.said(), program.said)
    server = up("--admin-listen", address.removeprefix("http://"))
    eventually(lambda: sees("second"), program.said)
    assert "there again" in program.said()
    assert program.said().count("trying again") <= 2
    program.stop()


def test_a_port_with_tokens_wants_one(up, start, ca4, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("the-token-of-an-operator\n")
    server = up("--admin-token-file", tokens)
    refused = ca4("tap", admin_of(server))
    assert refused.returncode == 1
    assert "401; give --token-file" in refused.stderr
    assert_problem(requests.get(admin_of(server) + "/tap", timeout=PATIENCE_S), 401)
    program = start("tap", admin_of(server), "--token-file", tokens, "--format", "ndjson", "--rate", "1000")

    def sees():
        server.accept(event("a"))
        return "a" in shown(program)

    eventually(sees, program.said)


def test_what_is_no_admin_port_is_said(up, ca4, tmp_path):
    server = up()
    result = ca4("tap", server.url)
    assert result.returncode == 1
    assert "404; is that the admin port" in result.stderr
    nothing = ca4("tap", "--data-dir", tmp_path / "none")
    assert nothing.returncode == 1
    assert str(tmp_path / "none") in nothing.stderr


def test_a_watcher_that_reads_nothing_slows_nobody(up):
    server = up()
    admin = admin_of(server)
    begun = requests.get(admin + "/tap?full=1&rate=100000", timeout=PATIENCE_S).text.splitlines()[-1]
    session = json.loads(begun)["tap"]["session"]
    host, port = admin.removeprefix("http://").split(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(PATIENCE_S)
        deaf.connect((host, int(port)))
        deaf.sendall(request("GET", f"/tap?session={session}") * 500)
        # In answers, some 80 KiB each: more than the kernel holds for a connection.
        ids = [f"e{i}" for i in range(200)]
        for metadata_id in ids:
            server.accept(event(metadata_id, dim=4096))
        server.when_stored(ids)
        text = requests.get(admin + "/metrics", timeout=PATIENCE_S).text
        assert metric(text, "ca4_events_total", result="failed") == 0
        # It was told of them all the while.
        told = b""
        while b'"metadata_id":"e0"' not in told:
            more = deaf.recv(1 << 16)
            assert more, told[-1000:]
            told += more
