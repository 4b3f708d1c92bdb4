"""Add what alerts look at: landings by client and carrier, arrivals by hour, the last attempt.

The next run fills them, and the credit of whole sites in `model_credits`; what is known of the
last attempt is when the newest run was published.
"""

import sqlalchemy as sa
from alembic import op

from schemas.migrations.result_tables import count, create_result, drop_results, text

revision = "0010"
down_revision = "0009"

# Of the key of model_credits, before and after.
COMMENTS = {
    "dimension": (
        "pinner, product, slot or recommender",
        "pinner, product, slot, recommender or site",
    ),
    "key": (
        "Pinner, product, slot or recommender",
        "Pinner, product, slot, recommender, or the site itself",
    ),
}


def upgrade() -> None:
    """Applies the change."""
    create_result(
        "landings_daily",
        ("day", "user_agent_class", "match_method", "token_carrier"),
        text("day", 10, "Day of the landing in the shop's time zone, YYYY-MM-DD"),
        text("user_agent_class", 16, "Client: human, or pinterest_inapp"),
        text("match_method", 16, "Evidence: token, epik, user_agent, referrer"),
        text("token_carrier", 16, "Where the token was: query, fragment or (none)"),
        count("landings", "Landings, repeats and crawlers left out"),
    )
    create_result(
        "arrivals_hourly",
        ("hour_at", "source"),
        count("hour_at", "Begin of the hour, UTC"),
        text("source", 16, "What sent them: web_js, server, webhook, file or pixel"),
        count("events", "Events received, repeats left out"),
    )
    op.create_table(
        "attempts",
        count("pointer", "Always 1"),
        text("failure", 64, "Kind of error it failed with; null when it ended well", nullable=True),
        count("began_at", "When it began"),
        count("ended_at", "When it ended"),
        count("good_began_at", "When the last one that ended well began", nullable=True),
        count("good_ended_at", "When that one ended", nullable=True),
        sa.PrimaryKeyConstraint("pointer", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.execute(  # older releases noted runs that were published only
        """
        INSERT INTO attempts (pointer, began_at, ended_at, good_began_at, good_ended_at)
        SELECT 1, started_at, published_at, started_at, published_at
        FROM runs ORDER BY run_number DESC LIMIT 1"""
    )
    for column, (before, after) in COMMENTS.items():
        _comment(column, before, after)


def downgrade() -> None:
    """Takes the change back."""
    for column, (before, after) in COMMENTS.items():
        _comment(column, after, before)
    op.drop_table("attempts")
    drop_results("arrivals_hourly", "landings_daily")


def _comment(column: str, before: str, after: str) -> None:
    if op.get_bind().dialect.name != "sqlite":  # which has no comments
        op.alter_column("model_credits", column, comment=after, existing_comment=before)
