"""The ledger: every credit of a run, as Parquet that any engine reads.

`<home>/ledger/run=<number>/site=<id>/month=<YYYY-MM>.parquet`, by UTC month of the order and
sorted by key; `ledger/current` is the run that the views show. A month that a run did not change
is the file of the run before, linked. A folder is complete once its `_run.json` stands.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, select, text

from pipelines.io.audit import TOUCHED_ORDERS, shown
from pipelines.io.runs import PublishedRun, shown_run
from pipelines.io.sorted_credits import merged, parted
from pipelines.io.staging import ResultFile
from schemas.durable import DurableFolder
from schemas.errors import AuditError
from schemas.results import result_key, result_schema
from schemas.tables import Run

LEDGER = "order_credits"
_OWN = result_schema(LEDGER)
# What a credit is read with, so that nobody needs the database beside the files.
LEDGER_SCHEMA = _OWN.append(pa.field("ordered_at", pa.int64(), nullable=False)).append(
    pa.field("buyer_id", pa.string())
)
_KEY = list(result_key(LEDGER))
_ORDER = ["site_id", "order_id"]
_PLACES = ds.partitioning(pa.schema([("site", pa.string()), ("month", pa.string())]), flavor="hive")
# The underscore keeps whoever reads the whole folder from it.
_MANIFEST, _CURRENT, _PARTS = "_run.json", "current", ".parts"
_ROW_GROUP = 100_000
# Columns whose values come again and again; to look for those of the others takes half the time.
_REPEATED = [
    name
    for name in LEDGER_SCHEMA.names
    if name not in ("touch_id", "pin_id", "credit_micros", "touched_at")
]
_MANY = 1_000_000  # months of sites in one piece: Arrow wants a limit, we have none


class _Month(msgspec.Struct, frozen=True):
    """What a file holds."""

    rows: int
    credit_micros: dict[str, int]  # by model


class _Manifest(msgspec.Struct, frozen=True):
    """Whose folder it is, and what each file holds, by its place in it."""

    run_id: str
    months: dict[str, _Month]


def has_ledger(folder: Path, run: PublishedRun) -> bool:
    """Whether the ledger of a run is here, so that the next run can continue it."""
    manifest = _manifest(_of(folder, run.run_number))
    return manifest is not None and manifest.run_id == run.run_id


def write_ledger(
    connection: Connection,
    folder: Path,
    run: PublishedRun,
    continued: PublishedRun | None,
    results: Sequence[ResultFile],
) -> None:
    """Writes a run's ledger: that of the run it continues, less what goes, with what comes.

    Args:
      connection: to the database, where the run's rows are written, and the orders touched are
        named if it continues another run.
      folder: where the ledgers of all runs lie.
      run: the run.
      continued: the run whose credits stand but for the removals; None for a full run.
      results: the run's files.

    Raises:
      AuditError: a credit to take back is not there or one to add has no order, or the credits
        do not add up to those of sales_daily.
    """
    own = _of(folder, run.run_number)
    shutil.rmtree(own, ignore_errors=True)  # of a run that was killed
    parts = own / _PARTS
    parts.mkdir(parents=True)
    with DurableFolder(folder) as durable:
        if continued is None:
            _scatter(_credits(results, is_removal=False), _orders(results), parts)
            places = sorted(_parts(parts))
            months = {
                place: _place(durable, own, place, _sorted(_part(parts, place))) for place in places
            }
        else:
            earlier = _of(folder, continued.run_number)
            months = _update(connection, durable, earlier, own, run, results)
        _check_sums(connection, run, months)
        shutil.rmtree(parts)
        told = msgspec.json.encode(_Manifest(run.run_id, months))
        durable.place(own / _MANIFEST, lambda file: file.write(told))


def settle_ledger(engine: Engine, folder: Path) -> None:
    """Brings the folder in line with the database, whatever a crash or a restored backup left.

    Folders of runs that the database does not have go; `current` is the run that it shows, if
    its ledger is here.
    """
    with engine.connect() as connection:
        there = connection.execute(select(Run.run_number, Run.run_id, Run.base_run, Run.ledger))
        runs = [PublishedRun(row.run_id, row.run_number, *row[2:]) for row in there]
        now = shown_run(connection)
    kept = {_of(folder, run.run_number) for run in runs if has_ledger(folder, run)}
    for stale in set(folder.glob("run=*")) - kept:
        shutil.rmtree(stale)
    current = folder / _CURRENT
    wanted = _of(folder, now.run_number) if now else None
    if current.is_dir() and not current.is_symlink():  # whoever copied the home followed links
        shutil.rmtree(current)
    if wanted not in kept or wanted is None:
        current.unlink(missing_ok=True)
    elif not current.is_symlink() or os.fspath(current.readlink()) != wanted.name:
        aside = folder / f".{_CURRENT}"
        aside.unlink(missing_ok=True)
        aside.symlink_to(wanted.name)
        aside.replace(current)


def _update(
    connection: Connection,
    durable: DurableFolder,
    earlier: Path,
    own: Path,
    run: PublishedRun,
    results: Sequence[ResultFile],
) -> dict[str, _Month]:
    """The months of the run before, those of touched orders made anew."""
    before = _manifest(earlier)
    months = {} if before is None else dict(before.months)
    now, left = _touched_orders(connection, run)
    going = pa.concat_tables([_OWN.empty_table(), *_credits(results, is_removal=True)]).select(_KEY)
    parts = own / _PARTS
    _scatter(_credits(results, is_removal=False), now, parts)
    moving = _moving(left, now)
    for number, place in enumerate(_places(moving)):
        if place in months:
            rows = pq.ParquetFile(earlier / f"{place}.parquet").read()
            rows = rows.join(_at(place, moving).select(_ORDER), _ORDER, join_type="left semi")
            _scatter([_without(rows, going)], now, parts, name=f"moved-{number}")
    touched = {place for place in _places(left) if place in months}
    changed = touched | _parts(parts)
    for place in sorted(months.keys() - changed):
        durable.link(earlier / f"{place}.parquet", own / f"{place}.parquet")
    gone = 0
    for place in sorted(changed):
        table = _sorted(_part(parts, place))
        if place in months:
            there = pq.ParquetFile(earlier / f"{place}.parquet").read()
            others, mine = parted(there, _at(place, left)["order_id"].to_pylist())
            standing = _without(mine, going)
            gone += len(mine) - len(standing)
            # Of another buyer now, perhaps.
            here = _at(place, _with_orders(standing, now)).select(LEDGER_SCHEMA.names)
            table = _sorted(pa.concat_tables([table, here.cast(LEDGER_SCHEMA)]))
            table = merged(others, table)
        months.pop(place, None)
        if len(table):
            months[place] = _place(durable, own, place, table)
    if gone != len(going):
        raise AuditError(
            f"run {run.run_id} is not published: the ledger had {gone} of {len(going)} credits to"
            " take back"
        )
    return months


def _moving(left: pa.Table, now: pa.Table) -> pa.Table:
    """Those of the orders that were there that are of another month now."""
    key = [*_ORDER, "month"]
    elsewhere = left.join(now.select(key), key, join_type="left anti")
    return elsewhere.join(now.select(_ORDER), _ORDER, join_type="left semi")


def _of(folder: Path, number: int) -> Path:
    return folder / f"run={number}"


def _manifest(own: Path) -> _Manifest | None:
    try:
        return msgspec.json.decode((own / _MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def _credits(results: Sequence[ResultFile], *, is_removal: bool) -> Iterator[pa.Table]:
    for file in results:
        if file.table == LEDGER and file.is_removal == is_removal:
            yield pq.read_table(file.path)


def _orders(results: Sequence[ResultFile]) -> pa.Table:
    """What the ledger says of each order of a full run."""
    columns = [*_ORDER, "ordered_at", "person_id"]
    files = [file.path for file in results if file.table == "orders"]
    none = result_schema("orders").empty_table().select(columns)
    return _placed(pa.concat_tables([none, *(pq.read_table(f, columns=columns) for f in files)]))


def _touched_orders(connection: Connection, run: PublishedRun) -> tuple[pa.Table, pa.Table]:
    """The touched orders as they are now, and as they were."""
    statement = text(
        "SELECT o.site_id, o.order_id, o.ordered_at, o.person_id, o.since_run, o.until_run"  # noqa: S608 (our own names)
        f" FROM {TOUCHED_ORDERS} t JOIN orders o ON o.base_run = :base AND o.site_id = t.site_id"
        " AND o.order_id = t.order_id AND o.until_run >= :run"
    )
    found = connection.execute(statement, {"base": run.base_run, "run": run.run_number}).all()
    columns = result_schema("orders").empty_table().select([*_ORDER, "ordered_at", "person_id"])

    def those(rows: Iterable[Any]) -> pa.Table:
        values = [dict(zip(columns.column_names, row, strict=False)) for row in rows]
        return _placed(pa.Table.from_pylist(values, columns.schema))

    now = those(row for row in found if row.until_run > run.run_number)
    return now, those(row for row in found if row.since_run < run.run_number)


def _placed(orders: pa.Table) -> pa.Table:
    """Orders as the ledger calls their columns, and which file is theirs; each once."""
    orders = orders.rename_columns([*_ORDER, "ordered_at", "buyer_id"])
    month = pc.strftime(orders["ordered_at"].cast(pa.timestamp("ms", "UTC")), format="%Y-%m")
    return orders.append_column("site", orders["site_id"]).append_column("month", month)


def _places(orders: pa.Table) -> list[str]:
    found = orders.group_by(["site", "month"]).aggregate([]).to_pylist()
    return sorted(f"site={row['site']}/month={row['month']}" for row in found)


def _at(place: str, rows: pa.Table) -> pa.Table:
    """Those of the rows that lie in this place."""
    site, month = (part.partition("=")[2] for part in place.split("/"))
    return rows.filter(pc.and_(pc.equal(rows["site"], site), pc.equal(rows["month"], month)))


def _without(credits: pa.Table, going: pa.Table) -> pa.Table:
    return credits.select(_OWN.names).join(going, _KEY, join_type="left anti")


def _with_orders(credits: pa.Table, orders: pa.Table) -> pa.Table:
    """Credits with what is said of their orders, and their places."""
    rows = credits.select(_OWN.names).join(orders, _ORDER, join_type="inner")
    if len(rows) != len(credits):
        raise AuditError(f"{len(credits) - len(rows)} credits have no order, or several")
    return rows.select([*LEDGER_SCHEMA.names, "site", "month"])


def _scatter(
    tables: Iterable[pa.Table], orders: pa.Table, parts: Path, *, name: str = "part"
) -> None:
    """Writes credits below the places of their orders' months."""
    for number, table in enumerate(tables):
        ds.write_dataset(
            _with_orders(table, orders),
            parts,
            format="parquet",
            partitioning=_PLACES,
            basename_template=f"{name}-{number}-{{i}}.parquet",
            existing_data_behavior="overwrite_or_ignore",
            max_partitions=_MANY,
        )


