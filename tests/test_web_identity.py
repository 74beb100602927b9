"""A pod's identity, whole and real: a signed token is traded at a real STS for keys of a session, and S3 takes these.

versitygw's STS asks the issuer of a token for its keys, but nobody on a loopback or private address. So everything here lives in a
network namespace of its own, where the issuer has an address that is reserved for documentation (RFC 5737).
"""

import base64
import ctypes
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.parse

from s3_server import GATEWAY, S3Server, signed_request
from server_process import ServerProcess, free_port
from support import event, eventually

ISSUER = "203.0.113.7"
CLONE_NEWNET = 0x40000000
ROLE = "ca4-archive"


def in_a_network_of_its_own(work):
    """Runs `work` in a thread that has left this network namespace; what it starts is in the new one too."""
    failures = []

    def body():
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare: a network namespace needs root")
            for command in ("link set lo up", f"address add {ISSUER}/32 dev lo"):
                subprocess.run(["ip", *command.split()], check=True)
            work()
        except BaseException as failure:  # raised again below, in the test's own thread
            failures.append(failure)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def openssl(*args, **keywords):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **keywords).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An OpenID Connect provider: its keys by HTTPS, and tokens signed with them."""

    def __init__(self, folder):
        self.folder = folder
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test CA", "-keyout",
                folder / "ca.key", "-out", folder / "ca.pem")  # fmt: skip
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={ISSUER}", "-keyout", folder / "tls.key", "-out",
                folder / "tls.csr")  # fmt: skip
        (folder / "san").write_text(f"subjectAltName=IP:{ISSUER}\n")
        leaf = openssl("x509", "-req", "-in", folder / "tls.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                       "-CAcreateserial", "-days", "1", "-extfile", folder / "san")  # fmt: skip
        (folder / "chain.pem").write_bytes(leaf + (folder / "ca.pem").read_bytes())
        self.thumbprint = hashlib.sha1(openssl("x509", "-in", folder / "ca.pem", "-outform", "DER")).hexdigest()
        openssl("genrsa", "-out", folder / "token.key", "2048")

    def documents(self):
        modulus = openssl("rsa", "-in", self.folder / "token.key", "-noout", "-modulus").decode().strip().split("=")[1]
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        about = {"issuer": f"https://{ISSUER}", "jwks_uri": f"https://{ISSUER}/keys"}
        return {"/.well-known/openid-configuration": about, "/keys": {"keys": [key]}}

    def serve(self):
        documents = self.documents()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(200 if self.path in documents else 404)
                self.end_headers()
                self.wfile.write(json.dumps(documents.get(self.path)).encode())

        server = http.server.ThreadingHTTPServer((ISSUER, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "chain.pem", self.folder / "tls.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def token(self, subject):
        now = int(time.time())
        claims = {"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": subject, "iat": now, "exp": now + 3600}
        parts = [b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "1"}, claims)]
        signature = openssl("dgst", "-sha256", "-sign", self.folder / "token.key", input=".".join(parts).encode())
        return ".".join([*parts, b64(signature)])


def make_role(iam_url, keys, issuer):
    """A role that the pods of one service account may take, and what it may do."""

    def call(action, **parameters):
        body = urllib.parse.urlencode({"Action": action, "Version": "2010-05-08", **parameters}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = signed_request(iam_url, "POST", "/", None, body, headers, keys=keys, service="iam")
        assert answer.status_code == 200, answer.text
        return answer.text

    answer = call("CreateOpenIDConnectProvider", **{"Url": f"https://{ISSUER}", "ClientIDList.member.1": "sts.amazonaws.com",
                                                    "ThumbprintList.member.1": issuer.thumbprint})  # fmt: skip
    provider = answer.split("<OpenIDConnectProviderArn>")[1].split("<")[0]
    trust = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity",
             "Condition": {"StringEquals": {f"{ISSUER}:sub": "system:serviceaccount:app:ca4"}}}  # fmt: skip
    answer = call("CreateRole", RoleName=ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    # What docs/archive.md says that the keys need, and no more.
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:GetObject"]
    allow = {"Effect": "Allow", "Action": actions, "Resource": ["arn:aws:s3:::archive", "arn:aws:s3:::archive/*"]}
    call("PutRolePolicy", RoleName=ROLE, PolicyName="archive", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    return answer.split("<Arn>")[1].split("<")[0]


def test_a_pods_token_becomes_a_session_that_archives(up, tmp_path):
    def scene():
        issuer = Issuer(tmp_path)
        web = issuer.serve()
        port, private = free_port(), tmp_path / "iam.sock"
        iam_url, keys = f"http://127.0.0.1:{port}", ("root-access", "root-secret")
        argv = [GATEWAY, "--quiet", "--port", f"127.0.0.1:{port}", "--access", keys[0], "--secret", keys[1]]
        os.makedirs(tmp_path / "iam-data")
        iam = ServerProcess(
            "versitygw iam", [*argv, "iam", "--dir", tmp_path / "iam-data", "--private-ports", private],
            tmp_path / "iam.log", ready=lambda: ServerProcess.answers(port),
        )  # fmt: skip
        s3 = S3Server(tmp_path, access=keys[0], secret=keys[1], iam=("--iam-standalone-endpoint", private))
        server = None
        try:
            iam.start()
            s3.start()
            s3.make_bucket("archive")
            role = make_role(iam_url, keys, issuer)
            token = tmp_path / "token"
            token.write_text(issuer.token("system:serviceaccount:app:somebody-else"))
            env = {"CA4_ARCHIVE_S3_BUCKET": "archive", "CA4_ARCHIVE_S3_ENDPOINT": s3.endpoint,
                   "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": role, "AWS_ENDPOINT_URL_STS": iam_url}  # fmt: skip
            server = up("--archive-linger-ms", "50", "--worker-backoff-ms-max", "200", env=env)
            server.accept(event("a"))
            eventually(lambda: "InvalidIdentityToken" in server.said(), "the role is not for everybody")
            token.write_text(issuer.token("system:serviceaccount:app:ca4"))
            eventually(lambda: len(s3.keys("archive")) == 2, "the event is in the bucket")
        finally:
            if server:
                server.stop()
            for process in (s3, iam):
                process.stop()
            web.shutdown()
            web.server_close()

    in_a_network_of_its_own(scene)
