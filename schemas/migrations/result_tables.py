"""What migrations that add result tables share: the columns of a run, their key and index.

Migrations that are out rest on it: a result table of another make has its own migration's words.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

_OPEN_RUN = 2**62


def text(name: str, size: int, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A column of at most so many characters."""
    return sa.Column(name, sa.String(length=size), nullable=nullable, comment=comment)


def count(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A column of whole numbers: counts, micros, times."""
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable, comment=comment)


def number(name: str, comment: str, *, nullable: bool = True) -> sa.Column[Any]:
    """A column of floats."""
    return sa.Column(name, sa.Float(), nullable=nullable, comment=comment)


def flag(name: str, comment: str) -> sa.Column[Any]:
    """A column of yes and no."""
    return sa.Column(name, sa.Boolean(), nullable=False, comment=comment)


def create_result(table: str, keys: tuple[str, ...], *own: sa.Column[Any]) -> None:
    """Makes a result table, whose rows stand for an interval of runs.

    Args:
      table: its name.
      keys: those of its own columns that are of its key, between site and run.
      own: its own columns.
    """
    op.create_table(
        table,
        count("base_run", "Number of the full run that this run and the row go back to"),
        text("site_id", 64, "Shop the row belongs to"),
        *own,
        count("since_run", "Number of the run that wrote the row"),
        count("until_run", "Run that took it back; 2^62 while it stands"),
        sa.PrimaryKeyConstraint(
            "base_run", "site_id", *keys, "since_run", name=op.f(f"pk_{table}")
        ),
        sqlite_with_rowid=False,
    )
    ended = sa.text(f"until_run < {_OPEN_RUN}")
    op.create_index(
        f"ix_{table}_ended",
        table,
        ["base_run", "until_run"],
        sqlite_where=ended,
        postgresql_where=ended,
    )


def drop_results(*tables: str) -> None:
    """Drops result tables, and so their indexes."""
    for table in tables:
        op.drop_table(table)
