"""Add landings by client and carrier, and the credit of whole sites: the next run fills them."""

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
    for column, (before, after) in COMMENTS.items():
        _comment(column, before, after)


def downgrade() -> None:
    """Takes the change back."""
    for column, (before, after) in COMMENTS.items():
        _comment(column, after, before)
    drop_results("landings_daily")


def _comment(column: str, before: str, after: str) -> None:
    if op.get_bind().dialect.name != "sqlite":  # which has no comments
        op.alter_column("model_credits", column, comment=after, existing_comment=before)
