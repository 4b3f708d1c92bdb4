"""How a run's work is cut: files into groups that are read together, rows into shards."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.io.lake import LakeFile
from pipelines.transforms.routes import routes

_PINS = ("pin", "pin_visit")
# How many bytes in the lake make one shard of a stage: small enough for flat memory, large
# enough that arrays stay long. Of some stages only the bytes of events that come to them count.
_SHARD_BYTES = 15_000_000
_SHARD_BYTES_OF: Mapping[str, tuple[int, Sequence[str]]] = {
    "SettleOrders": (4_000_000, ("purchase", "refund", "identify")),
    "StitchVisitors": (20_000_000, (*_PINS, "purchase", "identify")),
    "AttachLandings": (20_000_000, _PINS),
    "MeasureSpheres": (10_000_000, _PINS),
    "SelectTouches": (20_000_000, _PINS),
    "ChainTouches": (20_000_000, _PINS),
    "CreditPins": (300_000, ("purchase",)),
}
_MAX_SHARDS, _GROUP_BYTES = 256, 10_000_000


class FileGroup(NamedTuple):
    """Files of one kind, an event name or `quarantine`, that are read together."""

    kind: str
    paths: tuple[str, ...]
    note: str  # file in which the run notes the pieces they became


def file_groups(files: Iterable[LakeFile], folder: Path) -> list[FileGroup]:
    """Files by kind, in groups of about equal size, to be noted below a run's folder."""
    found: list[tuple[str, list[str]]] = []
    size = 0
    for file in sorted(files):
        if not found or found[-1][0] != file.event_name or size >= _GROUP_BYTES:
            found.append((file.event_name, []))
            size = 0
        found[-1][1].append(os.fspath(file.path))
        size += file.size
    return [
        FileGroup(kind, tuple(paths), os.fspath(folder / "groups" / f"{number}.json"))
        for number, (kind, paths) in enumerate(found)
    ]


def shards_for(files: Iterable[LakeFile], wanted: int | None = None) -> dict[str, int]:
    """Into how many shards to cut each stage's work on these files: powers of two."""
    size: Counter[str] = Counter()
    for file in files:
        size[file.event_name] += file.size
    shards = {}
    for stage in {route.stage for route in routes().values()}:
        shard_bytes, kinds = _SHARD_BYTES_OF.get(stage, (_SHARD_BYTES, tuple(size)))
        own = sum(size[kind] for kind in kinds)
        least = wanted or min(max(-(-own // shard_bytes), 1), _MAX_SHARDS)
        shards[stage] = 1 << (least - 1).bit_length()
    return shards
