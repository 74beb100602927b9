"""The services that hand keys to a process on AWS, as small servers of the tests: they speak the protocols as AWS documents
them, and count. Behind them are real keys of a real S3 server."""

import http.server
import json
import threading
import time


def rfc3339(unix_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


class Peer:
    """`answer(method, path, headers, body)` returns (status, text). The keys may be changed while it runs."""

    def __init__(self, access, secret, lifetime_s=3600):
        self.access, self.secret, self.lifetime_s = access, secret, lifetime_s
        self.asked = []
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def respond(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                peer.asked.append((self.command, self.path))
                status, text = peer.answer(self.command, self.path, self.headers, body.decode())
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = respond

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def keys_json(self, **more):
        keys = {"AccessKeyId": self.access, "SecretAccessKey": self.secret}
        return json.dumps(keys | {"Expiration": rfc3339(time.time() + self.lifetime_s)} | more)


class InstanceMetadata(Peer):
    """IMDSv2: a session by PUT, then questions that show it."""

    def answer(self, method, path, headers, _):
        if method == "PUT" and path == "/latest/api/token":
            assert headers["X-aws-ec2-metadata-token-ttl-seconds"]
            return 200, "a-session"
        if headers["X-aws-ec2-metadata-token"] != "a-session":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "ca4-role"
        if path == "/latest/meta-data/iam/security-credentials/ca4-role":
            return 200, self.keys_json(Code="Success", Type="AWS-HMAC")
        return 404, ""


class ContainerAgent(Peer):
    """The agent of EKS Pod Identity: keys for whoever shows the pod's token."""

    token = "pod-token"

    def answer(self, _, path, headers, __):
        if headers["Authorization"] != self.token:
            return 401, ""
        return (200, self.keys_json()) if path == "/v1/credentials" else (404, "")
