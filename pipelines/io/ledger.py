"""The ledger: every credit of a run, as Parquet that any engine reads.

`<home>/ledger/run=<number>/site=<id>/month=<YYYY-MM>.parquet`, by UTC month of the order and
sorted by key; `ledger/current` is the run that the views show. A month that a run did not change
is the file of the run before, linked. A folder is complete once its `_run.json` stands.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, select, text

from pipelines.io.audit import TOUCHED_ORDERS, shown
from pipelines.io.ledger_changes import MonthChange, touched_orders
from pipelines.io.ledger_months import (
    KEY,
    LEDGER,
    ORDER,
    ORDERS,
    Month,
    read_month,
    with_orders,
    write_months,
)
from pipelines.io.ordered import Batches, in_order, read_batches, read_in_order
from pipelines.io.runs import PublishedRun, shown_run
from pipelines.io.staging import ResultFile
from pipelines.kernels.columns import sort_by
from schemas.durable import DurableFolder
from schemas.errors import AuditError
from schemas.tables import Run

# The underscore keeps whoever reads the whole folder from it.
_MANIFEST, _CURRENT, _PARTS = "_run.json", "current", ".parts"


class _Manifest(msgspec.Struct, frozen=True):
    """Whose folder it is, and what each file holds, by its place in it."""

    run_id: str
    months: dict[str, Month]


class Touched(NamedTuple):
    """Orders that a run touched: as they are now, and as they were."""

    now: pa.Table
    left: pa.Table


def has_ledger(folder: Path, run: PublishedRun) -> bool:
    """Whether the ledger of a run is here, so that the next run can continue it."""
    manifest = _manifest(_of(folder, run.run_number))
    return manifest is not None and manifest.run_id == run.run_id


def find_touched(connection: Connection, run: PublishedRun) -> Touched:
    """The orders that a run touched; the database names them, and has the run's orders."""
    statement = text(
        "SELECT o.site_id, o.order_id, o.ordered_at, o.person_id, o.since_run, o.until_run"  # noqa: S608 (our own names)
        f" FROM {TOUCHED_ORDERS} t JOIN orders o ON o.base_run = :base AND o.site_id = t.site_id"
        " AND o.order_id = t.order_id AND o.until_run >= :run"
    )
    found = connection.execute(statement, {"base": run.base_run, "run": run.run_number}).all()

    def those(rows: Iterable[Any]) -> pa.Table:
        values = [dict(zip(ORDERS.names, row, strict=False)) for row in rows]
        return sort_by(pa.Table.from_pylist(values, ORDERS), *ORDER)

    return Touched(
        now=those(row for row in found if row.until_run > run.run_number),
        left=those(row for row in found if row.since_run < run.run_number),
    )


def write_ledger(
    folder: Path,
    run: PublishedRun,
    continued: tuple[PublishedRun, Touched] | None,
    results: Sequence[ResultFile],
) -> dict[str, Month]:
    """Writes a run's ledger: that of the run it continues, less what goes, with what comes.

    Nobody takes it for one before `finish_ledger`. It asks no database, and may be written beside
    one.

    Args:
      folder: where the ledgers of all runs lie.
      run: the run.
      continued: the run whose credits stand but for the removals, and the orders touched since;
        None for a full run.
      results: the run's files.

    Returns:
      What its files hold.

    Raises:
      AuditError: a credit to take back is not there, or one to add has no order.
    """
    own = _of(folder, run.run_number)
    shutil.rmtree(own, ignore_errors=True)  # of a run that was killed
    own.mkdir(parents=True)
    with DurableFolder(folder) as durable:
        if continued is None:
            orders = read_in_order(_paths(results, "orders"), ORDER, ORDERS.names)
            credits = with_orders(read_in_order(_paths(results), KEY), orders)
            return write_months(credits, _placing(durable, own))
        last, touched = continued
        return _update(durable, _of(folder, last.run_number), own, run, results, touched)


def finish_ledger(
    connection: Connection, folder: Path, run: PublishedRun, months: dict[str, Month]
) -> None:
    """Makes what was written the run's ledger.

    Raises:
      AuditError: the credits do not add up to those of sales_daily.
    """
    _check_sums(connection, run, months)
    told = msgspec.json.encode(_Manifest(run.run_id, months))
    with DurableFolder(folder) as durable:
        durable.place(_of(folder, run.run_number) / _MANIFEST, lambda file: file.write(told))


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
    durable: DurableFolder,
    earlier: Path,
    own: Path,
    run: PublishedRun,
    results: Sequence[ResultFile],
    orders: Touched,
) -> dict[str, Month]:
    """The months of the run before, those of touched orders made anew."""
    before = _manifest(earlier)
    months = {} if before is None else before.months
    touched = touched_orders(orders.left, orders.now)
    parts = own / _PARTS
    parts.mkdir()
    removals = read_in_order(_paths(results, is_removal=True), KEY)
    going = write_months(
        with_orders(removals, iter(orders.left.to_batches())), _opened(parts / "going")
    )

    def there(place: str) -> tuple[Batches, Batches]:
        """A month as it was, and what goes of it."""
        return _read(earlier, place, months), _read(parts / "going", place, going)

    news = [read_batches(path) for path in _paths(results)]
    moved = touched.filter(pc.not_equal(touched["place"], touched["now_at"]))
    news += [MonthChange(place, moved).moving(*there(place)) for place in _places(moved)]
    now = iter(orders.now.to_batches())
    coming = write_months(with_orders(in_order(news, KEY), now), _opened(parts / "coming"))

    changed = {place for place in _places(touched) if place in months} | coming.keys()
    for place in sorted(months.keys() - changed):
        durable.link(earlier / f"{place}.parquet", own / f"{place}.parquet")
    changes = {place: MonthChange(place, touched) for place in sorted(changed)}
    rows = (
        (place, each)
        for place, change in changes.items()
        for each in change.changed(_read(parts / "coming", place, coming), *there(place))
    )
    written = write_months(rows, _placing(durable, own))
    gone, wanted = (
        sum(change.gone for change in changes.values()),
        sum(month.rows for month in going.values()),
    )
    if gone != wanted:
        raise AuditError(
            f"run {run.run_id} is not published: the ledger had {gone} of {wanted} credits to"
            " take back"
        )
    shutil.rmtree(parts)
    return {place: month for place, month in months.items() if place not in changed} | written


def _of(folder: Path, number: int) -> Path:
    return folder / f"run={number}"


def _manifest(own: Path) -> _Manifest | None:
    try:
        return msgspec.json.decode((own / _MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def _paths(
    results: Sequence[ResultFile], table: str = LEDGER, *, is_removal: bool = False
) -> list[str]:
    return [file.path for file in results if file.table == table and file.is_removal == is_removal]


def _placing(
    durable: DurableFolder, own: Path
) -> Callable[[str], AbstractContextManager[BinaryIO]]:
    return lambda place: durable.placing(own / f"{place}.parquet")


def _opened(folder: Path) -> Callable[[str], AbstractContextManager[BinaryIO]]:
    """Files that need not outlive the run."""

    def opened(place: str) -> BinaryIO:
        path = folder / f"{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")

    return opened


def _read(folder: Path, place: str, there: Container[str]) -> Batches:
    return read_month(folder / f"{place}.parquet") if place in there else iter(())


def _places(touched: pa.Table) -> list[str]:
    return sorted(pc.unique(touched["place"]).to_pylist())


def _check_sums(connection: Connection, run: PublishedRun, months: dict[str, Month]) -> None:
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
