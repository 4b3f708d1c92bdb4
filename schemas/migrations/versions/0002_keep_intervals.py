"""Keep rows as intervals of runs, runs with their manifest, sales by day.

Every published run becomes a full run of its own, numbered as it was published. `sales_daily`
of the runs that are there is by UTC day, since the shops' time zones are not in the database:
the next full run counts by the shops' own days.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

OPEN_RUN = 2**62
MODELS = ("first", "last", "linear", "position", "time_decay")
# Own key, and whatever else each result table has. order_lines first: what it needs to know
# stands in order_credits as it was.
KEYS = {
    "order_lines": ("order_id", "line_id"),
    "order_credits": ("order_id", "line_id", "model", "place"),
    "orders": ("order_id",),
    "pins": ("pin_id",),
    "visits": ("event_id",),
    "pinner_spheres": ("pinner_id",),
    "sphere_edges": ("pinner_id", "person_id"),
    "cascades": ("root_pin_id",),
    "item_daily": ("item_id", "day", "model"),
    "slot_daily": ("item_list_id", "day", "model"),
    "recommender_daily": ("recommender_id", "day", "model"),
    "model_credits": ("dimension", "key", "model"),
    "data_quality_daily": ("day", "event_name"),
    "quarantine": ("reject_id",),
}
TOUCHED = ("touch_id", "pin_id", "distance", "touched_at")
COMMENTS = {
    "run_id": "Run that wrote the row",
    "base_run": "Number of the full run that this run and the row go back to",
    "since_run": "Number of the run that wrote the row",
    "until_run": "Run that took it back; 2^62 while it stands",
    "is_credited": "A touch came before it; else all of it is unattributed",
}
OLD_COMMENTS = {
    "touch_id": "Event of the touch; null when unattributed",
    "pin_id": "Pin credited; null when unattributed",
}
NEW_COMMENTS = {"touch_id": "Event of the touch", "pin_id": "Pin credited"}


def _number(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable, comment=comment)


def _text(name: str, size: int, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(size), nullable=False, comment=comment)


def _put_aside(name: str) -> list[sa.Column[Any]]:
    """Moves a table's rows into `aside`, drops it, and gives its columns."""
    connection = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE aside AS SELECT * FROM {name}")
    op.drop_table(name)
    return [
        sa.Column(
            column.name,
            column.type,
            nullable=column.nullable,
            comment=column.comment,
            autoincrement=False,
        )
        for column in table.columns
    ]


def _make(name: str, key: tuple[str, ...], columns: list[sa.Column[Any]]) -> None:
    op.create_table(
        name,
        *columns,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
        sqlite_with_rowid=False,
    )


def _make_interval_table(name: str, own: list[sa.Column[Any]]) -> None:
    columns = [
        _number("base_run", COMMENTS["base_run"]),
        *own,
        _number("since_run", COMMENTS["since_run"]),
        _number("until_run", COMMENTS["until_run"]),
    ]
    _make(name, ("base_run", "site_id", *KEYS.get(name, ("day", "model")), "since_run"), columns)
    ended = sa.text(f"until_run < {OPEN_RUN}")
    op.create_index(
        f"ix_{name}_ended",
        name,
        ["base_run", "until_run"],
        sqlite_where=ended,
        postgresql_where=ended,
    )


def upgrade() -> None:
    """Applies the change."""
    execute = op.get_bind().exec_driver_sql
    # Rows that were staged and never shown are no run's.
    execute(
        "CREATE TEMPORARY TABLE numbers AS SELECT run_id,"
        " ROW_NUMBER() OVER (ORDER BY published_at, run_id) AS run_number"
        " FROM runs WHERE published_at IS NOT NULL"
    )
    for name in KEYS:
        own = [column for column in _put_aside(name) if column.name != "run_id"]
        selected = [f"aside.{column.name}" for column in own]
        where = ""
        if name == "order_lines":
            own.append(
                sa.Column(
                    "is_credited", sa.Boolean(), nullable=False, comment=COMMENTS["is_credited"]
                )
            )
            selected.append(
                "NOT EXISTS (SELECT 1 FROM order_credits c WHERE c.run_id = aside.run_id"
                " AND c.site_id = aside.site_id AND c.order_id = aside.order_id"
                " AND c.line_id = aside.line_id AND c.pin_id IS NULL)"
            )
        elif name == "order_credits":
            where = "WHERE aside.pin_id IS NOT NULL"
            for column in own:
                column.nullable = column.nullable and column.name not in TOUCHED
                column.comment = NEW_COMMENTS.get(column.name, column.comment)
        _make_interval_table(name, own)
        into = ", ".join(["base_run", *(column.name for column in own), "since_run", "until_run"])
        execute(
            f"INSERT INTO {name} ({into}) SELECT n.run_number, {', '.join(selected)},"
            f" n.run_number, {OPEN_RUN} FROM aside JOIN numbers n ON n.run_id = aside.run_id {where}"
        )
        execute("DROP TABLE aside")
    _add_sales_daily()
    _upgrade_runs()
    execute("DROP TABLE numbers")


