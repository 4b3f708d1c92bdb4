"""What a disk holds after a power cut: replays a journal of faults.c up to any moment.

The strict disk keeps nothing it was not told to flush: of a file the bytes that were written
before its last flush began that has ended; a name once its directory was flushed after it
was made. The torn disk also keeps some of the rest: of each block any one of the states it
was in since, and of the names a part, oldest first, as file systems with a journal do.

A flush that failed has lost what it should have written: the kernel forgets it was dirty, and
the next flush "succeeds" without it.
"""

import enum
import random
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SWALLOWED = -1
BLOCKS = (512, 4096)
_HEAD = struct.Struct("=qqqQiiII")


class Kind(enum.IntEnum):
    """The calls of faults.c, numbered as there."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    MAP = 8
    OTHER = 9


class Change(NamedTuple):
    """One call that changed a file; times are nanoseconds of the monotonic clock."""

    start: int
    end: int
    offset: int
    inode: int
    kind: Kind
    error: int
    path: str
    data: bytes


def read_journal(file: Path) -> list[Change]:
    """All changes, in the order they ended."""
    changes: list[Change] = []
    content = memoryview(file.read_bytes())
    at = 0
    while at < len(content):
        start, end, offset, inode, kind, error, path_size, data_size = _HEAD.unpack_from(
            content, at
        )
        at += _HEAD.size
        path = bytes(content[at : at + path_size]).decode()
        at += path_size
        data = bytes(content[at : at + data_size])
        at += data_size
        changes.append(Change(start, end, offset, inode, Kind(kind), error, path, data))
    return sorted(changes, key=lambda change: change.end)


class Watch:
    """A home directory whose beacons run with faults.c."""

    def __init__(self, home: Path, library: Path) -> None:
        self.home = home
        self._journal = home.with_name("journal")
        self._plan = home.with_name("plan")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAULTS_DIR": str(home),
            "FAULTS_JOURNAL": str(self._journal),
            "FAULTS_PLAN": str(self._plan),
        }

    def fail(self, call: str, path_end: str, error: int, times: str) -> None:
        """From now on calls fail: `sync` or `write` of such files, `once` or `always`."""
        aside = self._plan.with_name("plan.new")
        aside.write_text(f"{call} {path_end} {error} {times}\n")
        aside.replace(self._plan)

    @property
    def has_failed(self) -> bool:
        """Whether the call that was to fail once has."""
        return not self._plan.exists()

    def heal(self) -> None:
        """From now on all calls do what they should."""
        self._plan.unlink(missing_ok=True)

    def changes(self) -> list[Change]:
        """All that was done to the home so far, in the order it ended."""
        return read_journal(self._journal)

    def disk(self) -> "Disk":
        """The disk before the first beacon was started."""
        settings = self.home / "pinsphere.toml"
        return Disk(self.home, {settings.name: settings.read_bytes()})

    def cut(self, folder: Path, moment: int | None = None) -> Path:
        """What a power cut at a moment (now, when there is none) would leave, in `folder`."""
        disk, changes = self.disk(), self.changes()
        moment = changes[-1].end if moment is None else moment
        for _ in replay(disk, changes, [moment]):
            disk.write(folder)
        return folder


class _File:
    """Bytes on the disk, and what was written since and not flushed."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.waiting: list[Change] = []

    def flush(self, before: int) -> None:
        for change in self._take(before):
            _apply(self.content, change)

    def forget(self, before: int) -> None:
        self._take(before)

    def _take(self, before: int) -> list[Change]:
        taken = [change for change in self.waiting if change.end <= before]
        self.waiting = [change for change in self.waiting if change.end > before]
        return taken

    def torn(self, chance: random.Random) -> bytes:
        """The flushed bytes, and of each block since then any one state it was in."""
        content, block = bytearray(self.content), chance.choice(BLOCKS)
        stops: dict[int, int] = {}
        for number, change in enumerate(self.waiting):
            if change.kind == Kind.TRUNCATE:
                if chance.random() < 0.5:
                    _apply(content, change)
                continue
            at = change.offset
            while at < change.offset + len(change.data):
                place = at // block
                stop = min((place + 1) * block, change.offset + len(change.data))
                last = stops.setdefault(place, chance.randint(-1, len(self.waiting) - 1))
                if number <= last:
                    _put(content, at, change.data[at - change.offset : stop - change.offset])
                at = stop
        return bytes(content)


