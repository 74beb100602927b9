"""What Linux tells of a process: proc(5)."""

import os
import re
from pathlib import Path


def children(pid):
    """Those that the process has started itself, by any of its threads."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return found


def name(pid):
    """Of its program, in at most 15 letters; empty when it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def below(pid):
    """All descendants, each behind its parent."""
    return [one for child in children(pid) for one in (child, *below(child))]


def status(pid, key):
    """A number of /proc/PID/status, as "VmRSS" (what is resident, in KiB) or "VmHWM" (the most that was); None where it has none."""
    found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else None


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
