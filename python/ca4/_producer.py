"""Sending embeddings to a processor."""

import dataclasses
import json
import os
import re

from ca4 import _checks, _gpu, _native, _progress
from ca4._images import listed, pairs
from ca4._model import open_model

# Where Linux distributions keep the certificates that they trust.
_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem")


def _ca_file():
    for path in (os.environ.get("SSL_CERT_FILE"), *_CA_FILES):
        if path and os.path.exists(path):
            return path
    try:
        import certifi
    except ImportError:
        return ""
    return certifi.where()


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run came to. Truthy when nothing was skipped."""

    images: int
    sent: int
    already_sent: int
    skipped: list  # [(name, reason)]
    wall_s: float
    model_busy_s: float
    timeline: list  # [{"t_s", "images", "gpu_utilization_percent", ...}], about one a second
    gpu_hardware: dict
    journal: str

    @property
    def images_per_s(self):
        return self.sent / self.wall_s if self.wall_s else 0.0

    @property
    def model_busy_share(self):
        return self.model_busy_s / self.wall_s if self.wall_s else 0.0

    def __bool__(self):
        return not self.skipped

    def __str__(self):
        text = f"{self.images} image{'s' if self.images != 1 else ''}: {self.sent} sent"
        if self.already_sent:
            text += f", {self.already_sent} already sent"
            if self.already_sent == self.images:
                text += f" ({self.journal} knows them all)"
        if self.skipped:
            text += f", {len(self.skipped)} skipped"
        text += f" in {self.wall_s:.1f} s, {self.images_per_s:.1f} images/s, model busy {self.model_busy_share:.0%}"
        return text + ("\nskipped:" + listed(self.skipped) if self.skipped else "")


class ProducerError(RuntimeError):
    """A run ended early. `summary` says how far it came; the same call goes on from there."""

    def __init__(self, message, summary):
        self.summary = summary
        super().__init__(f"{message}\n{summary}\nRun it again to go on: {summary.journal} knows what was sent.")


class Producer:
    """Embeds images and sends them, several requests at a time, each tried again as long as that can help.

    endpoint: URL of the processor. token: the bearer token that it asks for. model: path of an ONNX file, or a ca4.Model.
    ca_file: PEM certificates of the authorities that an https:// endpoint's certificate may come from, or a self-signed one itself; by
    default SSL_CERT_FILE's, or those that this machine trusts. journal: file that notes what was acknowledged; by default
    ca4/produce.journal of a mounted Google Drive, else .ca4-journal here. retry_for_s: how long to wait for an endpoint that is away. Further keywords go to ca4.Model.
    """

    def __init__(self, endpoint, model, *, token=None, ca_file=None, journal=None, pipeline="unknown", tags=(), notes="", batch=8,
                 id_template="img-{sha}", in_flight_max=4, retry_for_s=1800, one_by_one=False, **model_options):
        endpoint, token = str(endpoint).strip(), (token or "").strip()  # as they are pasted
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint {endpoint!r}: expected http://HOST:PORT or https://HOST")
        if not re.fullmatch(r"[!-~]*", token):  # a line break in it would be a header of its own
            raise ValueError("token: expected what `ca4 token new` printed, without blanks or line breaks in it")
        if ca_file:
            _native.check_ca_file(os.fspath(ca_file))
        self.model = open_model(model, **model_options)
        self.journal = os.fspath(journal) if journal else _native.default_journal()
        options = _native.RunOptions()
        options.endpoint, options.token, options.ca_file = endpoint, token, os.fspath(ca_file) if ca_file else _ca_file()
        options.journal, options.pipeline, options.notes = self.journal, pipeline or "unknown", notes or ""
        options.tags = [tags] if isinstance(tags, str) else list(tags or ())
        options.batch = _checks.whole("batch", batch, _checks.BATCH_MAX)
        options.in_flight_max = _checks.whole("in_flight_max", in_flight_max, _checks.IN_FLIGHT_MAX)
        options.retry_for_s = _checks.seconds("retry_for_s", retry_for_s, _checks.RETRY_FOR_S_MAX)
        options.id_template, options.one_by_one = id_template, one_by_one
        self._options = options

    def run(self, images, progress=True):
        """Sends what the journal does not have yet and returns a Summary.

        images: paths, folders, patterns, PIL images, uint8 arrays of shape (height, width, 3), (name, image) pairs, or an iterator
        of them. An image that can't be decoded, or that the processor refuses, is skipped and listed. Ctrl-C (or the notebook's stop
        button) ends it within seconds, with KeyboardInterrupt; ProducerError when the processor can't be reached or refuses everything.
        """
        iterator, count = pairs(images)
        self._options.known_json = _gpu.known_json()
        bar = _progress.bar(progress, count)
        try:
            report = self.model._native.run(
                iterator, count, self._options, lambda *settled: _progress.advance(bar, sum(settled)), lambda line: _progress.say(bar, line))
            _progress.advance(bar, report["sent"] + report["already_sent"] + len(report["skipped"]))
        finally:
            bar.close()
        failure = report.pop("failure")
        hardware = json.loads(report.pop("gpu_hardware_json"))
        summary = Summary(**report, gpu_hardware=hardware, journal=self.journal)
        if failure is not None:
            raise ProducerError(failure, summary)
        return summary
