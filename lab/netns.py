"""Hosts in network namespaces of their own, joined by a router with a firewall: a small private network.

Nothing outside is connected: a host reaches what the firewall lets it reach, and nobody else. Needs root. Everything
ends with the process that made it, also by kill -9: see netlab.Machine; links and rules go with their namespaces.
"""

import ipaddress
import subprocess

from basics import eventually
from netlab import Machine, command
from server_process import ServerProcess

# Inside namespaces only; no address of any real network is ever used from here.
SUBNETS = ipaddress.ip_network("10.204.0.0/16")


class Host(Machine):
    """A machine with one address, on this machine's files but for its own /etc/hosts."""

    address = None

    def server(self, name, argv, log_file, **keywords):
        """A ServerProcess on this host, not started yet."""
        return ServerProcess(name, self.inside(*argv), log_file, **keywords)


class Network:
    """`names` are its hosts; each sees only the router, which forwards what `allow` names and drops the rest.

    `with Network(folder, "laptop", "bastion", "node") as network:` ends it. Every host knows the others by name.
    """

    def __init__(self, folder, *names):
        self.hosts = {}
        self.router = None
        try:
            self.router = Host("router", folder)
            self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            for number, name in enumerate(names, start=1):
                self._add(name, folder, number)
        except BaseException:
            self.close()
            raise
        self.name_hosts({name: host.address for name, host in self.hosts.items()})
        # Stateful, as a cloud's security groups are: answers to what was let in pass.
        self._firewall = (
            "table inet fw {\n chain cut { }\n chain allowed { }\n chain forward {\n"
            "  type filter hook forward priority 0; policy drop;\n"
            "  jump cut\n  ct state established,related accept\n  jump allowed\n }\n}\n"
        )
        self._nft(self._firewall)

    def _add(self, name, folder, number):
        host = self.hosts[name] = Host(name, folder)
        subnet = list(SUBNETS.subnets(new_prefix=24))[number]
        gateway, host.address = str(subnet[1]), str(subnet[2])
        interface = f"to{number}"
        command(
            *("ip", "link", "add", interface, "netns", self.router.holder.pid, "type", "veth"),
            *("peer", "name", "eth0", "netns", host.holder.pid),
        )
        self.router.run("ip", "addr", "add", f"{gateway}/24", "dev", interface)
        self.router.run("ip", "link", "set", interface, "up")
        host.run("ip", "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", "default", "via", gateway)
        # The kernel takes up to a second to find that the cable is plugged in.
        eventually(lambda: "state UP" in host.run("ip", "link", "show", "eth0"), f"the link of {name}")

    def __getitem__(self, name):
        return self.hosts[name]

    def name_hosts(self, names, on=None):
        """Adds {name: address} to /etc/hosts of the hosts named in `on`, or of all."""
        for host in [self.hosts[name] for name in on] if on else self.hosts.values():
            with host.hosts.open("a") as file:
                file.writelines(f"{address} {name}\n" for name, address in names.items())

    def _nft(self, rules):
        done = subprocess.run(
            self.router.inside("nft", "-f", "-"), input=rules, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"nft: {done.stderr}\n{rules}"

    def allow(self, source, target, *ports):
        """Lets `source` open TCP connections to these ports of `target`."""
        for port in ports:
            self._nft(
                f"add rule inet fw allowed ip saddr {self[source].address} ip daddr {self[target].address} "
                f"tcp dport {port} accept"
            )

    def forbid_all(self):
        """Undoes every `allow`; open connections stay."""
        self._nft("flush chain inet fw allowed")

    def cut(self, one, other):
        """From now on every packet between the two is dropped, in silence, also of open connections."""
        for source, target in ((one, other), (other, one)):
            self._nft(
                f"add rule inet fw cut ip saddr {self[source].address} ip daddr {self[target].address} drop"
            )

    def mend(self):
        """Undoes every `cut`."""
        self._nft("flush chain inet fw cut")

    def close(self):
        for host in [*self.hosts.values(), self.router]:
            if host is not None:
                host.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
