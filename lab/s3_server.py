"""versitygw, a real S3 server, on a folder of its own (scripts/setup-s3.sh)."""

import hashlib
import hmac
import os
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import requests
from basics import ROOT
from server_process import HERE, ServerProcess, free_port

GATEWAY = ROOT / ".deps/s3/versitygw"
REGION = "us-east-1"
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def _quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-_.~")


def signed_request(endpoint, method, path, query, body, headers, *, keys, service="s3", ca_file=None):
    """A request signed by Signature Version 4."""
    access, secret = keys
    query_text = "&".join(f"{_quote(k)}={_quote(v)}" for k, v in sorted((query or {}).items()))
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    signed = {"host": endpoint.split("://")[1], "x-amz-date": now}
    signed |= {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    signed |= {name.lower(): value for name, value in (headers or {}).items()}
    names = ";".join(sorted(signed))
    lines = [method, _quote(path, "/"), query_text, *(f"{n}:{signed[n]}" for n in sorted(signed)), "", names]
    canonical = "\n".join([*lines, signed["x-amz-content-sha256"]])
    scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    url = f"{endpoint}{_quote(path, '/')}" + (f"?{query_text}" if query_text else "")
    verify = str(ca_file) if ca_file else True
    return requests.request(method, url, data=body, headers=signed, timeout=60, verify=verify)


class S3Server(ServerProcess):
    """One server with its root's keys. Its own client is written down here, so that it shares nothing with ca4's."""

    def __init__(
        self,
        folder,
        *flags,
        access="test-access",
        secret="test-secret",
        scheme="http",
        ca_file=None,
        iam=None,
        host=HERE,
        port=None,
    ):
        assert GATEWAY.is_file(), f"{GATEWAY} is not there: run scripts/setup-s3.sh"
        self.access, self.secret = access, secret
        self.folder, self.ca_file = folder, ca_file
        self.port = port or free_port()
        self.address = f"{host.address}:{self.port}"
        self.endpoint = f"{scheme}://{self.address}"
        for name in ("data", "iam"):
            os.makedirs(folder / name, exist_ok=True)
        super().__init__(
            "versitygw",
            host.inside(GATEWAY, "--quiet", "--keep-alive", "--health", "/health", "--port", self.address, *flags,
                        *(iam or ("--iam-dir", folder / "iam")), "posix", folder / "data"),
            folder / "versitygw.log",
            env={"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret},
            ready=lambda: host.connects(host.address, self.port),
        )  # fmt: skip

    @property
    def keys_env(self):
        """The variables with which a process comes in."""
        return {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret}

    def request(self, method, path, query=None, body=b"", headers=None):
        return signed_request(
            self.endpoint, method, path, query, body, headers, keys=(self.access, self.secret), ca_file=self.ca_file
        )

    def make_bucket(self, name):
        answer = self.request("PUT", f"/{name}")
        assert answer.status_code == 200, answer.text

    def keys(self, bucket):
        """Every key of the bucket, in order."""
        found, query = [], {"list-type": "2"}
        while True:
            answer = self.request("GET", f"/{bucket}", query)
            assert answer.status_code == 200, answer.text
            page = ElementTree.fromstring(answer.content)
            found += [node.text for node in page.iterfind(f"{NAMESPACE}Contents/{NAMESPACE}Key")]
            if page.findtext(f"{NAMESPACE}IsTruncated") != "true":
                return found
            query["continuation-token"] = page.findtext(f"{NAMESPACE}NextContinuationToken")

    def head(self, bucket, key):
        return self.request("HEAD", f"/{bucket}/{key}", headers={"x-amz-checksum-mode": "ENABLED"}).headers

    def get(self, bucket, key):
        answer = self.request("GET", f"/{bucket}/{key}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def uploads(self, bucket):
        """The multipart uploads that are neither completed nor aborted."""
        answer = self.request("GET", f"/{bucket}", {"uploads": ""})
        assert answer.status_code == 200, answer.text
        return ElementTree.fromstring(answer.content).findall(f"{NAMESPACE}Upload")
