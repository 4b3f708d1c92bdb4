"""Files read as one: in the order of their key, however their rows are dealt and cut."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.io.ordered import in_steps, read_in_order

SCHEMA = pa.schema([("n", pa.int64()), ("word", pa.string()), ("other", pa.int64())])


def cut(rows: list[Any], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    """Rows in batches."""
    for low in range(0, len(rows), size):
        yield pa.RecordBatch.from_pylist(rows[low : low + size], schema)


@pytest.mark.parametrize("seed", range(20))
def test_files_come_in_the_order_of_their_key(tmp_path: Path, seed: int) -> None:
    """A database that takes them so appends; and neither loses a row nor takes one twice."""
    rng = random.Random(seed)
    words = ["", "a", "a\U0001f600", "a\uffff", "ab", "\u00e9", "z"]
    rows = [
        {"word": rng.choice(words[: 1 + seed % 7]), "n": rng.randrange(9), "other": number}
        for number in range(rng.randrange(300))
    ]
    key = ["word", "n"]
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(1 + seed % 5)]
    for row in rows:
        dealt[rng.choice([0, rng.randrange(len(dealt))])].append(row)
    paths = []
    for number, own in enumerate(dealt):
        own.sort(key=lambda row: (row["word"].encode(), row["n"]))
        paths.append(str(tmp_path / f"{number}.arrow"))
        with pa.OSFile(paths[-1], "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as file:
            for batch in cut(own, SCHEMA, rng.randrange(1, 50)):
                file.write_batch(batch)

    found = [row for batch in read_in_order(paths, key, ["word", "n", "other"])
             for row in batch.to_pylist()]  # fmt: skip

    keys = [(row["word"].encode(), row["n"]) for row in found]
    assert keys == sorted(keys)
    assert sorted(map(str, found)) == sorted(map(str, rows))


def test_one_key_without_end_is_not_held() -> None:
    """One pinner may have reached a million people: her rows are of one key's first column."""

    def endless(number: int) -> Iterator[pa.RecordBatch]:
        for low in range(200):
            yield pa.RecordBatch.from_pydict(
                {"n": [low // 150] * 9, "word": ["w"] * 9, "other": [number] * 9}, schema=SCHEMA
            )

    steps = [
        sum(piece.num_rows for piece in step if piece is not None)
        for step in in_steps([endless(0), endless(1)], ["n", "word"], rows=20)
    ]

    assert max(steps) <= 40
    assert sum(steps) == 2 * 1800
