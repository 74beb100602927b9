"""Certificates of an authority that nobody else trusts."""

import subprocess


def openssl(*args):
    ran = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


class Authority:
    """Signs what is asked for; its own certificate is `cert_file`."""

    def __init__(self, folder, name="ca4 test authority"):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert_file, self.key_file = folder / "ca.pem", folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-keyout", self.key_file, "-out", self.cert_file)

    def issue(self, name, days=2):
        """A certificate for a host (or a client) of that name; returns (cert_file, key_file). One of 0 days expires within a second."""
        cert, key, request = (self.folder / f"{name}.{ending}" for ending in ("pem", "key", "csr"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert_file, "-CAkey", self.key_file, "-CAcreateserial",
                "-days", days, "-copy_extensions", "copy", "-out", cert)
        return cert, key
