"""Add the stages of the relationship with pinners; the next full run fills them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

OPEN_RUN = 2**62


def _text(name: str, size: int, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=size), nullable=nullable, comment=comment)


def _count(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False, comment=comment)


def _create(table: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    """Makes a result table: keys of a run's interval around its own columns."""
    op.create_table(
        table,
        _count("base_run", "Number of the full run that this run and the row go back to"),
        _text("site_id", 64, "Shop the row belongs to"),
        *columns,
        _count("since_run", "Number of the run that wrote the row"),
        _count("until_run", "Run that took it back; 2^62 while it stands"),
        sa.PrimaryKeyConstraint("base_run", "site_id", *key, "since_run", name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )
    ended = sa.text(f"until_run < {OPEN_RUN}")
    columns_ended = ["base_run", "until_run"]
    op.create_index(
        f"ix_{table}_ended", table, columns_ended, sqlite_where=ended, postgresql_where=ended
    )


def upgrade() -> None:
    """Applies the change."""
    _create(
        "pinner_stages",
        ("pinner_id", "month"),
        _text("pinner_id", 130, "Pinner"),
        _text("month", 7, "Month at whose end she is in it, in the shop's time zone"),
        _text("stage", 32, "Stage of the relationship"),
        _text(
            "left_month", 7, "Month at whose end she no longer is; null: for good", nullable=True
        ),
        _text("depth", 16, "Highest rung of engagement in the look-back", nullable=True),
        _count("recency_months", "Months since the last one with an act of hers"),
        _count("active_months", "Months of the look-back with an act of hers"),
        _count("reciprocity", "Directions, of two, in which somebody came back"),
        _count("purchases", "Orders of her own in the look-back"),
    )
    _create(
        "stage_transitions",
        ("month", "from_stage", "to_stage"),
        _text("month", 7, "Month, in the shop's time zone, YYYY-MM"),
        _text("from_stage", 32, "Stage at its begin; new: in the month of her first pin"),
        _text("to_stage", 32, "Stage at its end"),
        _text("last_day", 10, "Last of the 90 days after the month"),
        _count("people", "Pinners, those long forgotten left out"),
        _count("settled", "Of these, forgotten for good: counted this once"),
        _count("people_with_revenue", "Pinners with revenue in the 90 days after the month"),
        _count("credited_next_90_micros", "Credit of others' orders of these 90 days"),
        _count("own_next_90_micros", "Net value of their own orders of these 90 days"),
        sa.Column(
            "standard_error_micros",
            sa.Float(),
            nullable=False,
            comment="Standard error of the sum of both",
        ),
    )


def downgrade() -> None:
    """Takes the change back."""
    for table in ("stage_transitions", "pinner_stages"):
        op.drop_index(f"ix_{table}_ended", table)
        op.drop_table(table)
