"""Files that appear whole or not at all, and stay after a power cut."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class DurableFolder:
    """Places files below one folder: written aside, flushed, renamed, folders flushed.

    A file stands under its name only once its bytes are on disk. When the `with` block ends
    well, the names are on disk too, and those removed are gone; the folders are flushed once,
    however many files went in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: set[Path] = set()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Flushes the names of the files; not when the block failed."""
        if kind is None:
            self.flush()

    def place(self, path: Path, write: Callable[[BinaryIO], object]) -> int:
        """Writes one file, over an older one of that name; gives its size in bytes.

        Raises:
          OSError: the disk refused; nothing stands under the name that was not there before.
        """
        with self.placing(path) as file:
            write(file)
            return file.tell()

    @contextlib.contextmanager
    def placing(self, path: Path) -> Iterator[BinaryIO]:
        """A file to write: as `place`, once the block ends well.

        Raises:
          OSError: the disk refused; nothing stands under the name that was not there before.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        # A leading dot keeps readers away; the process id keeps two writers apart.
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with aside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        self._name(path)

    def link(self, there: Path, path: Path) -> None:
        """Gives a file that is on disk a second name.

        Raises:
          OSError: the disk refused, or something has that name.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(there)
        self._name(path)

    def _name(self, path: Path) -> None:
        self._folders.update(folder for folder in path.parents if folder.is_relative_to(self.root))
        # A root made just now is itself a name in its parent.
        self._folders.add(self.root.parent)

    def remove(self, path: Path) -> None:
        """Removes a file or a folder, if it is there, for good once the block has ended well.

        Raises:
          OSError: the disk refused.
        """
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent.exists():
            self._folders.add(path.parent)

    def flush(self) -> None:
        """Makes the names of all files placed or removed so far durable."""
        for folder in sorted(self._folders, reverse=True):
            flush_names(folder)
        self._folders.clear()


def flush_names(folder: Path) -> None:
    """Returns when the names in a folder are on the disk: those that came, and that others went.

    Raises:
      OSError: the disk refused.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_stale(root: Path, pattern: str, keep: set[Path]) -> None:
    """Removes the files below `root` that match a glob pattern and are not to be kept.

    A second import of the same file may spread over other dates than the first, after the
    site's time zone was corrected for instance; what the first one left must not stay.
    """
    for path in root.glob(pattern):
        if path not in keep:
            path.unlink()
