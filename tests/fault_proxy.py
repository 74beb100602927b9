"""An HTTP proxy in front of a server, that plays faults: it answers itself, breaks off, or is slow."""

import http.client
import http.server
import socket
import struct
import threading
import time


class FaultProxy:
    """Every request goes to `upstream` ("HOST:PORT"), unless `fault`, a function of the handler, deals with it.

    A fault returns True when the request is done with. `faults` counts how often it did.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self.fault = None
        self.faults = 0
        self.requests = []  # (method, path, headers) of all that came
        self.in_body = threading.Event()  # somebody sends a body now
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def relay(self):
                proxy.requests.append((self.command, self.path, dict(self.headers)))
                fault = proxy.fault
                if fault is not None and fault(self):
                    proxy.faults += 1
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.forward(body)

            def forward(self, body):
                try:
                    connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
                    connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        connection.putheader(name, value)
                    connection.endheaders(body)
                    answer = connection.getresponse()
                    content = answer.read()
                    connection.close()
                except OSError:
                    self.reset()
                    return
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else len(content)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def reset(self):
                """RST, not a polite end."""
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = relay

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answering(self, status, code, headers=None):
        """A fault: this error of S3, whatever is asked."""

        def fault(handler):
            handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            body = f"<Error><Code>{code}</Code><Message>played by the test</Message></Error>".encode()
            handler.send_response_only(status)
            for name, value in (headers or {}).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)
            return True

        return fault

    def breaking_bodies(self):
        """A fault: the connection breaks in the middle of what is sent."""

        def fault(handler):
            size = int(handler.headers.get("Content-Length", 0))
            handler.rfile.read(size // 2)
            handler.reset()
            return True

        return fault

    def losing_answers(self):
        """A fault: the server does it, but nobody hears."""

        def fault(handler):
            body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(self.upstream, timeout=30)
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            connection.getresponse().read()
            handler.reset()
            return True

        return fault

    def slow(self, bytes_per_s):
        """A fault: bodies arrive slowly, and then are passed on."""

        def fault(handler):
            left = int(handler.headers.get("Content-Length", 0))
            body = b""
            while left > 0:
                piece = handler.rfile.read(min(left, 16_384))
                if not piece:
                    return True  # the client is gone
                body += piece
                left -= len(piece)
                self.in_body.set()
                time.sleep(len(piece) / bytes_per_s)
            self.in_body.clear()
            handler.forward(body)
            return True

        return fault
