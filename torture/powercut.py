"""What a power cut may leave of a recorded folder.

POSIX promises only what was synced: a file's content by a sync of the file, a name by a sync of its folder. All that was done after
the last of these is loose: it may be there or not. `rebuild` makes one of the folders that a cut at a moment of the record allows.
"""

import math
import os
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
# What becomes of what was not synced. In "torn", names come in the order in which they were made, as journals of file systems keep it,
# up to a moment that is drawn; data does not: each write is there, missing, or torn at a sector.
WAYS = ("dropped", "kept", "prefix", "torn")
NAMES = ("open", "rename", "unlink", "make-folder")


@dataclass
class _File:
    inode: int
    changes: list = field(default_factory=list)  # Operations: write, truncate
    syncs: list = field(default_factory=list)


class Recording:
    """A record, and which file each operation was done to: inode numbers come again when a file is gone."""

    def __init__(self, root, operations):
        self.root, self.operations = Path(root), operations
        self.files, self._of = [], {}  # id(operation): _File
        names, live, folder_syncs = {}, {}, {str(root): []}  # {path: _File}, {inode: _File}, {path: its syncs}
        for operation in operations:
            if operation.op == "open":
                file = live.get(operation.inode)
                if names.get(operation.path) is not file or file is None:
                    file = live[operation.inode] = _File(operation.inode)
                    self.files.append(file)
                    names[operation.path] = file
                self._of[id(operation)] = file
            elif operation.op == "rename":
                names[operation.data.decode()] = self._of[id(operation)] = names.pop(operation.path)
            elif operation.op == "unlink":
                names.pop(operation.path, None)
            elif operation.op in ("write", "truncate"):
                live[operation.inode].changes.append(operation)
            elif operation.op == "make-folder":
                folder_syncs.setdefault(operation.path, [])
            elif operation.op == "sync" and operation.path in folder_syncs:
                folder_syncs[operation.path].append(operation)
            elif operation.op == "sync":
                live[operation.inode].syncs.append(operation)
        for file in self.files:
            for change, at in zip(file.changes, _durable_at(file.changes, file.syncs), strict=True):
                change.durable_at = at
        for operation in operations:
            if operation.op in NAMES:
                # A rename is done whole or not at all, so the folder of its new name decides.
                path = operation.data.decode() if operation.op == "rename" else operation.path
                operation.durable_at = _durable_at([operation], folder_syncs.get(os.path.dirname(path), []))[0]

    def rebuild(self, target, moment, way, rng):
        """Writes to `target` what may be there after a cut when the clock stood at `moment`."""
        bound = rng.randrange(moment + 1) if way == "torn" else self._bound(moment, way, rng)
        names, folders = {}, {str(self.root)}
        for operation in self.operations:
            if operation.ended > moment or operation.op not in NAMES:
                continue
            if not (operation.durable_at <= moment or way == "kept" or operation.ended <= bound):
                continue
            self._change_names(operation, names, folders)
        Path(target).mkdir(parents=True)
        for path in sorted(folders - {str(self.root)}):
            if self._reachable(path, folders):
                (Path(target) / os.path.relpath(path, self.root)).mkdir()
        for path, file in names.items():
            # Nobody needs what SQLite maps: the first that opens the database makes it anew.
            if self._reachable(path, folders) and not path.endswith("-shm"):
                content = self._content(file, moment, way, bound, rng)
                (Path(target) / os.path.relpath(path, self.root)).write_bytes(content)

    @staticmethod
    def _bound(moment, way, rng):
        return {"dropped": 0, "kept": moment, "prefix": rng.randrange(moment + 1)}[way]

    def _reachable(self, path, folders):
        """Whether every folder above it is there."""
        return all(str(parent) in folders for parent in Path(path).parents if parent.is_relative_to(self.root))

    def _change_names(self, operation, names, folders):
        if operation.op == "make-folder":
            folders.add(operation.path)
        elif operation.op == "unlink":
            names.pop(operation.path, None)
        elif operation.op == "rename":
            # Names whose making was lost can't be renamed; the new name is there all the same: a journal holds it whole.
            names.pop(operation.path, None)
            names[operation.data.decode()] = self._of[id(operation)]
        else:
            names[operation.path] = self._of[id(operation)]

    @staticmethod
    def _content(file, moment, way, bound, rng):
        content = bytearray()
        for change in file.changes:
            if change.ended > moment:
                break
            loose = change.durable_at > moment
            if loose and (way == "dropped" or way == "prefix" and change.ended > bound):
                continue
            data = change.data
            if loose and way == "torn":
                draw = rng.random()
                if draw < 0.4:
                    continue
                if draw < 0.7 and len(data) > SECTOR:
                    data = data[: rng.randrange(1, -(-len(data) // SECTOR)) * SECTOR]
            if change.op == "truncate":
                del content[change.at :]
                content.extend(bytes(change.at - len(content)))
            else:
                content.extend(bytes(max(0, change.at - len(content))))
                content[change.at : change.at + len(data)] = data
        return bytes(content)


def _durable_at(operations, syncs):
    """For each operation when the first sync was done that began after it."""
    syncs = sorted(syncs, key=lambda sync: sync.begun)
    begun = [sync.begun for sync in syncs]
    first = [*(sync.ended for sync in syncs), math.inf]
    for n in reversed(range(len(syncs))):
        first[n] = min(first[n], first[n + 1])
    return [first[bisect_right(begun, operation.ended)] for operation in operations]
