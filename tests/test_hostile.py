"""Hostile clients: what two servers could read differently is refused, and attacks neither end nor fill the processor, nor hold up the others."""

import json
import os
import signal
import socket
import threading
import time

import attacks
import numpy
import proc
import pytest
import slope
import soak
import steady
from support import PATIENCE_S, event, eventually, run, running
from wire import Wire, request

POST = b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b'{"embedding":[1,2]}'
CHUNKED_EVENT = b"13\r\n" + EVENT + b"\r\n0\r\n\r\n"
# Quick to give a slow client up, so that a test need not wait; and fewer connections than an attack makes.
QUICK = ("--header-timeout-ms", "500", "--connections-max", "1500")
# Bodies being read, at most 256 MiB by default, are the largest that an attack fills; inflated ones (64 MiB a core), the log's queue
# (64 MiB) and what the process has anyway come on top. The sanitizers keep what was freed for a while.
MIB_MAX = 600 if "asan" not in os.environ.get("CA4_BINARY", "") else 4000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One pipeline for all: what it takes is told apart by its ids."""
    with running("up", tmp_path_factory.mktemp("hostile"), *QUICK) as server:
        yield server


@pytest.fixture
def wire(server):
    connection = Wire(server.address)
    yield connection
    connection.close()


# RFC 9112 where no other RFC is named: what must be refused, with 400 or what stands there.
SMUGGLED = {
    "2.2 lines end with a line feed alone": GET[:-2] + b"\nHost: localhost\n\n\r\n\r\n",
    "2.2 a carriage return alone": GET + b"Host: localhost\r\nX: a\rContent-Length: 5\r\n\r\n",
    "2.2 a blank in front of the first field": GET + b" X: a\r\nHost: localhost\r\n\r\n",
    "2.3 HTTP in small letters": b"GET /livez http/1.1\r\nHost: localhost\r\n\r\n",
    "2.3 a version of three digits": b"GET /livez HTTP/1.10\r\nHost: localhost\r\n\r\n",
    "2.3 a version to come": b"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "2.3 another version": b"GET /livez HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "3 a tab in the request line": b"GET\t/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3 a blank behind the request line": b"GET /livez HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    "3 no version, as HTTP/0.9": b"GET /livez\r\n\r\n",
    "3.2 no Host": GET + b"\r\n",
    "3.2 two Hosts": GET + b"Host: localhost\r\nHost: other\r\n\r\n",
    "3.2 two equal Hosts": GET + b"Host: localhost\r\nHost: localhost\r\n\r\n",
    "3.2 a Host with a blank": GET + b"Host: local host\r\n\r\n",
    "3.2 a Host with a path": GET + b"Host: localhost/other\r\n\r\n",
    "3.2 a Host with a user": GET + b"Host: a@localhost\r\n\r\n",
    "3.2 a Host with no number for a port": GET + b"Host: localhost:http\r\n\r\n",
    "3.2 a target that is no path": b"GET livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3.2 an asterisk for GET": b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3.2 a target with a fragment": b"GET /livez#a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3.2.2 a URL of another scheme": b"GET file:///livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3.2.2 a URL with a user": b"GET http://a@localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "3.2.3 CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "5.1 a tab in front of a colon": POST + b"Content-Length\t: 19\r\n\r\n" + EVENT,
    "5.1 a field without a colon": GET + b"Host: localhost\r\nContent-Length 5\r\n\r\n",
    "5.2 folding with a tab": POST + b"Content-Length:\r\n\t19\r\n\r\n" + EVENT,
    "6.1 chunked and then nothing more": (POST + b"Transfer-Encoding: chunked,\r\n\r\n" + CHUNKED_EVENT, 501),
    "6.1 chunked with a parameter": (POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + CHUNKED_EVENT, 501),
    "6.1 chunked behind a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED_EVENT, 400, 501),
    "6.1 chunked in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED_EVENT, 501),
    "6.1 identity": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 19\r\n\r\n" + EVENT, 400),
    "6.1 two fields of coding": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED_EVENT, 400, 501),
    "6.1 chunked in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED_EVENT,
    "6.1 length in front of chunked": POST + b"Content-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED_EVENT,
    "6.1 length behind chunked": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 19\r\n\r\n" + CHUNKED_EVENT,
    "6.3 equal lengths": POST + b"Content-Length: 19\r\nContent-Length: 19\r\n\r\n" + EVENT,
    "6.3 equal lengths in one field": POST + b"Content-Length: 19, 19\r\n\r\n" + EVENT,
    "6.3 a length of two numbers": POST + b"Content-Length: 19 19\r\n\r\n" + EVENT,
    "6.3 a length with a fraction": POST + b"Content-Length: 19.0\r\n\r\n" + EVENT,
    "6.3 no length in its field": POST + b"Content-Length: \r\n\r\n" + EVENT,
    "7.1 a chunk's size with 0x": CHUNKED + b"0x" + CHUNKED_EVENT,
    "7.1 a chunk's size with a sign": CHUNKED + b"+" + CHUNKED_EVENT,
    "7.1 a chunk's size that is negative": CHUNKED + b"-1\r\n\r\n0\r\n\r\n",
    "7.1 a blank in front of a chunk's size": CHUNKED + b" " + CHUNKED_EVENT,
    "7.1 a chunk's size ends with a line feed alone": CHUNKED + CHUNKED_EVENT.replace(b"13\r\n", b"13\n"),
    "7.1 a chunk ends with a line feed alone": CHUNKED + CHUNKED_EVENT.replace(b"}\r\n", b"}\n"),
    "7.1 a line feed in a chunk's extension": CHUNKED + CHUNKED_EVENT.replace(b"13\r\n", b"13;a\nb\r\n"),
    "7.1 a chunk of all 64 bits": (CHUNKED + b"ffffffffffffffff\r\n" + EVENT, 400, 413),
    "9110 10.1.1 another expectation": (POST + b"Expect: 101-nothing\r\nContent-Length: 19\r\n\r\n" + EVENT, 417),
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_what_a_proxy_may_read_otherwise_is_refused_and_the_connection_ends(wire, what):
    case = SMUGGLED[what]
    data, *statuses = (case, 400) if isinstance(case, bytes) else case
    # A proxy that reads it otherwise takes this for a request of its own, or for a part of the body.
    wire.send(data + request("GET", "/smuggled"), lenient=True)
    answer = wire.receive(or_end=True)
    assert answer is not None, "closed without a word"
    assert answer.status in statuses, answer
    assert wire.is_closed()


# What looks odd and is allowed, with the same meaning for all.
ODD = {
    "empty lines in front (2.2)": b"\r\n\r\n" + GET + b"Host: localhost\r\n\r\n",
    "an absolute target (3.2.2)": b"GET http://localhost:1/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a URL without a path": b"GET HTTP://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an empty Host (3.2)": GET + b"Host:\r\n\r\n",
    "an IPv6 Host": GET + b"Host: [::1]:8000\r\n\r\n",
    "an octet of a name": GET + b"Host: localhost\r\nX-Name: \xe9\xff\r\n\r\n",
    "CHUNKED in capitals (7)": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKED_EVENT,
    "chunk extensions (7.1.1)": CHUNKED + CHUNKED_EVENT.replace(b"13\r\n", b'13;a="b;c";d\r\n'),
    "a chunk's size with zeros in front": CHUNKED + b"0000" + CHUNKED_EVENT,
    "trailers (7.1.2), which mean nothing": CHUNKED + CHUNKED_EVENT[:-2] + b"X-Name: y\r\n\r\n",
    "a length with zeros in front": POST + b"Content-Length: 0019\r\n\r\n" + EVENT,
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_only_odd_is_served_and_the_next_request_too(wire, what):
    wire.send(ODD[what] + request("GET", "/livez"))
    assert wire.receive().status == 200
    assert wire.receive().json() == {"status": "alive"}


def test_what_an_absolute_target_names_counts_not_the_host_field(wire):
    # RFC 9112 section 3.2.2; without tokens only this machine's names are answered.
    wire.send(b"GET http://evil.example/api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert wire.receive().status == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW", "post", "M" * 1000])
def test_only_post_takes_events_and_other_methods_are_told_so(wire, method):
    wire.send(request(method, "/metadata") + request("GET", "/livez"))
    answer = wire.receive(has_body=method != "HEAD")
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert wire.receive().status == 200


def test_options_of_the_whole_server_is_a_path_nobody_has(wire):
    wire.send(request("OPTIONS", "*"))
    assert wire.receive().status == 404


def test_a_body_that_came_with_its_expectation_is_taken_at_once(wire):
    wire.send(request("POST", "/metadata", EVENT, {"Expect": "100-Continue"}))
    assert wire.receive().status == 200


def test_who_expects_100_and_then_sends_another_request_has_sent_a_body(wire):
    second = request("GET", "/livez")
    wire.send(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(second))
    assert wire.receive().status == 100
    wire.send(second)
    assert wire.receive().status == 400  # no JSON


# Of what json.dumps of Python, or nobody, would write: each with its status.
TEXTS = {
    "NaN": (b'{"embedding":[1,NaN]}', 422),
    "Infinity": (b'{"embedding":[-Infinity]}', 422),
    "a double that is none": (b'{"embedding":[1e999]}', 422),
    "a float that is none": (b'{"embedding":[1e39]}', 422),
    "a number that is none, elsewhere": (b'{"embedding":[1],"extra":{"a":-1e999}}', 422),
    "NaN elsewhere": (b'{"embedding":[1],"a":NaN}', 422),
    "a key twice": (b'{"embedding":[1],"embedding":[2]}', 422),
    "an unknown key twice": (b'{"embedding":[1],"a":1,"a":2}', 422),
    "a key twice by an escape": (b'{"embedding":[1],"a":1,"\\u0061":2}', 422),
    "a key twice deep inside": (b'{"embedding":[1],"extra":{"a":[{"b":1,"b":2}]}}', 422),
    "a byte that is no UTF-8": (b'{"embedding":[1],"a":"\xff"}', 400),
    "an overlong slash": (b'{"embedding":[1],"a":"\xc0\xaf"}', 400),
    "half a surrogate pair as bytes": (b'{"embedding":[1],"a":"\xed\xa0\x80"}', 400),
    "half a surrogate pair by an escape": (b'{"embedding":[1],"a":"\\ud800"}', 400),
    "100,000 brackets": (b'{"embedding":[1],"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422),
    "100,000 objects in each other": (b'{"embedding":[1],"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", 422),
    "a million brackets and no end": (b"[" * 1_000_000, 400),
    "100,000 keys": (b'{"embedding":[1]' + b"".join(b',"k%d":0' % i for i in range(100_000)) + b"}", 200),
    "minus zero": (b'{"metadata_id":"minus zero","embedding":[-0,-0.0,0]}', 200),
    "two events": (EVENT + EVENT, 400),
    "UTF-16": ('{"embedding":[1]}'.encode("utf-16"), 400),
}


@pytest.mark.parametrize("what", TEXTS)
def test_texts_that_are_nearly_events(wire, what):
    body, status = TEXTS[what]
    wire.send(request("POST", "/metadata", body) + request("GET", "/livez"))
    answer = wire.receive()
    assert answer.status == status, answer.body[:500]
    assert wire.receive().status == 200


def test_minus_zero_keeps_its_sign(server):
    server.accept({"metadata_id": "sign", "embedding": [-0.0, 0.0]})
    server.when_stored(["sign"])
    found = run("query", "--data-dir", server.data_dir, "--id", "sign", "--format", "ndjson", "--with-embedding").stdout
    assert '"embedding":[-0,0]' in found


def test_ten_thousand_requests_at_once_on_one_connection_are_all_answered_in_order(server):
    connection = Wire(server.address)
    count = 10_000
    asked = b"".join(request("GET", f"/nowhere/{i}") for i in range(count))
    sender = threading.Thread(target=connection.send, args=(asked,))
    sender.start()
    for i in range(count):
        assert f"/nowhere/{i}".encode() in connection.receive().body
    sender.join()
    connection.close()


def play(server, attack, seconds):
    """What came of it, and the most memory that the server had meanwhile, in MiB."""
    over, found, most_mib = threading.Event(), {}, 0
    attacker = threading.Thread(target=lambda: found.update(attack(server.address, over)))
    attacker.start()
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            time.sleep(0.1)
            most_mib = max(most_mib, proc.status(server.pid, "VmRSS") / 1024)
    finally:
        over.set()
        attacker.join()
    return found, most_mib


def test_attacks_harm_no_honest_client_and_neither_fill_nor_end_the_process(up):
    server = up(*QUICK, "--log-level", "error")
    honest = steady.Steady(server.address, 20)
    eventually(lambda: steady.answers(honest.take())[0].get(200), "honest clients are answered")
    idle_descriptors = proc.descriptors(server.pid)
    most_mib = 0
    try:
        for attack, allowed in attacks.ATTACKS.items():
            slow = "408" in allowed
            # Who is slow must live to see that he was given up: longer where a machine took all of that time to open the connections.
            for seconds in (2.5, 10, 40) if slow else (1,):
                found, mib = play(server, attack, seconds)
                most_mib = max(most_mib, mib)
                assert found and found.keys() <= allowed, f"{attack.__name__}: {found}"
                assert server.runs(), f"{attack.__name__}:\n{server.said()}"
                if "408" in found:
                    break
            assert not slow or "408" in found, f"{attack.__name__}: {found}"
    finally:
        honest.stop()
    statuses, _ = steady.answers(honest.take())
    assert statuses.keys() == {200}, statuses
    assert statuses[200] >= 10 * len(attacks.ATTACKS)
    assert most_mib < MIB_MAX
    eventually(
        lambda: proc.descriptors(server.pid) <= idle_descriptors + 5,
        lambda: f"{proc.descriptors(server.pid)} descriptors, {idle_descriptors} before",
    )
    server.accept(event("last"))
    server.when_stored(["last", "hundredfold"])


def test_who_announces_a_body_and_sends_a_byte_of_it_takes_nobodys_room(up):
    server = up()
    slow = []
    # As bytes announced these are all that bodies together may have, to the last kilobyte; as bytes sent, next to nothing.
    for size, count in ((262_144, 1100), (4096, 200), (512, 200)):
        for _ in range(count):
            slow.append(Wire(server.address))
            slow[-1].send(POST + b"Content-Length: %d\r\n\r\n{" % size)
    for i in range(20):
        server.accept(event(f"e{i}", dim=2048))
    assert proc.status(server.pid, "VmRSS") / 1024 < MIB_MAX / 4
    for connection in slow:
        connection.close()


def test_who_reads_no_answers_gets_no_more_of_them_made(up):
    server = up()
    size = len(server.get("/openapi.json").content)
    # More than the kernel holds for a connection, and for the process still more than the 32 that are read ahead.
    asked, deaf = request("GET", "/openapi.json") * 500, []
    before_mib = proc.status(server.pid, "VmRSS") / 1024
    for _ in range(100):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_S)
        connection.connect(server.address)
        connection.sendall(asked)
        deaf.append(connection)
    server.accept(event())
    read_ahead_mib = 100 * 32 * size / (1 << 20)
    assert proc.status(server.pid, "VmRSS") / 1024 - before_mib < read_ahead_mib / 2
    # Who begins to read gets all of them.
    deaf[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    received_bytes = 0
    while received_bytes < 500 * size:
        more = deaf[0].recv(1 << 20)
        assert more, f"ended after {received_bytes} bytes of {500 * size}"
        received_bytes += len(more)
    for connection in deaf:
        connection.close()


def test_a_line_through_samples_tells_what_grows_from_what_does_not():
    rng = numpy.random.default_rng(8)
    seconds = numpy.arange(0, 3600, 60)
    flat = slope.fit(list(zip(seconds, 100 + rng.normal(0, 1, 60), strict=True)))
    leaking = slope.fit(list(zip(seconds, 100 + seconds / 360 + rng.normal(0, 1, 60), strict=True)))
    assert flat.verdict(allowed_per_hour=5) == "flat"
    assert leaking.verdict(allowed_per_hour=5) == "grows"
    assert abs(leaking.per_hour - 10) < leaking.half_width < 2
    short = slope.fit(list(zip(seconds[:10], 100 + rng.normal(0, 3, 10), strict=True)))
    assert short.verdict(allowed_per_hour=5) == "undecided"


def test_soak_judges_each_series_by_what_it_may_grow():
    samples = [{"at": float(i), "lag": 0, "serve rss": (100 << 20) + i * 10_000, "work fds": 30, "log bytes": 1 << 26} for i in range(3600)]
    windows = [{"at": float(i), "ms": [1.0, 2.0, 3.0]} for i in range(3600)]
    rows, verdicts = soak.judge(soak.series(samples, windows, 3600))
    assert dict(zip([row.split("|")[1].strip() for row in rows], verdicts, strict=True)) == {
        "serve rss MiB": "grows", "work fds": "flat", "log MiB": "flat", "p50 ms": "flat", "p99 ms": "flat"}


def test_honest_clients_count_what_they_are_answered_and_from_when_it_was_due(up):
    server = up()
    honest = steady.Steady(server.address, 50, events_a_request=5)
    seen = []
    eventually(lambda: seen.extend(honest.take()) or steady.answers(seen)[0].get(200, 0) >= 20, "20 batches are answered")
    server.signal(signal.SIGSTOP)
    time.sleep(1)
    server.signal(signal.SIGCONT)
    # Who was due while it stood still has waited since then.
    eventually(lambda: seen.extend(honest.take()) or steady.answers(seen)[1][-1] > 500, "late answers count as late")
    honest.stop()
    assert steady.answers(seen + honest.take())[0].keys() == {200}
    stored = server.when_stored([f"steady-{i}" for i in range(100)])
    assert json.loads(steady.event(7, 0))["extra"] == stored["steady-7"]["extra"]
