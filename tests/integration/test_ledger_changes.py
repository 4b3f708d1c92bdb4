"""Months of the ledger changed as they stream by: those that a full run writes."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.io import ledger, ledger_months
from pipelines.io.ledger_months import KEY, LEDGER_SCHEMA
from pipelines.io.runs import PublishedRun
from pipelines.io.staging import ResultFile
from schemas.results import result_schema

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]
FIRST, SECOND = PublishedRun("first", 1, 1, "lake"), PublishedRun("second", 2, 1, "lake")


def order(site: str, name: str, month: int, person: str | None) -> Row:
    """An order of January or February 2024."""
    at = 1_704_067_200_000 + month * 31 * 86_400_000
    return {"site_id": site, "order_id": name, "ordered_at": at, "person_id": person}


def credit(own: Row, place: int, pinner: str | None) -> Row:
    """A credit of an order."""
    return {
        "site_id": own["site_id"], "order_id": own["order_id"], "line_id": "1", "model": "last",
        "place": place, "touch_id": f"t{place}", "pin_id": own["order_id"], "pinner_id": pinner,
        "currency": "GBP", "distance": 0, "credit_micros": place + 1, "refunded_micros": 0,
        "is_self": False, "is_same_item": True, "touched_at": place,
    }  # fmt: skip


def keyed(rows: list[Row]) -> Rows:
    """Credits by their key."""
    return {tuple(row[name] for name in KEY): row for row in rows}


def result(path: Path, table: str, rows: list[Row], *, is_removal: bool = False) -> ResultFile:
    """A result file as a run's flow writes it."""
    schema = ledger_months.ORDERS if table == "orders" else result_schema(table)
    rows = sorted(rows, key=lambda row: tuple(row[name] for name in KEY if name in row))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        file.write_table(pa.Table.from_pylist(rows, schema), 5)
    return ResultFile(table, str(path), len(rows), is_removal)


def in_files(folder: Path) -> dict[str, list[Row]]:
    """What the files of a run hold, as anybody reads them."""
    tables = {
        str(path.relative_to(folder)): pq.ParquetFile(path).read()
        for path in folder.glob("*/*.parquet")
    }
    assert all(table.schema.equals(LEDGER_SCHEMA) for table in tables.values())
    return {place: table.to_pylist() for place, table in tables.items()}


@pytest.mark.parametrize("seed", range(15))
def test_changed_months_are_those_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """However credits and orders come, go and move, and wherever a row group ends."""
    rng = random.Random(seed)
    monkeypatch.setattr(ledger_months, "_ROW_GROUP", rng.randrange(1, 20))
    monkeypatch.setattr(ledger_months, "_WAITING", rng.randrange(1, 60))
    monkeypatch.setattr(ledger, "_check_sums", lambda *_: None)
    ids = [(site, f"o{number:02}") for site in ("acme", "zoo") for number in range(12)]
    before = {each: order(*each, rng.randrange(2), "ann") for each in ids if rng.random() < 0.7}
    old = keyed([credit(own, place, "pia") for own in before.values()
                 for place in range(rng.randrange(6))])  # fmt: skip
    touched = rng.sample(ids, rng.randrange(12))
    after, new = dict(before), dict(old)
    for each in touched:
        after[each] = order(*each, rng.randrange(2), rng.choice(["ann", "bob", None]))
        others = [
            credit(after[each], place, rng.choice(["pia", "zoe", None])) for place in range(8)
        ]
        new |= keyed(rng.sample(others, 3))
        new = {key: row for key, row in new.items() if key[:2] != each or rng.random() < 0.7}
        if rng.random() < 0.2:
            del after[each]
            new = {key: row for key, row in new.items() if key[:2] != each}

    def of(orders: dict[tuple[str, str], Row]) -> pa.Table:
        rows = [orders[each] for each in sorted(touched) if each in orders]
        return pa.Table.from_pylist(rows, ledger_months.ORDERS)

    database: Any = None  # what its sums say is left out
    for number, (orders, credits) in enumerate(((before, old), (after, new))):
        rows = list(credits.values())
        files = [
            result(tmp_path / f"{number}-orders", "orders", list(orders.values())),
            result(tmp_path / f"{number}-some", "order_credits", rows[::2]),
            result(tmp_path / f"{number}-others", "order_credits", rows[1::2]),
        ]
        months = ledger.write_ledger(tmp_path / str(number), FIRST, None, files)
        ledger.finish_ledger(database, tmp_path / str(number), FIRST, months)
    going = [row for key, row in old.items() if new.get(key) != row]
    coming = [row for key, row in new.items() if old.get(key) != row]
    changes = [
        result(tmp_path / "going", "order_credits", going, is_removal=True),
        result(tmp_path / "coming", "order_credits", coming),
    ]

    orders_touched = ledger.Touched(now=of(after), left=of(before))
    ledger.write_ledger(tmp_path / "0", SECOND, (FIRST, orders_touched), changes)

    wanted = in_files(tmp_path / "1" / "run=1")
    assert in_files(tmp_path / "0" / "run=2") == wanted
    assert sum(map(len, wanted.values())) == len(new)
