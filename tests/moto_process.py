"""moto_server as a process: an AWS that forgets everything when it ends."""

import os
import re
import subprocess
import sys
import tempfile

from support import eventually


class Moto:
    def __init__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdout=self.log, stderr=subprocess.STDOUT
        )

        def running():
            assert self.process.poll() is None, self.said()
            return re.search(r"Running on (http://127\.0\.0\.1:\d+)", self.said())

        self.url = eventually(running, "moto_server says where it listens")[1]

    def said(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def environment(self):
        """Nothing of the caller's account gets through, and nothing goes anywhere else."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CA4_", "MONGO_"))}
        return clean | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
