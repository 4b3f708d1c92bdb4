"""Add the engagement ladder; its rows come with the next run, which is a full one."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from schemas.rows import OPEN_RUN

revision = "0008"
down_revision = "0007"

ENDED = sa.text(f"until_run < {OPEN_RUN}")
DIMENSION = "all, category or slot"
KEY = "Category or slot of the acts; (none) for acts without one, (all) in dimension all"


def _create(name: str, own: list[sa.Column[str]], counts: list[sa.Column[int]]) -> None:
    keys: list[sa.Column[Any]] = [
        sa.Column(
            "base_run",
            sa.BigInteger(),
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        *own,
    ]
    since = sa.Column(
        "since_run", sa.BigInteger(), nullable=False, comment="Number of the run that wrote the row"
    )
    until = sa.Column(
        "until_run",
        sa.BigInteger(),
        nullable=False,
        comment="Run that took it back; 2^62 while it stands",
    )
    op.create_table(
        name,
        *keys,
        *counts,
        since,
        until,
        sa.PrimaryKeyConstraint(
            *(column.name for column in (*keys, since)), name=op.f(f"pk_{name}")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        f"ix_{name}_ended",
        name,
        ["base_run", "until_run"],
        sqlite_where=ENDED,
        postgresql_where=ENDED,
    )


def _key(name: str, comment: str, size: int = 16) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=size), nullable=False, comment=comment)


def _count(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, comment=comment)


def upgrade() -> None:
    """Applies the change."""
    _create(
        "ladder_daily",
        [
            _key("dimension", DIMENSION),
            _key("key", KEY, 256),
            _key("day", "Day of the acts in the shop's time zone, YYYY-MM-DD", 10),
            _key("rung", "consumption, curation, creation or collaboration"),
        ],
        [
            _count("people", "People whose highest rung of the day it was"),
            _count("acts", "Acts on this rung, by whomever"),
        ],
    )
    _create(
        "ladder_moves",
        [
            _key("dimension", DIMENSION),
            _key("key", KEY, 256),
            _key("day", "Day she came to `to_rung`, in the shop's time zone", 10),
            _key("from_rung", "Rung of her active day before; or new, or away"),
            _key("to_rung", "Rung of this day; or away"),
        ],
        [_count("people", "People who did")],
    )


def downgrade() -> None:
    """Takes the change back."""
    for name in ("ladder_moves", "ladder_daily"):
        op.drop_index(f"ix_{name}_ended", name)
        op.drop_table(name)
