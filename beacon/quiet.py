"""Spool files that held nothing new and were not touched since: no need to open them again."""

import time
from pathlib import Path
from typing import NamedTuple

# A write so soon after another one may leave the same time of change behind.
_SETTLED_NS = 2_000_000_000


class _Stamp(NamedTuple):
    size: int
    changed_ns: int
    log_size: int
    log_changed_ns: int


class QuietFiles:
    """Remembers files by size and time of change of database and log."""

    def __init__(self) -> None:
        self._known: dict[Path, _Stamp] = {}

    def stamp(self, path: Path) -> _Stamp | None:
        """To be taken before the file is read; None when it may change without a sign."""
        parts: list[int] = []
        for each in (path, path.with_name(f"{path.name}-wal")):
            try:
                found = each.stat()
            except FileNotFoundError:
                parts += 0, 0
            else:
                if time.time_ns() - found.st_mtime_ns < _SETTLED_NS:
                    return None
                parts += found.st_size, found.st_mtime_ns
        return _Stamp(*parts)

    def is_quiet(self, path: Path, stamp: _Stamp | None) -> bool:
        """Whether nothing was left at this stamp."""
        return stamp is not None and self._known.get(path) == stamp

    def note(self, path: Path, stamp: _Stamp | None) -> None:
        """Remembers that nothing was left in a file of this stamp."""
        if stamp is not None:
            self._known[path] = stamp

    def keep(self, paths: list[Path]) -> None:
        """Forgets all files but these."""
        self._known = {path: self._known[path] for path in paths if path in self._known}
