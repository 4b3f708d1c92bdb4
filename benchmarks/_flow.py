"""The job by our own flow."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from command_line import loading

MODELS = ("first", "last", "linear")


def answer(home: Path, out: Path) -> None:
    """Does the job; writes `credits.parquet` and `items.parquet`."""
    with loading():  # as `pinsphere run` does
        from pipelines.flows.attribute import attribute
        from pipelines.io.lake import lake_files
        from schemas.home import Home

    place = Home(home)
    wanted = ("model_credits", "item_daily")
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        found = attribute(
            place,
            lake_files(place),
            place.settings(),
            Path(scratch),
            results=wanted,
            models=MODELS,
        )
        by_table = {table: [file.path for file in found if file.table == table] for table in wanted}
        pq.write_table(_credits(by_table["model_credits"]), out / "credits.parquet")
        pq.write_table(_items(by_table["item_daily"]), out / "items.parquet")


def _read(paths: Sequence[str], columns: Sequence[str]) -> pa.Table:
    from pipelines.io.ordered import read_batches

    batches = itertools.chain.from_iterable(read_batches(path, columns) for path in paths)
    return pa.Table.from_batches(batches)


def _credits(paths: Sequence[str]) -> pa.Table:
    rows = _read(paths, ("dimension", "key", "model", "credited_micros"))
    kept = pc.and_(
        pc.is_in(rows["dimension"], pa.array(["pinner", "product"])),
        pc.is_in(rows["model"], pa.array(MODELS)),
    )
    return rows.filter(kept).rename_columns(["dimension", "key", "model", "micros"])


def _items(paths: Sequence[str]) -> pa.Table:
    counts = ("views", "pins", "pin_visits", "orders")
    rows = _read(paths, ("item_id", "model", *counts))
    parts = []
    for model in MODELS:
        mine = rows.filter(pc.equal(rows["model"], model))
        sums = mine.group_by("item_id").aggregate([(count, "sum") for count in counts])
        for count in counts if model == MODELS[0] else ("orders",):
            what = f"orders {model}" if count == "orders" else count
            n = sums[f"{count}_sum"]
            whats = pa.repeat(pa.scalar(what), len(sums))
            parts.append(pa.table({"item_id": sums["item_id"], "what": whats, "n": n}))
    items = pa.concat_tables(parts)
    return items.filter(pc.greater(items["n"], 0))
