"""Add the stages of the relationship with pinners; the next full run fills them."""

from schemas.migrations.result_tables import count, create_result, drop_results, number, text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Applies the change."""
    create_result(
        "pinner_stages",
        ("pinner_id", "month"),
        text("pinner_id", 130, "Pinner"),
        text("month", 7, "Month at whose end she is in it, in the shop's time zone"),
        text("stage", 32, "Stage of the relationship"),
        text("left_month", 7, "Month at whose end she no longer is; null: for good", nullable=True),
        text("depth", 16, "Highest rung of engagement in the look-back", nullable=True),
        count("recency_months", "Months since the last one with an act of hers"),
        count("active_months", "Months of the look-back with an act of hers"),
        count("reciprocity", "Directions, of two, in which somebody came back"),
        count("purchases", "Orders of her own in the look-back"),
    )
    create_result(
        "stage_transitions",
        ("month", "from_stage", "to_stage"),
        text("month", 7, "Month, in the shop's time zone, YYYY-MM"),
        text("from_stage", 32, "Stage at its begin; new: in the month of her first pin"),
        text("to_stage", 32, "Stage at its end"),
        text("last_day", 10, "Last of the 90 days after the month"),
        count("people", "Pinners, those long forgotten left out"),
        count("settled", "Of these, forgotten for good: counted this once"),
        count("people_with_revenue", "Pinners with revenue in the 90 days after the month"),
        count("credited_next_90_micros", "Credit of others' orders of these 90 days"),
        count("own_next_90_micros", "Net value of their own orders of these 90 days"),
        number("standard_error_micros", "Standard error of the sum of both", nullable=False),
    )


def downgrade() -> None:
    """Takes the change back."""
    drop_results("stage_transitions", "pinner_stages")