class _NameChange(NamedTuple):
    end: int
    gone: str | None
    made: str | None
    node: "_Node"


_Node = _File | None
"""None for a directory."""


class Disk:
    """A directory as the disk has it, at the moment the replay has come to."""

    def __init__(self, directory: Path, files: Mapping[str, bytes]) -> None:
        """`files` were there, and flushed, before the journal began."""
        self._directory = str(directory)
        self._names: dict[str, _Node] = {
            str(directory / name): _File(content) for name, content in files.items()
        }
        self._seen = dict(self._names)
        self._waiting: dict[str, list[_NameChange]] = {}
        self._files: dict[int, _File] = {}
        self._folders = {str(directory)}

    def apply(self, change: Change) -> None:
        """Brings the disk one call further."""
        match change.kind:
            case Kind.OTHER:
                raise AssertionError(f"{change.path}: no model of {change.data.decode()}")
            case Kind.CREATE:
                node = self._files[change.inode] = _File()
                self._rename(change, None, change.path, node)
            case Kind.MKDIR:
                self._folders.add(change.path)
                self._rename(change, None, change.path, None)
            case Kind.RENAME:
                new = change.data.decode()
                self._rename(change, change.path, new, self._seen[change.path])
            case Kind.UNLINK:
                self._rename(change, change.path, None, None)
            case Kind.WRITE | Kind.TRUNCATE:
                self._files[change.inode].waiting.append(change)
            case Kind.SYNC if change.error != SWALLOWED:
                self._flush(change)
            case _:
                pass

    def _rename(self, change: Change, gone: str | None, made: str | None, node: _Node) -> None:
        if gone is not None:
            self._seen.pop(gone)
        if made is not None:
            self._seen[made] = node
        folder = str(Path(made or gone or "").parent)
        self._waiting.setdefault(folder, []).append(_NameChange(change.end, gone, made, node))

    def _flush(self, change: Change) -> None:
        if change.path not in self._folders:
            file = self._files[change.inode]
            (file.forget if change.error else file.flush)(change.start)
            return
        names = self._waiting.pop(change.path, [])
        if not change.error:
            _rename_all(self._names, (name for name in names if name.end <= change.start))
        self._waiting[change.path] = [name for name in names if name.end > change.start]

    def write(self, folder: Path, chance: random.Random | None = None) -> Path:
        """Writes what a power cut now would leave: by the strict disk, or by one that tore."""
        names = dict(self._names)
        if chance is not None:
            for waiting in self._waiting.values():
                _rename_all(names, waiting[: chance.randint(0, len(waiting))])
        folder.mkdir(parents=True)
        for name in sorted(names):
            path = folder / Path(name).relative_to(self._directory)
            if not path.parent.is_dir():
                continue  # the name of its directory is not on the disk
            node = names[name]
            if node is None:
                path.mkdir()
            else:
                path.write_bytes(bytes(node.content) if chance is None else node.torn(chance))
        return folder


def replay(disk: Disk, changes: Iterable[Change], moments: Iterable[int]) -> Iterator[int]:
    """Brings the disk to each moment, in order of time, and yields the moment there."""
    left = iter(changes)
    change = next(left, None)
    for moment in sorted(moments):
        while change is not None and change.end <= moment:
            disk.apply(change)
            change = next(left, None)
        yield moment


def _rename_all(names: dict[str, _Node], changes: Iterable[_NameChange]) -> None:
    for _, gone, made, node in changes:
        if gone is not None:
            names.pop(gone, None)
        if made is not None:
            names[made] = node


def _apply(content: bytearray, change: Change) -> None:
    if change.kind == Kind.WRITE:
        _put(content, change.offset, change.data)
    else:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))


def _put(content: bytearray, at: int, data: bytes) -> None:
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data
