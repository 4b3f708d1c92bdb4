"""Add the engagement ladder; its rows come with the next run, which is a full one."""

from schemas.migrations.result_tables import count, create_result, drop_results, text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Applies the change."""
    create_result(
        "ladder_daily",
        ("dimension", "key", "day", "rung"),
        text("dimension", 16, "all, category or slot"),
        text(
            "key",
            256,
            "Category or slot of the acts; (none) for acts without one, (all) in dimension all",
        ),
        text("day", 10, "Day of the acts in the shop's time zone, YYYY-MM-DD"),
        text("rung", 16, "consumption, curation, creation or collaboration"),
        count("people", "People whose highest rung of the day it was"),
        count("acts", "Acts on this rung, by whomever"),
    )
    create_result(
        "ladder_moves",
        ("dimension", "key", "day", "from_rung", "to_rung"),
        text("dimension", 16, "all, category or slot"),
        text(
            "key",
            256,
            "Category or slot of the acts; (none) for acts without one, (all) in dimension all",
        ),
        text("day", 10, "Day she came to `to_rung`, in the shop's time zone"),
        text("from_rung", 16, "Rung of her active day before; or new, or away"),
        text("to_rung", 16, "Rung of this day; or away"),
        count("people", "People who did"),
    )


def downgrade() -> None:
    """Takes the change back."""
    drop_results("ladder_moves", "ladder_daily")
