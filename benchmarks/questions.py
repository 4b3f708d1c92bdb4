"""The questions of the README and of docs/queries.md on a full database: how long each takes.

    python -m benchmarks.questions [CREDITS]

Publishes a run of so many credits (200,000 by default) by the real way on a PostgreSQL of its own
and on SQLite, asks each question once to warm up and then five times, and prints the medians. From
five million credits on each of the five questions may take 200 ms on PostgreSQL, as it comes. Of
examples whose tables this shop does not fill it says so.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Engine, text

from benchmarks._credits import as_table, tables
from pipelines.io.database import open_database, upgrade_database
from pipelines.io.publish import publish
from pipelines.io.staging import ResultFile
from pipelines.io.vacuum import vacuum
from pipelines.kernels.columns import sort_by
from schemas.home import Home
from schemas.questions import QUESTIONS
from schemas.results import result_key
from tests.services import run_postgres

MAX_SECONDS, FROM_CREDITS, TIMES = 0.2, 5_000_000, 5
QUERIES = Path(__file__).parents[1] / "docs" / "queries.md"


def main() -> None:
    """Prints the times and whether the bar is held; exit code 1 when it is not."""
    credits = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        results = list(written(Path(folder), credits))
        print(f"{sum(file.rows for file in results):,} rows, {credits:,} of them credits\n")
        times: dict[str, dict[str, float | None]] = {}
        with run_postgres() as url:
            for name, database in (("PostgreSQL", url), ("SQLite", f"sqlite:///{folder}/db")):
                engine = filled(Path(folder, name), database, results)
                times[name] = {title: asked(engine, sql) for title, sql in questions()}
                engine.dispose()
    print("| question | PostgreSQL ms | SQLite ms |\n|---|--:|--:|")
    for title, _ in questions():
        taken = (of_database[title] for of_database in times.values())
        shown = ("no rows" if each is None else f"{1000 * each:.0f}" for each in taken)
        print(f"| {title} | {' | '.join(shown)} |")
    five = {question.title: times["PostgreSQL"][question.title] for question in QUESTIONS}
    if None in five.values():
        sys.exit(f"one of the five questions has no answer: {five}")
    slowest = max(each for each in five.values() if each is not None)
    is_held = credits < FROM_CREDITS or slowest <= MAX_SECONDS
    print(f"\nslowest of the five on PostgreSQL: {1000 * slowest:.0f} ms (<= 200)")
    print("PASS" if is_held else "FAIL")
    sys.exit(0 if is_held else 1)


def questions() -> Iterator[tuple[str, str]]:
    """The five questions, and the example of each view."""
    yield from ((question.title, question.sql) for question in QUESTIONS)
    sections = re.findall(
        r"^### (\w+)\n.*?^```sql\n(.*?)^```", QUERIES.read_text(), re.MULTILINE | re.DOTALL
    )
    yield from ((f"`{view}`", sql) for view, sql in sections)


def filled(home: Path, url: str, results: list[ResultFile]) -> Engine:
    """A database with one published run."""
    os.environ["DATABASE_URL"] = url
    engine = open_database(Home(home))
    upgrade_database(engine)
    record = {
        "run_id": "benchmark", "continues": None, "ledger": "sql", "code_version": "benchmark",
        "input_digest": "", "settings_digest": "", "settings": "{}", "counts": "{}", "events": 0,
        "rows": sum(file.rows for file in results), "duration_seconds": 0.0, "peak_memory_mb": 0.0,
        "started_at": 0,
    }  # fmt: skip
    began = time.monotonic()
    publish(engine, record, results, ledger=home / "ledger")
    vacuum(engine, home / "ledger", keep=1)  # as the server does by itself after a while
    print(f"published on {engine.dialect.name} in {time.monotonic() - began:.0f} s")
    return engine


def asked(engine: Engine, sql: str) -> float | None:
    """Median seconds of a query, warm; None where it finds nothing."""
    seconds = []
    with engine.connect() as connection:
        for _ in range(TIMES + 1):
            began = time.perf_counter()
            rows = connection.execute(text(sql.replace(":", r"\:"))).fetchall()
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:]) if rows else None


def written(folder: Path, credits: int) -> Iterator[ResultFile]:
    """The result files of a shop of so many credits, whose sums hold."""
    for name, columns in tables(credits).items():
        table = sort_by(as_table(name, columns), *result_key(name))
        path = str(folder / f"{name}.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table, 2048)
        yield ResultFile(name, path, len(table))


if __name__ == "__main__":
    main()
