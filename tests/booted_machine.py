"""A machine that systemd has booted, in namespaces: its own processes, network, control groups, and files that nobody else sees. Needs root.

What systemd as process 1 of a real machine would do to the kernel is out of its reach: /proc/sys and /sys are read-only.
"""

import os
import subprocess
import uuid
from pathlib import Path

import proc
from netlab import command
from support import eventually

# $1: folder for what is made. $2: the files that it begins with. Its own changes are in memory, and gone with it.
BOOT = """
set -e
cd "$1"
mkdir layers root
mount -t tmpfs layers layers
mkdir layers/upper layers/work
mount -t overlay -o "lowerdir=$2,upperdir=$1/layers/upper,workdir=$1/layers/work" root root
cd root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs run run
ip link set lo up
mkdir old
# Not chroot alone: the kernel lets no process in one have users of its own (PrivateUsers).
pivot_root . old
umount -l /old
exec env -i container=ca4-test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --unit=basic.target --show-status=no
"""

# A control group of its own: below it systemd makes others, and they can be found again.
IN_GROUP = """
mkdir "$1/groups"
mount -t cgroup2 groups "$1/groups"
mkdir "$1/groups/$3"
echo $$ > "$1/groups/$3/cgroup.procs"
exec unshare --mount --pid --fork --kill-child=KILL --net --ipc --uts --cgroup bash -c "$4" boot "$1" "$2"
"""

REMOVE_GROUP = 'mount -t cgroup2 groups "$1/groups" && find "$1/groups/$2" -depth -type d -exec rmdir {} +'


class BootedMachine:
    """`files` is a folder with a whole system in it, systemd among it."""

    def __init__(self, folder, files):
        assert os.geteuid() == 0, "namespaces need root: run the tests as root"
        self.folder = Path(folder)
        self.folder.mkdir()
        self.group = f"ca4-test-{uuid.uuid4().hex[:8]}"
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "bash", "-ec", IN_GROUP, "group", self.folder, files, self.group, BOOT],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.init = eventually(self._init, lambda: f"systemd runs: {self.log.read_text()}")
            eventually(self._booted, lambda: f"systemd has booted: {self.log.read_text()}")
        except BaseException:
            self.close()
            raise

    def _init(self):
        assert self.process.poll() is None, self.log.read_text()
        named = [pid for pid in proc.children(self.process.pid) if proc.name(pid) == "systemd"]
        return named[0] if named else None

    def _booted(self):
        return self.try_("systemctl", "is-active", "--quiet", "basic.target").returncode == 0

    def inside(self, *argv):
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--root", "--wd"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", f"--target={self.init}", *spaces, "env", "-i", path, "DEBIAN_FRONTEND=noninteractive", *map(str, argv)]

    def try_(self, *argv):
        return subprocess.run(self.inside(*argv), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)

    def run(self, *argv):
        return command(*self.inside(*argv))

    def on_network(self, *argv):
        """With the files and programs of this machine, on that one's network."""
        return command("nsenter", f"--target={self.init}", "--net", *argv)

    def path(self, name):
        """A file of it, seen from here."""
        return Path(f"/proc/{self.init}/root/{name.lstrip('/')}")

    def close(self):
        self.process.kill()
        self.process.wait()
        # The kernel takes a moment to end what ran in the groups.
        remove = ["unshare", "--mount", "bash", "-c", REMOVE_GROUP, "remove", self.folder, self.group]
        eventually(lambda: subprocess.run(remove, capture_output=True, timeout=60).returncode == 0, f"control group {self.group} is gone")
