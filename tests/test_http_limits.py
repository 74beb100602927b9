"""HTTP as bytes on a socket: what the server does within, at and beyond its limits."""

import gzip
import json
import os
import re
import socket
from pathlib import Path

import pytest
import requests
from support import PATIENCE_S, assert_problem, event, eventually
from wire import Wire, request

BODY = json.dumps({"embedding": [1, 2]}).encode()


@pytest.fixture
def wire(up):
    """wire("--flag") starts a pipeline and returns a raw connection to it."""
    opened = []

    def begin(*flags):
        server = up(*flags)
        opened.append(Wire(server.address))
        opened[-1].server = server
        return opened[-1]

    yield begin
    for connection in opened:
        connection.close()


def test_a_connection_serves_one_request_after_the_other(wire):
    connection = wire()
    for _ in range(3):
        connection.send(request("POST", "/metadata", BODY))
        assert connection.receive().status == 200


def test_connection_close_is_followed(wire):
    connection = wire()
    connection.send(request("GET", "/livez", headers={"Connection": "close"}))
    answer = connection.receive()
    assert answer.status == 200
    assert answer.headers["connection"].lower() == "close"
    assert connection.is_closed()


def test_http_1_0_is_closed_after_the_answer(wire):
    connection = wire()
    connection.send(b"GET /livez HTTP/1.0\r\n\r\n")
    assert connection.receive().status == 200
    assert connection.is_closed()


def test_pipelined_requests_are_answered_in_order(wire):
    connection = wire()
    ids = [f"p{i}" for i in range(100)]
    parts = []
    for i in ids:
        parts.append(request("POST", "/metadata", json.dumps(event(i)).encode()))
        parts.append(request("GET", f"/nowhere/{i}"))  # answered at once, must still wait its turn
    connection.send(b"".join(parts))
    for i in ids:
        assert connection.receive().json()["metadata_id"] == i
        assert connection.receive().status == 404


def test_a_request_that_comes_byte_by_byte_is_served(wire):
    connection = wire()
    for byte in request("POST", "/metadata", BODY):
        connection.send(bytes([byte]))
    assert connection.receive().status == 200


def test_a_body_that_waits_for_100_continue_is_asked_for(wire):
    connection = wire()
    head, body = request("POST", "/metadata", BODY, {"Expect": "100-continue"}).split(b"\r\n\r\n", 1)
    connection.send(head + b"\r\n\r\n")
    assert connection.receive().status == 100
    connection.send(body)
    assert connection.receive().status == 200


def test_a_body_that_would_be_too_large_is_refused_before_it_is_sent(wire):
    connection = wire("--body-bytes-max", "1024")
    connection.send(
        b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1025\r\nExpect: 100-continue\r\n\r\n"
    )
    assert connection.receive().status == 413
    assert connection.is_closed()


@pytest.mark.parametrize("pieces", [1, 3, len(BODY)])
def test_a_chunked_body_is_taken(wire, pieces):
    connection = wire()
    size = -(-len(BODY) // pieces)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(BODY[i : i + size]), BODY[i : i + size]) for i in range(0, len(BODY), size)
    )
    head = b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.send(head + chunks + b"0\r\n\r\n")
    assert connection.receive().status == 200
    connection.send(request("GET", "/livez"))
    assert connection.receive().status == 200


def test_a_chunked_body_over_the_limit_is_413(wire):
    connection = wire("--body-bytes-max", "1024")
    connection.send(
        b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n" + b"1\r\n \r\n0\r\n\r\n"
    )
    assert connection.receive().status == 413


def test_a_head_over_the_limit_is_431(wire):
    connection = wire("--header-bytes-max", "1024")
    connection.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 2000 + b"\r\n\r\n")
    assert connection.receive().status == 431


def test_a_body_at_the_limit_is_taken(wire):
    connection = wire("--body-bytes-max", "1024")
    connection.send(request("POST", "/metadata", BODY.ljust(1024)))
    assert connection.receive().status == 200


def test_a_compressed_bomb_is_413(up):
    server = up()
    bomb = gzip.compress(bytes(100 << 20))
    answer = requests.post(
        server.url + "/metadata",
        data=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=PATIENCE_S,
    )
    assert_problem(answer, 413)
    server.accept(event())


def test_small_compressed_bodies_need_no_queue_for_large_ones(up):
    server = up()
    post = request("POST", "/metadata", gzip.compress(BODY), {"Content-Encoding": "gzip"})
    clients = [Wire(server.address) for _ in range(20)]
    for client in clients:
        client.send(post * 16)
    assert {client.receive().status for client in clients for _ in range(16)} == {200}
    for client in clients:
        client.close()


def test_a_head_that_never_ends_is_cut_off(wire):
    connection = wire("--header-timeout-ms", "500")
    connection.send(b"GET /livez HTTP/1.1\r\nHost:")
    answer = connection.receive(or_end=True)
    assert answer is None or answer.status == 408
    assert connection.is_closed()


def test_a_silent_connection_is_closed(wire):
    connection = wire("--idle-timeout-ms", "500")
    connection.send(request("GET", "/livez"))
    assert connection.receive().status == 200
    assert connection.is_closed()


def test_a_connection_too_many_is_answered_503(up):
    server = up("--connections-max", "3")
    held = [Wire(server.address) for _ in range(3)]
    for connection in held:
        connection.send(request("GET", "/livez"))
        assert connection.receive().status == 200
    extra = Wire(server.address)
    answer = extra.receive()
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert extra.is_closed()
    held.pop().close()

    def free_again():
        connection = Wire(server.address)
        connection.send(request("GET", "/livez"), lenient=True)
        answer = connection.receive(or_end=True)
        connection.close()
        return answer is not None and answer.status == 200

    eventually(free_again, "a place is free again")
    for connection in held:
        connection.close()


