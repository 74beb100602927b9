"""Machines in network namespaces of their own, joined by switches; nothing outside is connected. Needs root.

Everything ends with the process that made it: a namespace lives as long as the process that holds it, and the kernel kills that one
when its parent dies.
"""

import os
import subprocess
import time
from pathlib import Path

from basics import PATIENCE_S

# The kernel kills the command when the thread that started it is gone, however that ended.
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


def command(*argv, **keywords):
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=60, **keywords)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}"
    return done.stdout


class Machine:
    """A network and a mount namespace. With `own_root` also a file system of its own: writes are seen by nobody else. It shows the
    files of this machine (True), or those below a folder."""

    def __init__(self, name, folder, own_root=False):
        assert os.geteuid() == 0, "network namespaces need root: run the tests as root"
        self.name, self.folder = name, Path(folder) / name
        self.folder.mkdir(parents=True)
        self.root = None
        self.addresses = []
        self.holder = subprocess.Popen(
            [*DIES_WITH_US, "unshare", "--net", "--mount", "sleep", "infinity"], stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._await_namespaces()
        self.enter("ip", "link", "set", "lo", "up")
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        if own_root:
            self._make_root("/" if own_root is True else own_root)
        self.run("mount", "--bind", self.hosts, "/etc/hosts")

    def _await_namespaces(self):
        deadline = time.monotonic() + PATIENCE_S
        while not self._apart():
            ended = self.holder.poll() is not None
            assert not ended, f"no namespaces for {self.name}: is this a container that may not make any (docker run --privileged may)?"
            assert time.monotonic() < deadline, f"no namespaces for {self.name}"
            time.sleep(0.01)

    def _apart(self):
        """The holder is in namespaces of its own; false also when it has ended."""
        try:
            return all(
                os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"/proc/{self.holder.pid}/ns/{kind}") for kind in ("net", "mnt")
            )
        except OSError:
            return False

    def _make_root(self, files):
        """These files below, the machine's own changes in memory on top."""
        self.root = self.folder / "root"
        layers = self.folder / "layers"
        for path in (self.root, layers):
            path.mkdir()
        self.enter("mount", "-t", "tmpfs", "layers", layers)
        self.enter("mkdir", layers / "upper", layers / "work")
        self.enter("mount", "-t", "overlay", "-o", f"lowerdir={files},upperdir={layers}/upper,workdir={layers}/work", "root", self.root)
        for path in ("proc", "dev", str(self.folder)[1:]):
            self.enter("mkdir", "-p", self.root / path)
            self.enter("mount", "--rbind", f"/{path}", self.root / path)
        self.enter("mount", "-t", "tmpfs", "run", self.root / "run")

    def enter(self, *argv, **keywords):
        """On the machine's network, with the files of this machine."""
        return command("nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--", *argv, **keywords)

    def inside(self, *argv):
        """The command line that runs `argv` on the machine, and ends with the thread that starts it."""
        chroot = ["chroot", str(self.root)] if self.root else []
        return [*DIES_WITH_US, "nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--", *chroot, *map(str, argv)]

    def run(self, *argv, **keywords):
        return command(*self.inside(*argv), **keywords)

    def start(self, *argv, log, **keywords):
        with open(log, "w") as output:
            return subprocess.Popen(self.inside(*argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output, **keywords)

    def write(self, path, text, mode="0644"):
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, input=text)

    def read(self, path):
        return self.run("cat", path)

    def connects(self, address, port):
        script = f"import socket; socket.create_connection(({str(address)!r}, {port}), 1)"
        return subprocess.run(self.inside("/usr/bin/python3", "-c", script), capture_output=True, timeout=60).returncode == 0

    def close(self):
        self.holder.kill()
        self.holder.wait()


class Lab:
    """`switches` is {switch: {machine: address with prefix length}}; a machine may be at several switches."""

    def __init__(self, folder, switches, own_root=()):
        self.machines = {}
        self.running = []
        try:
            self.middle = Machine("middle", folder)
            for number, (_, places) in enumerate(switches.items()):
                self.middle.run("ip", "link", "add", f"switch{number}", "type", "bridge")
                self.middle.run("ip", "link", "set", f"switch{number}", "up")
                for name, address in places.items():
                    if name not in self.machines:
                        self.machines[name] = Machine(name, folder, own_root=name in own_root)
                    self._plug(self.machines[name], number, address)
        except BaseException:
            self.close()
            raise

    def _plug(self, machine, switch, address):
        port, interface = f"p{len(self.machines)}s{switch}", f"eth{len(machine.addresses)}"
        command(
            *("ip", "link", "add", port, "netns", self.middle.holder.pid, "type", "veth"),
            *("peer", "name", interface, "netns", machine.holder.pid),
        )
        self.middle.run("ip", "link", "set", port, "master", f"switch{switch}")
        self.middle.run("ip", "link", "set", port, "up")
        machine.enter("ip", "addr", "add", address, "dev", interface)
        machine.enter("ip", "link", "set", interface, "up")
        machine.addresses.append(address.split("/")[0])

    def __getitem__(self, name):
        return self.machines[name]

    def start(self, name, *argv, **keywords):
        """Runs until the lab ends."""
        self.running.append(self[name].start(*argv, **keywords))
        return self.running[-1]

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()
        for machine in [*self.machines.values(), self.middle]:
            machine.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