def _parts(parts: Path) -> set[str]:
    return {os.fspath(path.relative_to(parts)) for path in parts.glob("*/*")}


def _part(parts: Path, place: str) -> pa.Table:
    files = sorted((parts / place).glob("*.parquet"))
    tables = [pq.ParquetFile(file).read() for file in files]
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *tables], promote_options="permissive")


def _sorted(table: pa.Table) -> pa.Table:
    return table.cast(LEDGER_SCHEMA).sort_by([(name, "ascending") for name in _KEY])


def _place(durable: DurableFolder, own: Path, place: str, table: pa.Table) -> _Month:
    """Writes one file."""
    path = own / f"{place}.parquet"
    durable.place(
        path,
        lambda file: pq.write_table(
            table,
            file,
            compression="zstd",
            row_group_size=_ROW_GROUP,
            use_dictionary=_REPEATED,
        ),
    )
    sums = table.group_by("model").aggregate([("credit_micros", "sum")]).to_pylist()
    return _Month(len(table), {row["model"]: row["credit_micros_sum"] for row in sums})


def _check_sums(connection: Connection, run: PublishedRun, months: dict[str, _Month]) -> None:
    """The ledger's credit must be that of `sales_daily`, by site and model."""
    there: Counter[tuple[str, str]] = Counter()
    for place, month in months.items():
        site = place.partition("/")[0].removeprefix("site=")
        for model, micros in month.credit_micros.items():
            there[site, model] += micros
    statement = text(
        "SELECT site_id, model, SUM(credited_micros)"  # noqa: S608 (our own names)
        f" FROM sales_daily d WHERE {shown('d')} GROUP BY site_id, model"
    )
    rows = connection.execute(statement, {"base": run.base_run, "run": run.run_number})
    sold = {(site, model): int(micros) for site, model, micros in rows}
    for key in sorted(sold.keys() | there.keys()):
        if sold.get(key, 0) != there[key]:
            raise AuditError(
                f"run {run.run_id} is not published: the ledger credits {there[key]} micros of"
                f" {key}, and sales_daily {sold.get(key, 0)}"
            )
