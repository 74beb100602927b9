"""The disk under test: libca4_disk.so (preload/), loaded into the programs, fails as it is told and records what is done to a folder."""

import ctypes
import math
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from basics import ROOT

LIBRARY = Path(os.environ.get("CA4_DISK_LIBRARY", ROOT / "build/release/torture/libca4_disk.so"))
KINDS = ("open", "write", "sync", "truncate", "name", "read")
WAYS = ("fails", "short", "dies")
EVER = 1 << 40


class _Control(ctypes.Structure):
    """preload/control.h has the same layout."""

    _fields_ = [
        ("clock", ctypes.c_uint64),
        ("calls", ctypes.c_uint64 * len(KINDS)),
        ("hits", ctypes.c_uint64),
        ("delayed", ctypes.c_uint64),
        ("lied", ctypes.c_uint64),
        ("skip", ctypes.c_int64),
        ("left", ctypes.c_int64),
        ("kinds", ctypes.c_uint32),
        ("way", ctypes.c_uint32),
        ("error", ctypes.c_int32),
        ("delay_us", ctypes.c_uint32),
        ("lies", ctypes.c_uint32),
    ]


class Disk:
    """`folder` is what is spoilt, `beside` where the control file and the record go: not in it."""

    def __init__(self, folder, beside, record=False):
        assert LIBRARY.is_file(), f"{LIBRARY} is not there: scripts/build.sh release ca4_disk"
        self.folder, self.record_file = Path(folder), Path(beside) / "disk.record" if record else None
        control = Path(beside) / "disk.control"
        control.write_bytes(bytes(ctypes.sizeof(_Control)))
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._map)
        self.env = {"LD_PRELOAD": str(LIBRARY), "CA4_DISK_ROOT": str(self.folder), "CA4_DISK_CONTROL": str(control)}
        self.env |= {"CA4_DISK_RECORD": str(self.record_file or "")}

    def clock(self):
        return self._control.clock

    @property
    def hits(self):
        """Calls that were spoilt, until now."""
        return self._control.hits

    @property
    def kills(self):
        """Whether it was a process that was to be hit."""
        return WAYS[self._control.way] == "dies" and self.hits > 0

    @property
    def delayed(self):
        return self._control.delayed

    @property
    def calls(self):
        return dict(zip(KINDS, self._control.calls, strict=True))

    def spoil(self, kinds, *, skip=0, count=1, way="fails", error=0):
        """The calls of these kinds, from the one after `skip` on, so many of them."""
        control = self._control
        control.kinds = 0
        control.skip, control.left = skip, count
        control.way, control.error = WAYS.index(way), error
        control.kinds = sum(1 << KINDS.index(kind) for kind in kinds)

    def slow(self, sync_s):
        """Each sync takes so much longer."""
        self._control.delay_us = int(sync_s * 1e6)

    def lie(self):
        """From now on a sync says that it is done, and is not."""
        self._control.lies = 1

    def heal(self):
        self._control.kinds = self._control.delay_us = self._control.lies = 0


@dataclass(slots=True)
class Operation:
    begun: int
    ended: int
    inode: int
    at: int
    op: str
    path: str
    data: bytes
    durable_at: float = math.inf  # the clock when a sync that covers it was done; filled in by powercut.py


OPS = (None, "open", "write", "truncate", "sync", "rename", "unlink", "make-folder")
ENTRY = struct.Struct("<QQQqIIQ")


def read_record(path):
    """What was done, in the order in which it was finished."""
    body, at, found = Path(path).read_bytes(), 0, []
    while at < len(body):
        begun, ended, inode, where, op, path_bytes, data_bytes = ENTRY.unpack_from(body, at)
        at += ENTRY.size
        name = body[at : at + path_bytes].decode()
        at += path_bytes
        found.append(Operation(begun, ended, inode, where, OPS[op], os.path.normpath(name) if name else "", body[at : at + data_bytes]))
        at += data_bytes
    assert at == len(body), f"{path} ends in the middle of an entry"
    return sorted(found, key=lambda operation: operation.ended)
