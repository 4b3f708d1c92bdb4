"""Whether two lakes hold the same files."""

import hashlib
from collections.abc import Iterable

from pipelines.io.lake import LakeFile, file_digest


def lake_digest(files: Iterable[LakeFile]) -> str:
    """Hex digest over the places and the contents of files, in whatever order they come."""
    lines = sorted(f"{file.place}\0{file_digest(file.path)}" for file in files)
    return hashlib.blake2b("\n".join(lines).encode()).hexdigest()