def _add_sales_daily() -> None:
    sums = {
        "orders": "Orders",
        "credited_orders": "Orders that a touch came before",
        "gross_micros": "Value of the lines after discounts, before refunds",
        "refunded_micros": "Given back",
        "net_micros": "Gross less refunded",
        "credited_micros": "Of the net value, credited to pins",
        "unattributed_micros": "Of the net value, of lines without a touch",
    }
    own = [
        _text("site_id", 64, "Shop the row belongs to"),
        _text("day", 10, "Day of the order in the shop's time zone, YYYY-MM-DD"),
        _text("model", 32, "Attribution model; only the credit depends on it"),
        *(_number(name, comment) for name, comment in sums.items()),
    ]
    _make_interval_table("sales_daily", own)
    sqlite = op.get_bind().dialect.name == "sqlite"
    day = (
        "strftime('%Y-%m-%d', o.ordered_at / 1000, 'unixepoch')"
        if sqlite
        else "to_char(to_timestamp(o.ordered_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    )
    models = " UNION ALL ".join(f"SELECT '{model}' AS model" for model in MODELS)
    op.get_bind().execute(
        sa.text(
            f"""
        INSERT INTO sales_daily (base_run, site_id, day, model, {", ".join(sums)},
          since_run, until_run)
        SELECT o.base_run, o.site_id, {day}, m.model, COUNT(*), SUM(l.is_credited),
          SUM(o.gross_micros), SUM(o.refunded_micros), SUM(o.net_micros), SUM(l.credited_micros),
          SUM(o.net_micros - l.credited_micros), o.base_run, {OPEN_RUN}
        FROM orders o JOIN (
          SELECT base_run, site_id, order_id,
            MAX(CASE WHEN is_credited THEN 1 ELSE 0 END) AS is_credited,
            SUM(CASE WHEN is_credited THEN net_micros ELSE 0 END) AS credited_micros
          FROM order_lines GROUP BY base_run, site_id, order_id
        ) l ON l.base_run = o.base_run AND l.site_id = o.site_id AND l.order_id = o.order_id
        CROSS JOIN ({models}) m
        GROUP BY o.base_run, o.site_id, {day}, m.model""".replace(":", r"\:")
        )
    )


def _upgrade_runs() -> None:
    execute = op.get_bind().exec_driver_sql
    columns = {column.name: column for column in _put_aside("runs")}
    columns["published_at"].nullable = False
    columns["published_at"].comment = "When readers saw it"
    columns["settings_digest"].comment = "Digest of the settings that decide results"
    columns["events"].comment = "Events in its whole input"
    columns["rows"].comment = "Result rows it wrote"
    _make(
        "runs",
        ("run_number",),
        [
            _number("run_number", "1, 2, 3 ... in this database"),
            columns["run_id"],
            _number("base_run", "Number of the full run it goes back to; itself when full"),
            _number("previous_run", "Number of the run published before it", nullable=True),
            *(columns[name] for name in ("code_version", "input_digest", "settings_digest")),
            sa.Column("settings", sa.Text(), nullable=False, comment="These settings, as JSON"),
            sa.Column(
                "counts",
                sa.Text(),
                nullable=False,
                comment="JSON: rows by table, rows written and taken back, events by name",
            ),
            sa.Column(
                "invariants",
                sa.Text(),
                nullable=False,
                comment="JSON: each check and whether it held",
            ),
            _text("ledger", 8, "Where order_credits lies: sql (and lake), or lake alone"),
            *(columns[name] for name in ("events", "rows", "duration_seconds", "peak_memory_mb")),
            sa.Column(
                "is_full",
                sa.Boolean(),
                nullable=False,
                comment="It computed everything; else it continued the run before",
            ),
            *(columns[name] for name in ("started_at", "published_at")),
        ],
    )
    old = (
        "run_id, code_version, input_digest, settings_digest, events, rows, duration_seconds,"
        " peak_memory_mb, started_at, published_at"
    )
    listed = ", ".join(f"a.{name.strip()}" for name in old.split(","))
    execute(
        f"INSERT INTO runs (run_number, base_run, previous_run, settings, counts, invariants,"
        f" ledger, is_full, {old}) SELECT n.run_number, n.run_number,"
        f" NULLIF(n.run_number - 1, 0), '{{}}', '{{}}', '{{}}', 'sql', (1 = 1), {listed}"
        " FROM aside a JOIN numbers n ON n.run_id = a.run_id"
    )
    execute("DROP TABLE aside")
    columns = {column.name: column for column in _put_aside("current_run")}
    _make(
        "current_run",
        ("pointer",),
        [
            columns["pointer"],
            columns["run_id"],
            _number("run_number", "Its number"),
            _number("base_run", "Number of the full run it goes back to"),
        ],
    )
    execute(
        "INSERT INTO current_run (pointer, run_id, run_number, base_run) SELECT a.pointer, a.run_id,"
        " n.run_number, n.run_number FROM aside a JOIN numbers n ON n.run_id = a.run_id"
    )
    execute("DROP TABLE aside")


def downgrade() -> None:
    """Takes the change back: each run gets a copy of its rows, and unattributed rows again.

    A run whose ledger lies in the lake alone is left out: its credits are not in the database.
    """
    execute = op.get_bind().exec_driver_sql
    execute(
        # Two runs may have had the same input: the later one stays.
        "CREATE TEMPORARY TABLE numbers AS SELECT run_id, base_run, MAX(run_number) AS run_number"
        " FROM runs WHERE ledger = 'sql' GROUP BY run_id, base_run"
    )
    execute(
        "DELETE FROM numbers WHERE run_number <>"
        " (SELECT MAX(o.run_number) FROM numbers o WHERE o.run_id = numbers.run_id)"
    )
    op.drop_table("sales_daily")
    # order_credits before order_lines and orders, which tell what is unattributed.
    for name in ("order_credits", *(name for name in KEYS if name != "order_credits")):
        columns = _put_aside(name)
        hidden = ("base_run", "since_run", "until_run", "is_credited")
        own = [column for column in columns if column.name not in hidden]
        for column in own if name == "order_credits" else ():
            column.nullable = column.nullable or column.name in TOUCHED
            column.comment = OLD_COMMENTS.get(column.name, column.comment)
        _make(
            name,
            ("run_id", "site_id", *KEYS[name]),
            [_text("run_id", 16, COMMENTS["run_id"]), *own],
        )
        listed = ", ".join(column.name for column in own)
        selected = ", ".join(f"a.{column.name}" for column in own)
        seen = (
            "a.base_run = n.base_run AND a.since_run <= n.run_number AND a.until_run > n.run_number"
        )
        execute(
            f"INSERT INTO {name} (run_id, {listed}) SELECT n.run_id, {selected}"
            f" FROM aside a JOIN numbers n ON {seen}"
        )
        execute("DROP TABLE aside")
        if name == "order_credits":
            _make_unattributed()
    _downgrade_runs()
    execute("DROP TABLE numbers")


def _make_unattributed() -> None:
    models = " UNION ALL ".join(f"SELECT '{model}' AS model" for model in MODELS)
    op.get_bind().exec_driver_sql(
        f"""
        INSERT INTO order_credits (run_id, site_id, order_id, line_id, model, place, currency,
          credit_micros, refunded_micros, is_self, is_same_item)
        SELECT n.run_id, l.site_id, l.order_id, l.line_id, m.model, 0, o.currency, l.net_micros,
          l.refunded_micros, (1 = 0), (1 = 0)
        FROM order_lines l
        JOIN numbers n ON l.base_run = n.base_run AND l.since_run <= n.run_number
          AND l.until_run > n.run_number
        JOIN orders o ON o.base_run = l.base_run AND o.site_id = l.site_id
          AND o.order_id = l.order_id AND o.since_run <= n.run_number
          AND o.until_run > n.run_number
        CROSS JOIN ({models}) m
        WHERE NOT l.is_credited"""
    )


def _downgrade_runs() -> None:
    execute = op.get_bind().exec_driver_sql
    kept = (
        "run_id", "code_version", "input_digest", "settings_digest", "events", "rows",
        "duration_seconds", "peak_memory_mb", "started_at", "published_at",
    )  # fmt: skip
    columns = {column.name: column for column in _put_aside("runs")}
    columns["published_at"].nullable = True
    columns["published_at"].comment = "When readers saw it; null while staged"
    columns["settings_digest"].comment = "Digest of the settings"
    columns["events"].comment = "Events read"
    columns["rows"].comment = "Result rows written"
    _make("runs", ("run_id",), [columns[name] for name in kept])
    execute(
        f"INSERT INTO runs ({', '.join(kept)}) SELECT {', '.join(f'a.{name}' for name in kept)}"
        " FROM aside a JOIN numbers n ON n.run_id = a.run_id AND n.run_number = a.run_number"
    )
    execute("DROP TABLE aside")
    columns = {column.name: column for column in _put_aside("current_run")}
    _make("current_run", ("pointer",), [columns["pointer"], columns["run_id"]])
    execute(
        "INSERT INTO current_run (pointer, run_id) SELECT a.pointer, a.run_id FROM aside a"
        " JOIN numbers n ON n.run_id = a.run_id"
    )
    execute("DROP TABLE aside")
