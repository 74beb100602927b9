"""Who may reach what in the VPC, and a look at whether that is so, made by connecting."""

import json
import subprocess

# Outside of the VPC, and outside of the network that may SSH to the bastion; laptop and internet are on the Internet, the rest is in the VPC.
INTERNET = "internet"
MACHINES = ("laptop", INTERNET, "bastion", "node", "database", "s3")

SSH, GRAFANA, K3S_API, S3, PROCESSOR, KAFKA, DATABASE = 22, 3000, 6443, 7070, 8000, 9092, 27017
# Kafka's own, between brokers.
CONTROLLER, BETWEEN_BROKERS = 9093, 9094
PORTS = (SSH, GRAFANA, K3S_API, S3, PROCESSOR, KAFKA, CONTROLLER, BETWEEN_BROKERS, DATABASE)

# (from, to, ports); everything else is dropped. As the security groups of deploy/aws and the policies of deploy/k8s.
ALLOWED = (
    ("laptop", "bastion", (SSH,)),
    ("bastion", "node", (KAFKA, K3S_API, GRAFANA)),
    ("node", "database", (DATABASE,)),
    ("node", "s3", (S3,)),
)
# Neither K3s nor Grafana is here: their ports are let through, and refuse.
NOBODY_LISTENS = (K3S_API, GRAFANA)

# How long a packet may take within one machine; over it, it was dropped. The kernel sends a lost one again after 1 s.
SILENCE_S = 2.5

# Connects to all places at once and says for each: open, refused (let through, but nobody listens) or dropped.
PROBE = """
import errno, json, select, socket, sys, time
places, open_at, state = json.loads(sys.argv[1]), {}, {}
end = time.monotonic() + float(sys.argv[2])
for address, port in places:
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((address, port))
    open_at[s] = f"{address}:{port}"
while open_at and time.monotonic() < end:
    for s in select.select([], list(open_at), [], max(0, end - time.monotonic()))[1]:
        error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        state[open_at.pop(s)] = "open" if error == 0 else errno.errorcode[error]
        s.close()
print(json.dumps(state | {place: "dropped" for place in open_at.values()}))
"""


def probe(network):
    """{(from, to, port): "open", "ECONNREFUSED", "dropped"...} for every two machines and every port."""
    found, running = {}, {}
    for source in MACHINES:
        places = [(network[target].address, port) for target in MACHINES if target != source for port in PORTS]
        argv = network[source].inside("/usr/bin/python3", "-c", PROBE, json.dumps(places), SILENCE_S)
        running[source] = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    names = {network[name].address: name for name in MACHINES}
    for source, process in running.items():
        said, _ = process.communicate(timeout=60)
        for place, state in json.loads(said).items():
            address, port = place.split(":")
            found[source, names[address], int(port)] = state
    return found


def broken(found):
    """What is not as ALLOWED says, a sentence each."""
    allowed = {(source, target, port) for source, target, ports in ALLOWED for port in ports}
    wrong = []
    for (source, target, port), state in sorted(found.items()):
        wanted = "dropped"
        if (source, target, port) in allowed:
            wanted = "ECONNREFUSED" if port in NOBODY_LISTENS else "open"
        if state != wanted:
            wrong.append(f"{source} -> {target}:{port} is {state}, and must be {wanted}")
    return wrong


def check(network):
    """Returns what `probe` found; raises AssertionError with what is not as it must be. A busy machine gets a second try."""
    found = probe(network)
    if broken(found):
        found = probe(network)
    assert not broken(found), "the firewall is not as the table says:\n  " + "\n  ".join(broken(found))
    return found
