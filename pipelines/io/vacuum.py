"""Room given back: runs that nobody keeps, and the holes that their rows leave."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from pipelines.io.ledger import settle_ledger
from pipelines.io.runs import forget_runs
from schemas.tables import Base


def vacuum(engine: Engine, ledger: Path, keep: int) -> int:
    """Forgets runs beyond those to keep, and compacts the database; gives the bytes freed.

    Nobody may publish meanwhile. Readers go on; on SQLite they wait at the end.
    """
    before = _size(engine) + _below(ledger)
    forget_runs(engine, keep)
    settle_ledger(engine, ledger)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in Base.metadata.sorted_tables:
                connection.exec_driver_sql(f"VACUUM (ANALYZE) {table.name}")
    else:
        raw = engine.raw_connection()
        try:
            driver: Any = raw.driver_connection
            driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()
    return before - _size(engine) - _below(ledger)


def _size(engine: Engine) -> int:
    """Bytes that the database takes."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    files = [Path(f"{engine.url.database}{end}") for end in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


def _below(folder: Path) -> int:
    """Bytes of the files of a folder, each once however many names it has."""
    found = (Path(where, name).lstat() for where, _, names in os.walk(folder) for name in names)
    return sum({each.st_ino: each.st_size for each in found}.values())
