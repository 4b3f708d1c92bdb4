"""What a run leaves for the next one to continue from: `<home>/state/<run>/`.

A state is the folders of all runs since the last full one, and `state.json` in the newest:
which files were read, and under which release and settings. It says nothing that the lake does
not say, so it may be deleted at any time: the next run is then a full one. It belongs to the
run id in it, which is a digest of everything that decides the tables; so whichever run the
database holds, a state of that id is the right one, and any other is none.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.io.lake import LakeFile, count_rows, file_digest, lake_files
from pipelines.io.quarantine import QUARANTINE, quarantine_files
from schemas.durable import DurableFolder
from schemas.home import Home

_NAME = "state.json"
# A file of the state costs a look in every run that follows: a full run starts afresh when
# there are many, or when more was read since the last full run than that one read.
_MAX_STEPS = 48
# The clock that stamps files stands still for up to a hundredth of a second.
_TICK_SECONDS = 0.02


class Source(msgspec.Struct, frozen=True):
    """An input file as it was when a run looked at it."""

    kind: str
    place: str
    size: int
    modified_ns: int
    inode: int
    digest: str
    rows: int
    note: str = ""  # of the group it was read with
    changed_ns: int = 0  # which no writer can set back

    @property
    def looks(self) -> tuple[int, int, int, int]:
        """What differs once the file is written again."""
        return self.size, self.modified_ns, self.changed_ns, self.inode

    @property
    def content(self) -> tuple[str, str, str]:
        """What decides the rows read from it."""
        return self.kind, self.place, self.digest


class Input(NamedTuple):
    """An input file: where it lies, and what it looks like."""

    file: LakeFile
    source: Source


class Step(msgspec.Struct, frozen=True):
    """A run since the last full one, that one included."""

    folder: str
    shards: dict[str, int]  # of each stage
    rows_read: int


class State(msgspec.Struct, frozen=True):
    """All that a run needs in order to continue an earlier one."""

    run_id: str
    code_version: str
    settings_digest: str
    steps: tuple[Step, ...]  # oldest first
    sources: tuple[Source, ...]

    @property
    def is_worn(self) -> bool:
        """Whether a full run is better than one more increment."""
        first, *others = self.steps
        return (
            len(self.steps) >= _MAX_STEPS
            or sum(step.rows_read for step in others) > first.rows_read
        )


@contextlib.contextmanager
def new_folder(home: Home, run_id: str) -> Iterator[Path]:
    """An empty folder for what a run leaves to the next one; gone if the run fails."""
    home.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{run_id}-", dir=home.state)).resolve()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def find_state(home: Home, run_id: str | None) -> State | None:
    """The state that a run left, or None where there is none or parts of it are missing."""
    for file in sorted(home.state.glob(f"{run_id}-*/{_NAME}")):
        try:
            state = msgspec.json.decode(file.read_bytes(), type=State)
        except (msgspec.DecodeError, OSError):
            continue
        is_here = (
            Path(state.steps[-1].folder) == file.parent.resolve()
        )  # not a copied home directory
        if is_here and all(Path(step.folder).is_dir() for step in state.steps):
            return state
    return None


def save_state(state: State) -> None:
    """Makes a state durable, pieces first: it stands under its name only when all is on disk."""
    # Thousands of pieces: one call for all of them is quicker than one for each.
    os.sync()
    folder = Path(state.steps[-1].folder)
    with DurableFolder(folder) as durable:
        durable.place(folder / _NAME, lambda file: file.write(msgspec.json.encode(state)))


def forget_states(home: Home, *, but: State | None) -> None:
    """Removes what killed and past runs left."""
    kept = {step.folder for step in but.steps} if but is not None else set()
    for folder in home.state.glob("*"):
        if os.fspath(folder.resolve()) not in kept:
            # First what makes it a state: half of one must never be continued.
            if (name := folder / _NAME).is_file():
                name.unlink()
            shutil.rmtree(folder, ignore_errors=True)


def look_at(home: Home, known: Sequence[Source]) -> list[Input]:
    """All input files as they are now; one that looks as it did is not read again.

    Raises:
      LakeError: a file is not what its place says.
    """
    before = {(source.kind, source.place): source for source in known}
    return [
        Input(file, _look_at(file, before.get((file.event_name, file.place))))
        for file in (*lake_files(home), *quarantine_files(home))
    ]


def _look_at(file: LakeFile, before: Source | None) -> Source:
    found = file.path.stat()
    source = Source(
        kind=file.event_name,
        place=file.place,
        size=found.st_size,
        modified_ns=found.st_mtime_ns,
        changed_ns=found.st_ctime_ns,
        inode=found.st_ino,
        digest="",
        rows=0,
    )
    if before is not None and before.looks == source.looks:
        return before
    # A write of the same tick as what is read would not be seen ever after.
    if abs(time.time_ns() - source.changed_ns) < _TICK_SECONDS * 1e9:
        time.sleep(_TICK_SECONDS)
    rows = 0 if file.event_name == QUARANTINE else count_rows(file)
    return msgspec.structs.replace(source, digest=file_digest(file.path), rows=rows)


def digest_of(inputs: Iterable[Input]) -> str:
    """Hex digest over the places and contents of input files, in whatever order they come."""
    digest = hashlib.blake2b(digest_size=32)
    for content in sorted(each.source.content for each in inputs):
        digest.update("\0".join((*content, "\n")).encode())
    return digest.hexdigest()