def test_connections_that_wait_for_long_make_room_for_others(up):
    server = up("--connections-max", "20", "--idle-timeout-ms", "3600000")
    # Silent from the beginning, after an answer, and in the middle of a head.
    held = [Wire(server.address) for _ in range(20)]
    held[0].send(request("GET", "/livez"))
    assert held[0].receive().status == 200
    held[1].send(b"GET /livez HTTP/1.1\r\nHost:")

    def served():
        held.append(Wire(server.address))
        held[-1].send(request("POST", "/metadata", BODY), lenient=True)
        answer = held[-1].receive(or_end=True)
        return answer is not None and answer.status == 200

    eventually(lambda: not served(), "there is no room")
    eventually(served, "who comes later is served", 20)
    # Each takes the place of one of those, which are far from their idle timeout.
    assert [served() for _ in range(10)] == [True] * 10
    for connection in held:
        connection.close()


def test_bodies_that_stop_in_the_middle_keep_nobody_out(up):
    server = up()
    size = 16 << 20
    stalled = [Wire(server.address) for _ in range(17)]
    for connection in stalled:
        connection.send(POST + b"Content-Length: %d\r\n\r\n" % size + b" " * (size - 1), lenient=True)
    # Single events go on; what is large waits for some seconds.
    for i in range(20):
        server.accept(event(f"e{i}", dim=2048))
    large = json.dumps(event("large", notes="x" * (4 << 20)))

    def taken():
        answer = requests.post(server.url + "/metadata", data=large, headers={"Content-Type": "application/json"}, timeout=PATIENCE_S)
        assert answer.status_code == 200 or (answer.status_code == 503 and answer.headers["Retry-After"] == "1"), answer.text
        return answer.status_code == 200

    eventually(taken, "there is room again", 25)
    for connection in stalled:
        connection.close()


def open_files_limits(server):
    (both,) = re.findall(r"^Max open files +(\d+) +(\d+)", Path(f"/proc/{server.pid}/limits").read_text(), re.MULTILINE)
    return tuple(map(int, both))


@pytest.mark.parametrize(
    ("given", "flags", "limits"),
    [
        # As a shell of Debian 12 gives them, with less room above.
        ("1024:20000", (), (4096 + 1024, 20000)),
        ("1024:20000", ("--connections-max", "100"), (1124, 20000)),
        # Never lowered.
        ("9000:20000", (), (9000, 20000)),
    ],
)
def test_the_limit_of_open_files_is_raised_to_what_the_connections_want(serve, tmp_path, given, flags, limits):
    server = serve("serve", tmp_path / "data", *flags, prefix=["prlimit", f"--nofile={given}"])
    assert open_files_limits(server) == limits
    assert "open files" not in server.said()


def test_a_hard_limit_of_open_files_that_is_too_low_is_told(serve, tmp_path):
    server = serve("serve", tmp_path / "data", prefix=["prlimit", "--nofile=1024:2000"])
    assert open_files_limits(server) == (2000, 2000)
    assert "connections_max is 4096, which wants 5120 open files, but the hard limit is 2000" in server.said()


def test_more_connections_than_the_shell_has_open_files_for_are_all_answered(serve, tmp_path):
    server = serve("serve", tmp_path / "data", prefix=["prlimit", "--nofile=128:20000"])
    held = [Wire(server.address) for _ in range(200)]
    for connection in held:
        connection.send(request("GET", "/livez"))
        assert connection.receive().status == 200
    for connection in held:
        connection.close()


POST = b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
AMBIGUOUS = {
    "length and chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}    ",
    "two lengths in one": POST + b"Content-Length: 5, 6\r\n\r\n{}    ",
    "length with sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "folded line": POST + b"X-A: 1\r\n Content-Length: 2\r\n\r\n{}",
    "space before colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk without length": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
    "chunk with wrong length": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n",
    "chunk too long for 64 bits": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "NUL in a header": b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "header without name": b"GET /livez HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two spaces": b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("shape", AMBIGUOUS)
def test_what_two_servers_would_read_differently_is_refused(wire, shape):
    connection = wire()
    # What follows must never be taken for a request of its own.
    connection.send(AMBIGUOUS[shape] + request("GET", "/livez"), lenient=True)
    answer = connection.receive(or_end=True)
    assert answer is not None, "closed without a word"
    assert answer.status in (400, 413, 501, 505), answer
    assert connection.is_closed()


def test_head_is_get_without_the_body(wire):
    connection = wire()
    connection.send(request("HEAD", "/livez") + request("GET", "/livez"))
    head = connection.receive(has_body=False)
    get = connection.receive()
    assert head.status == get.status == 200
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_greeting_of_tls_is_told_at_once_that_this_is_http(wire):
    connection = wire("--header-timeout-ms", "3600000")
    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    answer = connection.receive()
    assert answer.status == 400
    assert "not TLS: use http://" in answer.json()["detail"]
    assert connection.is_closed()


def test_noise_on_many_connections_harms_nobody(up):
    server = up()
    for seed in range(50):
        with socket.create_connection(server.address, timeout=PATIENCE_S) as noisy:
            try:
                noisy.sendall(os.urandom(200 + seed))
            except ConnectionError:
                pass
    server.accept(event())
