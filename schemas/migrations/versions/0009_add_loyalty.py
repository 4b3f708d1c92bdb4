"""Add the fan club, the depth of relationships and retention: the next run fills them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "concentrations",
        sa.Column(
            "base_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        sa.Column(
            "model",
            sa.String(length=32),
            nullable=False,
            comment="Attribution model; what needs none repeats for each",
        ),
        sa.Column(
            "ranked_by",
            sa.String(length=16),
            nullable=False,
            comment="credited, or own: what is shared",
        ),
        sa.Column("pinners", sa.BigInteger(), nullable=False, comment="Known pinners"),
        sa.Column(
            "pinners_above_zero",
            sa.BigInteger(),
            nullable=False,
            comment="Of these, with anything of it",
        ),
        sa.Column("total_micros", sa.BigInteger(), nullable=False, comment="All of it"),
        sa.Column(
            "gini",
            sa.Float(),
            nullable=True,
            comment="0: all have equally much; near 1: one has all",
        ),
        sa.Column(
            "gini_low",
            sa.Float(),
            nullable=True,
            comment="95 % interval; null when too little data",
        ),
        sa.Column("gini_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "n_effective",
            sa.Float(),
            nullable=True,
            comment="Equal customers as uncertain as all are",
        ),
        sa.Column(
            "since_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the run that wrote the row",
        ),
        sa.Column(
            "until_run",
            sa.BigInteger(),
            nullable=False,
            comment="Run that took it back; 2^62 while it stands",
        ),
        sa.PrimaryKeyConstraint(
            "base_run", "site_id", "model", "ranked_by", "since_run", name=op.f("pk_concentrations")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_concentrations_ended",
        "concentrations",
        ["base_run", "until_run"],
        unique=False,
        sqlite_where=sa.text("until_run < 4611686018427387904"),
        postgresql_where=sa.text("until_run < 4611686018427387904"),
    )
    op.create_table(
        "fan_clubs",
        sa.Column(
            "base_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        sa.Column(
            "model",
            sa.String(length=32),
            nullable=False,
            comment="Attribution model; what needs none repeats for each",
        ),
        sa.Column(
            "ranked_by",
            sa.String(length=16),
            nullable=False,
            comment="credited, or own: what pinners are ranked by",
        ),
        sa.Column(
            "top_percent", sa.BigInteger(), autoincrement=False, nullable=False, comment="1 to 100"
        ),
        sa.Column(
            "pinners",
            sa.BigInteger(),
            nullable=False,
            comment="Known pinners these are, rounded up to whole ones",
        ),
        sa.Column(
            "credited_micros", sa.BigInteger(), nullable=False, comment="Credited to them together"
        ),
        sa.Column(
            "own_micros", sa.BigInteger(), nullable=False, comment="Net value of their own orders"
        ),
        sa.Column(
            "by_or_through_micros",
            sa.BigInteger(),
            nullable=True,
            comment="Their own orders and what is credited to them of others': no micro twice; default model",
        ),
        sa.Column(
            "sales_micros",
            sa.BigInteger(),
            nullable=False,
            comment="Net value of all orders, pinned or not",
        ),
        sa.Column(
            "ci_low_micros",
            sa.BigInteger(),
            nullable=True,
            comment="95 % interval of what they are ranked by; null when too little data",
        ),
        sa.Column(
            "ci_high_micros", sa.BigInteger(), nullable=True, comment="95 % interval, high end"
        ),
        sa.Column(
            "n_effective",
            sa.Float(),
            nullable=True,
            comment="Equal customers that would be as uncertain; null for other models than the default",
        ),
        sa.Column(
            "share_low",
            sa.Float(),
            nullable=True,
            comment="95 % interval of its share of all sales",
        ),
        sa.Column("share_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "since_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the run that wrote the row",
        ),
        sa.Column(
            "until_run",
            sa.BigInteger(),
            nullable=False,
            comment="Run that took it back; 2^62 while it stands",
        ),
        sa.PrimaryKeyConstraint(
            "base_run",
            "site_id",
            "model",
            "ranked_by",
            "top_percent",
            "since_run",
            name=op.f("pk_fan_clubs"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_fan_clubs_ended",
        "fan_clubs",
        ["base_run", "until_run"],
        unique=False,
        sqlite_where=sa.text("until_run < 4611686018427387904"),
        postgresql_where=sa.text("until_run < 4611686018427387904"),
    )
    op.create_table(
        "relationship_depths",
        sa.Column(
            "base_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        sa.Column(
            "people_from",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Pinners who reached at least so many people, and less than the next class",
        ),
        sa.Column(
            "depth",
            sa.String(length=16),
            nullable=False,
            comment="reached, visits_2, visits_5, visits_10, repinned, bought; a tie counts in each it fulfils",
        ),
        sa.Column("pinners", sa.BigInteger(), nullable=False, comment="Pinners with such a tie"),
        sa.Column(
            "people",
            sa.BigInteger(),
            nullable=False,
            comment="Such ties; a person counts for each pinner who reached her",
        ),
        sa.Column("visits", sa.BigInteger(), nullable=False, comment="Landings of these ties"),
        sa.Column(
            "pins",
            sa.BigInteger(),
            nullable=False,
            comment="Pins the people made below the pinners'",
        ),
        sa.Column(
            "influenced_micros",
            sa.BigInteger(),
            nullable=False,
            comment="Orders of these ties; overlaps, never add up",
        ),
        sa.Column(
            "since_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the run that wrote the row",
        ),
        sa.Column(
            "until_run",
            sa.BigInteger(),
            nullable=False,
            comment="Run that took it back; 2^62 while it stands",
        ),
        sa.PrimaryKeyConstraint(
            "base_run",
            "site_id",
            "people_from",
            "depth",
            "since_run",
            name=op.f("pk_relationship_depths"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_relationship_depths_ended",
        "relationship_depths",
        ["base_run", "until_run"],
        unique=False,
        sqlite_where=sa.text("until_run < 4611686018427387904"),
        postgresql_where=sa.text("until_run < 4611686018427387904"),
    )
    op.create_table(
        "retention_cohorts",
        sa.Column(
            "base_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        sa.Column(
            "population",
            sa.String(length=16),
            nullable=False,
            comment="pinners, reached or customers",
        ),
        sa.Column(
            "cohort_month",
            sa.String(length=7),
            nullable=False,
            comment="Month of entry in the shop's time zone, YYYY-MM",
        ),
        sa.Column(
            "months_since",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Months after it; 0 is itself",
        ),
        sa.Column(
            "month", sa.String(length=7), nullable=False, comment="The month that is, YYYY-MM"
        ),
        sa.Column(
            "people",
            sa.BigInteger(),
            nullable=False,
            comment="People who entered in the cohort's month",
        ),
        sa.Column(
            "active_people",
            sa.BigInteger(),
            nullable=False,
            comment="Of these, with an act of their own in this month",
        ),
        sa.Column(
            "buyers",
            sa.BigInteger(),
            nullable=False,
            comment="Of these, with an order in this month",
        ),
        sa.Column(
            "net_micros", sa.BigInteger(), nullable=False, comment="Net value of these orders"
        ),
        sa.Column(
            "active_low",
            sa.Float(),
            nullable=True,
            comment="95 % interval of the part that was active; null below 30 people: too little data",
        ),
        sa.Column("active_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "buyers_low", sa.Float(), nullable=True, comment="95 % interval of the part that bought"
        ),
        sa.Column("buyers_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "is_over",
            sa.Boolean(),
            nullable=False,
            comment="False for the month of the newest act: it goes on",
        ),
        sa.Column(
            "since_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the run that wrote the row",
        ),
        sa.Column(
            "until_run",
            sa.BigInteger(),
            nullable=False,
            comment="Run that took it back; 2^62 while it stands",
        ),
        sa.PrimaryKeyConstraint(
            "base_run",
            "site_id",
            "population",
            "cohort_month",
            "months_since",
            "since_run",
            name=op.f("pk_retention_cohorts"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_retention_cohorts_ended",
        "retention_cohorts",
        ["base_run", "until_run"],
        unique=False,
        sqlite_where=sa.text("until_run < 4611686018427387904"),
        postgresql_where=sa.text("until_run < 4611686018427387904"),
    )
    op.create_table(
        "retention_fits",
        sa.Column(
            "base_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the full run that this run and the row go back to",
        ),
        sa.Column(
            "site_id", sa.String(length=64), nullable=False, comment="Shop the row belongs to"
        ),
        sa.Column(
            "population",
            sa.String(length=16),
            nullable=False,
            comment="pinners, reached or customers",
        ),
        sa.Column(
            "activity",
            sa.String(length=8),
            nullable=False,
            comment="act: whoever does anything is there; order: who buys",
        ),
        sa.Column(
            "since",
            sa.String(length=8),
            nullable=False,
            comment="entry: watched from the month of entry; return: from the first month they came back in",
        ),
        sa.Column(
            "lapse_months",
            sa.BigInteger(),
            nullable=False,
            comment="Whole months of silence after which one is lost",
        ),
        sa.Column("people", sa.BigInteger(), nullable=False, comment="Watched long enough to tell"),
        sa.Column("lost", sa.BigInteger(), nullable=False, comment="Of these lost"),
        sa.Column(
            "person_months",
            sa.BigInteger(),
            nullable=False,
            comment="Months in which one of them could have been lost",
        ),
        sa.Column(
            "hazard", sa.Float(), nullable=True, comment="Part lost a month, were it constant"
        ),
        sa.Column(
            "hazard_low", sa.Float(), nullable=True, comment="95 % interval; null: too little data"
        ),
        sa.Column("hazard_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "half_life_months",
            sa.Float(),
            nullable=True,
            comment="Until half are lost; null: none is",
        ),
        sa.Column("half_life_low", sa.Float(), nullable=True, comment="95 % interval, low end"),
        sa.Column(
            "half_life_high",
            sa.Float(),
            nullable=True,
            comment="95 % interval; null: no end in sight",
        ),
        sa.Column("lost_a_year", sa.Float(), nullable=True, comment="Part lost in twelve months"),
        sa.Column("lost_a_year_low", sa.Float(), nullable=True, comment="95 % interval, low end"),
        sa.Column("lost_a_year_high", sa.Float(), nullable=True, comment="95 % interval, high end"),
        sa.Column(
            "since_run",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Number of the run that wrote the row",
        ),
        sa.Column(
            "until_run",
            sa.BigInteger(),
            nullable=False,
            comment="Run that took it back; 2^62 while it stands",
        ),
        sa.PrimaryKeyConstraint(
            "base_run",
            "site_id",
            "population",
            "activity",
            "since",
            "since_run",
            name=op.f("pk_retention_fits"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_retention_fits_ended",
        "retention_fits",
        ["base_run", "until_run"],
        unique=False,
        sqlite_where=sa.text("until_run < 4611686018427387904"),
        postgresql_where=sa.text("until_run < 4611686018427387904"),
    )


def downgrade() -> None:
    """Takes the change back."""
    op.drop_index("ix_retention_fits_ended", "retention_fits")
    op.drop_table("retention_fits")
    op.drop_index("ix_retention_cohorts_ended", "retention_cohorts")
    op.drop_table("retention_cohorts")
    op.drop_index("ix_relationship_depths_ended", "relationship_depths")
    op.drop_table("relationship_depths")
    op.drop_index("ix_fan_clubs_ended", "fan_clubs")
    op.drop_table("fan_clubs")
    op.drop_index("ix_concentrations_ended", "concentrations")
    op.drop_table("concentrations")
