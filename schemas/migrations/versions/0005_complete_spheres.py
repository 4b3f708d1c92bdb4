"""More of spheres and cascades: who passes on, how fast and how far, and whose revenue it is.

What follows from the rows that are there is filled in: from `sphere_edges` as they were when a
pinner's row was written, and from `pins`. When people were reached does not follow from them, and
stays null until the next run, which is a full one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = {
    "pinner_spheres": {
        "repinners_hop_1": "Of the people who landed from her own pins, who pinned on",
        "radius_90": "Hops within which nine in ten of her people are",
        "hours_to_90_percent": "As long or shorter for nine in ten people",
        "influenced_hop_1_micros": "Of these, of people who landed from her own pins",
        "influenced_hop_2_plus_micros": "Of these, of people further away",
        "first_reached_at": "When she reached the first of her people",
        "last_reached_at": "When she reached the newest of her people",
    },
    "sphere_edges": {"first_reached_at": "First landing; null in runs of older releases"},
    "cascades": {
        "pinners": "Known people who pinned in it",
        "visits": "Landings from its pins by others than the pin's pinner",
    },
}
UNKNOWN = ("hours_to_90_percent", "first_reached_at", "last_reached_at")
VISITORS = {
    "new": "People among those landings",
    "old": "People who landed from its pins",
}


def upgrade() -> None:
    """Applies the change."""
    for table, columns in COLUMNS.items():
        for name, comment in columns.items():
            is_unknown = name in UNKNOWN
            kind = sa.Float() if name.startswith("hours") else sa.BigInteger()
            default = None if is_unknown else "0"
            column = sa.Column(
                name, kind, nullable=is_unknown, comment=comment, server_default=default
            )
            op.add_column(table, column)
    _comment_on_visitors("old", "new")
    _fill_spheres()
    _fill_cascades()


def _fill_spheres() -> None:
    execute = op.get_bind().exec_driver_sql
    key = ("base_run", "site_id", "pinner_id", "since_run")
    execute(
        f"""
        CREATE TEMPORARY TABLE hops AS
        SELECT {", ".join(f"s.{name}" for name in key)}, MAX(s.reach_total) AS reach_total, e.hop,
          COUNT(*) AS people, SUM(CASE WHEN e.pins > 0 THEN 1 ELSE 0 END) AS repinners,
          SUM(e.influenced_micros) AS micros
        FROM pinner_spheres s JOIN sphere_edges e ON e.base_run = s.base_run
          AND e.site_id = s.site_id AND e.pinner_id = s.pinner_id
          AND e.since_run <= s.since_run AND e.until_run > s.since_run
        GROUP BY {", ".join(f"s.{name}" for name in key)}, e.hop"""
    )
    execute(f"CREATE INDEX ix_hops ON hops ({', '.join(key)})")
    same = " AND ".join(f"{{0}}.{name} = {{1}}.{name}" for name in key)
    of_row = same.format("h", "pinner_spheres")
    within = f"(SELECT SUM(w.people) FROM hops w WHERE {same.format('w', 'h')} AND w.hop <= h.hop)"

    def found(value: str, condition: str = "") -> str:
        return f"COALESCE((SELECT {value} FROM hops h WHERE {of_row} {condition}), 0)"

    execute(
        f"""
        UPDATE pinner_spheres SET
          repinners_hop_1 = {found("SUM(h.repinners)", "AND h.hop = 1")},
          influenced_hop_1_micros = {found("SUM(h.micros)", "AND h.hop = 1")},
          influenced_hop_2_plus_micros = {found("SUM(h.micros)", "AND h.hop > 1")},
          radius_90 = {found("MIN(h.hop)", f"AND {within} * 10 >= h.reach_total * 9")}"""
    )
    execute("DROP TABLE hops")


def _fill_cascades() -> None:
    execute = op.get_bind().exec_driver_sql
    key = ("base_run", "site_id", "root_pin_id", "since_run")
    execute(
        f"""
        CREATE TEMPORARY TABLE sums AS
        SELECT {", ".join(f"c.{name}" for name in key)}, SUM(p.visits) AS visits,
          COUNT(DISTINCT p.person_id) AS pinners
        FROM cascades c JOIN pins p ON p.base_run = c.base_run AND p.site_id = c.site_id
          AND p.root_pin_id = c.root_pin_id
          AND p.since_run <= c.since_run AND p.until_run > c.since_run
        GROUP BY {", ".join(f"c.{name}" for name in key)}"""
    )
    execute(f"CREATE INDEX ix_sums ON sums ({', '.join(key)})")
    same = " AND ".join(f"s.{name} = cascades.{name}" for name in key)
    execute(
        "UPDATE cascades SET "
        + ", ".join(
            f"{name} = COALESCE((SELECT s.{name} FROM sums s WHERE {same}), 0)"
            for name in ("visits", "pinners")
        )
    )
    execute("DROP TABLE sums")


def _comment_on_visitors(before: str, after: str) -> None:
    if op.get_bind().dialect.name != "sqlite":  # which has no comments
        op.alter_column(
            "cascades", "visitors", comment=VISITORS[after], existing_comment=VISITORS[before]
        )


def downgrade() -> None:
    """Takes the change back."""
    _comment_on_visitors("new", "old")
    for table, columns in COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
