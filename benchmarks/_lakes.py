"""Lakes by size, made once and kept for the next benchmark."""

import subprocess
import sys
from pathlib import Path

_SCALE = {"k": 1_000, "M": 1_000_000}
_MAKE = """
import pathlib, sys
from benchmarks._events import write_lake
write_lake(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""


def number(text: str) -> int:
    """The number of `100k` or `10M`."""
    return int(text[:-1]) * _SCALE[text[-1]] if text[-1] in _SCALE else int(text)


def named(size: int) -> str:
    """The short text of a number of events."""
    return f"{size // 1_000_000}M" if size >= 1_000_000 else f"{size // 1_000}k"


def made_lake(folder: Path, size: int) -> Path:
    """The home directory with a lake of so many events, made if it is not there."""
    home = folder / f"bench{named(size).lower()}"
    if not (home / "complete").exists():
        subprocess.run([sys.executable, "-c", _MAKE, str(home), str(size)], check=True)
        (home / "complete").touch()
    return home
