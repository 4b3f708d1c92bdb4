"""The files a user hands over for import, and the digests that name what is made of them."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.io.lake import file_digest
from schemas.errors import UsageError


@dataclass(frozen=True)
class GivenFile:
    """One file and the digest of its bytes."""

    path: Path
    digest: str

    @property
    def name(self) -> str:
        """File name without folders: what rejects are placed by; always UTF-8 text."""
        return os.fsencode(self.path.name).decode("utf-8", "backslashreplace")

    def reject_id(self, line: int) -> str:
        """The same for the same line of the same content, so a second import adds nothing."""
        return f"{self.digest[:24]}-{line}"


def given_files(paths: Sequence[Path], endings: Iterable[str]) -> list[GivenFile]:
    """Checks that files exist, end in one of `endings`, and that none is given twice.

    Raises:
      UsageError: names the file and what is wrong with it.
    """
    endings = tuple(endings)
    if not paths:
        raise UsageError("no file given to import")
    files: dict[str, GivenFile] = {}
    for path in map(Path, paths):
        if path.suffix.lower() not in endings:
            raise UsageError(f"{path}: unknown kind of file; known: {', '.join(endings)}")
        try:
            file = GivenFile(path, file_digest(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        if twin := files.get(file.digest):
            raise UsageError(
                f"{path} has the same content as {twin.path}; its rows would count twice"
            )
        files[file.digest] = file
    return list(files.values())


def import_digest(
    files: Iterable[GivenFile], site: str, mapping: Mapping[str, str] | None = None
) -> str:
    """Hex digest of what was imported into which site: files in any order, and the mapping."""
    said = [site, *sorted(file.digest for file in files)]
    said += [f"{name}={column}" for name, column in sorted((mapping or {}).items())]
    return hashlib.blake2b("\0".join(said).encode(), digest_size=32).hexdigest()


def parse_mapping(text: str) -> dict[str, str]:
    """Reads the flag `--map`: `ours=theirs,ours=theirs`.

    Raises:
      UsageError: a part without `=`, a column named twice, or what is no text.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"--map {text!a} is not UTF-8 text")
    mapping: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = part.partition("=")
        if not (equals and ours and theirs):
            raise UsageError(f"--map takes ours=theirs,...; {part!r} is not of that form")
        if ours in mapping:
            raise UsageError(f"--map names {ours!r} twice")
        mapping[ours] = theirs
    return mapping
