"""A name server on a loopback address, for one zone, and programs that ask it and nobody else."""

import socket
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Answers from `zone`: {("name.", "SRV"): ["0 0 27017 db.cluster.ca4.test."], ...}; the rest does not exist."""

    def __init__(self, zone):
        self.zone = zone
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = self._bind()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _bind(self):
        # A resolver asks port 53 only; loopback has addresses enough for every test that runs.
        for host in range(2, 250):
            address = f"127.53.0.{host}"
            try:
                self._socket.bind((address, 53))
                return address
            except OSError:
                continue
        raise AssertionError("no loopback address has port 53 free")

    def start(self):
        self._thread.start()

    def stop(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                packet, client = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(packet).to_wire(), client)
            except OSError:
                return

    def _answer(self, packet):
        question = dns.message.from_wire(packet)
        self.questions += 1
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA | dns.flags.RA
        (asked,) = question.question
        records = self.zone.get((asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype)))
        if records:
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", asked.rdtype, *records))
        elif not any(name == asked.name.to_text() for name, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def wrap(self, folder, timeout_s=1):
        """What to put before a command so that it asks this server: a mount namespace with another resolv.conf."""
        resolv_conf = Path(folder) / "resolv.conf"
        resolv_conf.write_text(f"nameserver {self.address}\noptions timeout:{timeout_s} attempts:1\n")
        script = f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh"]
