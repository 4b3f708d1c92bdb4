"""An index by model, from which PostgreSQL answers revenue_by_product without the table."""

from alembic import op

revision = "0004"
down_revision = "0003"

NAME = "ix_item_daily_model"
INCLUDED = [
    "since_run", "until_run", "views", "clicks", "pins", "pin_visits", "adds_to_cart", "orders",
    "units", "credited_micros", "direct_micros", "refunded_micros",
]  # fmt: skip


def upgrade() -> None:
    """Applies the change."""
    columns = ["base_run", "site_id", "model", "item_id"]
    op.create_index(NAME, "item_daily", columns, postgresql_include=INCLUDED)


def downgrade() -> None:
    """Takes the change back."""
    op.drop_index(NAME, "item_daily")
