"""A raw HTTP/1.1 connection: what a client library would tidy up or hide is sent and seen as it is."""

import json
import socket
from dataclasses import dataclass

from support import PATIENCE_S


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


def request(method, path, body=b"", headers=None):
    lines = {"Host": "localhost"}
    if body:
        lines |= {"Content-Type": "application/json", "Content-Length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | (headers or {})).items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Wire:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def send(self, data, lenient=False):
        try:
            self.socket.sendall(data)
        except ConnectionError:
            if not lenient:
                raise

    def receive(self, has_body=True, or_end=False):
        """The next answer; with or_end None when the connection ends instead."""
        while b"\r\n\r\n" not in self.unread:
            if not self._more():
                assert or_end and not self.unread, f"connection ended after {self.unread!r}"
                return None
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1", first
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            assert name.lower() not in headers, f"twice: {line}"
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0)) if has_body else 0
        while len(self.unread) < length:
            assert self._more(), "connection ended in the middle of a body"
        body, self.unread = self.unread[:length], self.unread[length:]
        return Answer(int(status), headers, body)

    def is_closed(self):
        """Waits until the server ends the connection, and nothing more came before."""
        while not self.unread:
            if not self._more():
                return True
        return False

    def close(self):
        self.socket.close()

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self.unread += data
        return bool(data)
