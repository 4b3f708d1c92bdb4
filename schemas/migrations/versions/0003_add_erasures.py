"""Add the proofs of erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "erasures",
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop she was erased from"
        ),
        sa.Column(
            "request_id",
            sa.String(length=64),
            nullable=False,
            comment="Request, as the shop named it",
        ),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="visitor or customer"),
        sa.Column("requested_at", sa.BigInteger(), nullable=False, comment="When it was asked for"),
        sa.Column(
            "erased_at",
            sa.BigInteger(),
            nullable=False,
            comment="What happened until then lost its names",
        ),
        sa.Column(
            "counts",
            sa.Text(),
            nullable=False,
            comment="JSON: files rewritten, events blanked and dropped, bytes; of all requests"
            " carried out with it",
        ),
        sa.PrimaryKeyConstraint("site_id", "request_id", "kind", name=op.f("pk_erasures")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Takes the change back."""
    op.drop_table("erasures")
