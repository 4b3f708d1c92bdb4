"""Add the fan club, the depth of relationships and retention: the next run fills them."""

from schemas.migrations.result_tables import count, create_result, drop_results, flag, number, text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Applies the change."""
    create_result(
        "concentrations",
        ("model", "ranked_by"),
        text("model", 32, "Attribution model; what needs none repeats for each"),
        text("ranked_by", 16, "credited, or own: what is shared"),
        count("pinners", "Known pinners"),
        count("pinners_above_zero", "Of these, with anything of it"),
        count("total_micros", "All of it"),
        number("gini", "0: all have equally much; near 1: one has all"),
        number("gini_low", "95 % interval; null when too little data"),
        number("gini_high", "95 % interval, high end"),
        number("n_effective", "Equal customers as uncertain as all are"),
    )
    create_result(
        "fan_clubs",
        ("model", "ranked_by", "top_percent"),
        text("model", 32, "Attribution model; what needs none repeats for each"),
        text("ranked_by", 16, "credited, or own: what pinners are ranked by"),
        count("top_percent", "1 to 100"),
        count("pinners", "Known pinners these are, rounded up to whole ones"),
        count("credited_micros", "Credited to them together"),
        count("own_micros", "Net value of their own orders"),
        count(
            "by_or_through_micros",
            "Their own orders and what is credited to them of others': no micro twice; default model",
            nullable=True,
        ),
        count("sales_micros", "Net value of all orders, pinned or not"),
        count(
            "ci_low_micros",
            "95 % interval of what they are ranked by; null when too little data",
            nullable=True,
        ),
        count("ci_high_micros", "95 % interval, high end", nullable=True),
        number(
            "n_effective",
            "Equal customers that would be as uncertain; null for other models than the default",
        ),
        number("share_low", "95 % interval of its share of all sales"),
        number("share_high", "95 % interval, high end"),
    )
    create_result(
        "relationship_depths",
        ("people_from", "depth"),
        count(
            "people_from",
            "Pinners who reached at least so many people, and less than the next class",
        ),
        text(
            "depth",
            16,
            "reached, visits_2, visits_5, visits_10, repinned, bought; a tie counts in each it fulfils",
        ),
        count("pinners", "Pinners with such a tie"),
        count("people", "Such ties; a person counts for each pinner who reached her"),
        count("visits", "Landings of these ties"),
        count("pins", "Pins the people made below the pinners'"),
        count("influenced_micros", "Orders of these ties; overlaps, never add up"),
    )
    create_result(
        "retention_cohorts",
        ("population", "cohort_month", "months_since"),
        text("population", 16, "pinners, reached or customers"),
        text("cohort_month", 7, "Month of entry in the shop's time zone, YYYY-MM"),
        count("months_since", "Months after it; 0 is itself"),
        text("month", 7, "The month that is, YYYY-MM"),
        count("people", "People who entered in the cohort's month"),
        count("active_people", "Of these, with an act of their own in this month"),
        count("buyers", "Of these, with an order in this month"),
        count("net_micros", "Net value of these orders"),
        number(
            "active_low",
            "95 % interval of the part that was active; null below 30 people: too little data",
        ),
        number("active_high", "95 % interval, high end"),
        number("buyers_low", "95 % interval of the part that bought"),
        number("buyers_high", "95 % interval, high end"),
        flag("is_over", "False for the month of the newest act: it goes on"),
    )
    create_result(
        "retention_fits",
        ("population", "activity", "since"),
        text("population", 16, "pinners, reached or customers"),
        text("activity", 8, "act: whoever does anything is there; order: who buys"),
        text(
            "since",
            8,
            "entry: watched from the month of entry; return: from the first month they came back in",
        ),
        count("lapse_months", "Whole months of silence after which one is lost"),
        count("people", "Watched long enough to tell"),
        count("lost", "Of these lost"),
        count("person_months", "Months in which one of them could have been lost"),
        number("hazard", "Part lost a month, were it constant"),
        number("hazard_low", "95 % interval; null: too little data"),
        number("hazard_high", "95 % interval, high end"),
        number("half_life_months", "Until half are lost; null: none is"),
        number("half_life_low", "95 % interval, low end"),
        number("half_life_high", "95 % interval; null: no end in sight"),
        number("lost_a_year", "Part lost in twelve months"),
        number("lost_a_year_low", "95 % interval, low end"),
        number("lost_a_year_high", "95 % interval, high end"),
    )


def downgrade() -> None:
    """Takes the change back."""
    drop_results(
        "retention_fits", "retention_cohorts", "relationship_depths", "fan_clubs", "concentrations"
    )
