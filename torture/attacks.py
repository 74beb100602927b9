"""What hostile clients do to an HTTP server, each as a function of its address that goes on until it is told to stop.

An attack returns what came of it: {"408": how many were answered so, "ended": how many were closed without an answer, …}. They are bounded:
so many connections, so many requests a second. What no limit of the server's can help against is who sends as much as the machine can take.
"""

import collections
import functools
import gzip
import json
import random
import re
import socket
import struct
import time

import zstandard

TIMEOUT_S = 30
CROWD = 1000
POST = b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = b'{"metadata_id":"hostile","embedding":[1,2]}'
MIB = 1 << 20


def connect(address):
    connection = socket.create_connection(address, timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def reset(connection):
    """Ends it as a client that crashed, without a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def post(body, *headers):
    return POST + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def outcome(text):
    """The status of an answer that begins so; "ended" without one."""
    return text[9:12].decode() if text.startswith(b"HTTP/1.1 ") else "ended" if not text else "nonsense"


def everything(connection):
    """All that comes until the server ends the connection."""
    text = b""
    try:
        while more := connection.recv(65536):
            text += more
    except ConnectionError:
        pass
    return text


def one(address, data):
    """What comes of these bytes on a connection of their own, closed by us once an answer is there."""
    with connect(address) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            pass  # refused before all was sent; the answer is there all the same
        try:
            return outcome(connection.recv(4096))
        except ConnectionError:
            return "ended"


def rounds(over, pause_s):
    """At least one, and then until it is over."""
    yield
    while not over.wait(pause_s):
        yield


def repeat(address, over, data, pause_s):
    """`data`, each time on a connection of its own."""
    found = collections.Counter()
    for _ in rounds(over, pause_s):
        found[one(address, data)] += 1
    return found


def crowd(address, over, first, more, count=CROWD, listens=True):
    """`count` connections that begin with `first` and then send a byte of `more` a second; those that end come again."""
    found, open_ones = collections.Counter(), [None] * count
    for _ in rounds(over, 1):
        for i, connection in enumerate(open_ones):
            try:
                if connection is None:
                    open_ones[i] = connection = connect(address)
                    connection.sendall(first)
                    connection.setblocking(False)
                    found["opened"] += 1
                    continue
                connection.send(more)
                if not listens:
                    continue
                found[outcome(connection.recv(4096))] += 1
            except BlockingIOError:
                continue
            except ConnectionError:
                found["ended"] += 1
            open_ones[i].close()
            open_ones[i] = None
    for connection in filter(None, open_ones):
        connection.close()
    return found


def slow_heads(address, over):
    return crowd(address, over, b"POST /metadata HTTP/1.1\r\nHost: localhost\r\nX: ", b"a")


def slow_bodies(address, over):
    """Each announces what a server would like to take memory for."""
    return crowd(address, over, POST + b"Content-Length: 1000000\r\n\r\n{", b" ")


def stalled(address, over):
    """All but the last byte of the largest bodies, as many as bodies have room together."""
    return crowd(address, over, POST + b"Content-Length: %d\r\n\r\n" % (16 * MIB) + b" " * (16 * MIB - 1), b"", count=17)


def slow_chunks(address, over):
    return crowd(address, over, POST + b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n{", b" ")


def silent(address, over):
    return crowd(address, over, b"", b"")


def deaf(address, over, count=200):
    """Ask for much, again and again, and read nothing."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
    return crowd(address, over, asked, b"", count, listens=False)


def early_close(address, over):
    """In the middle of a head, of a body, and in front of the answer."""
    found, whole = collections.Counter(), post(GOOD)
    for _ in rounds(over, 0.005):
        for data in (whole[:30], whole[:-10], whole):
            connection = connect(address)
            connection.sendall(data)
            reset(connection)
            found["reset"] += 1
    return found


@functools.cache
def packed_zeros():
    zeros = bytes(100 * MIB)
    return post(gzip.compress(zeros, 1), b"Content-Encoding: gzip"), post(zstandard.compress(zeros), b"Content-Encoding: zstd")


def bombs(address, over):
    """100 MiB of zeros in some kB, ten a second."""
    found = collections.Counter()
    for number, _ in enumerate(rounds(over, 0.1)):
        found[one(address, packed_zeros()[number % 2])] += 1
    return found


def deep(address, over):
    """15 MiB of brackets."""
    return repeat(address, over, post(b'{"a":' + b"[" * (15 * MIB)), 0.25)


def great_heads(address, over):
    """A megabyte in one header, in the target, and in 10,000 headers."""
    found = collections.Counter()
    heads = (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * MIB, b"GET /" + b"a" * MIB, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000)
    for number, _ in enumerate(rounds(over, 0.02)):
        found[one(address, heads[number % len(heads)] + b"\r\n\r\n")] += 1
    return found


def great_bodies(address, over):
    """16 MiB that are no event."""
    return repeat(address, over, post(b"[" + b"0," * (8 * MIB - 10)), 0.25)


def lies(address, over):
    """More bytes than announced, which are no request; and fewer, with the end behind them."""
    found = collections.Counter()
    for _ in rounds(over, 0.02):
        with connect(address) as connection:
            connection.sendall(post(GOOD) + b"}" * 100 + b"\r\n\r\n")
            statuses = re.findall(rb"HTTP/1\.1 (\d+) ", everything(connection))
            found[b" ".join(statuses).decode()] += 1
        with connect(address) as connection:
            connection.sendall(POST + b"Content-Length: 100\r\n\r\n" + GOOD)
            connection.shutdown(socket.SHUT_WR)
            found[outcome(everything(connection))] += 1
    return found


def noise(address, over):
    """Random bytes, a TLS greeting, HTTP/2's preface."""
    rng, found = random.Random(8), collections.Counter()
    for _ in rounds(over, 0.02):
        for data in (rng.randbytes(500) + b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            found[one(address, data)] += 1
    return found


def pipeline(address, over, count=10_000):
    """So many requests at once on one connection, all of which have an answer."""
    asked, found = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * count, collections.Counter()
    for _ in rounds(over, 1):
        with connect(address) as connection:
            connection.setblocking(False)
            sent, text, deadline = 0, b"", time.monotonic() + TIMEOUT_S
            while text.count(b"alive") < count and time.monotonic() < deadline:
                try:
                    sent += connection.send(asked[sent : sent + 65536]) if sent < len(asked) else 0
                except BlockingIOError:
                    pass
                try:
                    text += connection.recv(1 << 20)
                except BlockingIOError:
                    time.sleep(0.001)
            found["all answered" if text.count(b"HTTP/1.1 200 OK") == count else "answers missing"] += 1
    return found


def flood(address, over, count=3000):
    """More connections than the server takes, all at once, and again."""
    found = collections.Counter()
    for _ in rounds(over, 0.5):
        crowd_ = []
        for _ in range(count):
            try:
                crowd_.append(connect(address))
            except ConnectionError:
                found["ended"] += 1
        for connection in crowd_:
            connection.setblocking(False)
            try:
                found[outcome(connection.recv(4096))] += 1
            except BlockingIOError:
                found["waits"] += 1
            except ConnectionError:
                found["ended"] += 1
        for connection in crowd_:
            connection.close()
    return found


def same_id(address, over):
    """A hundred clients with one event at the same moment."""
    found = collections.Counter()
    data = post(json.dumps({"metadata_id": "hundredfold", "embedding": [1, 2, 3]}).encode())
    for _ in rounds(over, 0.1):
        clients = [connect(address) for _ in range(100)]
        for client in clients:
            client.sendall(data)
        for client in clients:
            found[outcome(client.recv(4096))] += 1
            client.close()
    return found


# Each with all that may come of it.
ATTACKS = {
    slow_heads: {"opened", "408"},
    slow_bodies: {"opened", "408"},
    slow_chunks: {"opened", "408"},
    stalled: {"opened", "503", "ended"},
    silent: {"opened", "ended"},
    deaf: {"opened"},
    early_close: {"reset"},
    bombs: {"413", "503"},
    deep: {"400", "422", "503"},
    great_heads: {"431"},
    great_bodies: {"400", "503"},
    lies: {"200 400", "ended"},
    noise: {"400"},
    pipeline: {"all answered"},
    flood: {"waits", "503", "ended"},
    same_id: {"200"},
}
