"""Data quality: what came, what became of it, and by which run all figures were made."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence

from console.blocks import Block, Chart, Empty, Figure, Figures, Page, Table
from console.charts import bars, height_of, stacked_bars
from console.choices import Choices
from console.days import every_day
from console.questions import Ask, Question, Row

# What differs between two records refused for one reason: texts in quotes, and figures.
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\d[\d.:T-]*")
_COUNTS = dict.fromkeys(("received", "duplicates", "late", "bots", "quarantined"), "count")
_EVENTS_NOTE = (
    "Duplicates and bots are counted and never used. Late: received more than a day after it"
    " happened, and used; imported history always is. What was refused as it came is called"
    " unknown; an order that the run refused is in received as well."
)
_TOKENS_NOTE = (
    "Landings from Pinterest by people, repeats left out. A landing that lost its token does"
    " not say which carrier it was lost from: to compare carriers, compare the days before and"
    " after data-carrier was changed."
)

QUESTIONS = (
    Question(
        "quality_events",
        "What came in these days, and what became of it?",
        """\
SELECT event_name, SUM(received) AS received, SUM(duplicates) AS duplicates, SUM(late) AS late,
       SUM(bots) AS bots, SUM(quarantined) AS quarantined,
       CASE WHEN event_name = 'pin_visit' THEN SUM(matched_by_token) * 1.0
         / NULLIF(SUM(received - duplicates - bots), 0) END AS token_survival
FROM current_data_quality_daily
WHERE site_id = :site AND day BETWEEN :since AND :until
GROUP BY event_name
ORDER BY event_name""",
        {
            "event_name": "text",
            **_COUNTS,
            "token_survival": "share",
        },
        _EVENTS_NOTE,
    ),
    Question(
        "quality_days",
        "What came on each day?",
        """\
SELECT day, event_name, received, duplicates, late, bots, quarantined
FROM current_data_quality_daily
WHERE site_id = :site AND day BETWEEN :since AND :until
ORDER BY day, event_name""",
        {"day": "day", "event_name": "text", **_COUNTS},
        "By the day of the event, in the shop's time zone; what was refused by the day it came.",
    ),
    Question(
        "quality_reasons",
        "What was refused, and why?",
        """\
SELECT origin, reason, COUNT(*) AS records, MAX(received_at) AS newest_at, MIN(place) AS example
FROM current_quarantine
WHERE site_id = :site AND received_at >= :since_at AND received_at < :before_at
GROUP BY origin, reason
ORDER BY MAX(received_at) DESC, origin, reason""",
        {
            "origin": "text",
            "reason": "text",
            "records": "count",
            "newest_at": "time",
            "example": "text",
        },
        "By the time it came. The records themselves are in the quarantine files.",
    ),
    Question(
        "quality_tokens",
        "How many landings still had the token of their pin, by client and carrier?",
        """\
SELECT user_agent_class AS client, SUM(landings) AS landings, SUM(with_token) AS with_token,
       SUM(with_token) * 1.0 / NULLIF(SUM(landings), 0) AS survival,
       SUM(in_query) AS in_query, SUM(in_fragment) AS in_fragment,
       SUM(by_epik) AS by_epik, SUM(by_user_agent) AS by_user_agent,
       SUM(by_referrer) AS by_referrer
FROM token_survival
WHERE site_id = :site AND day BETWEEN :since AND :until
GROUP BY user_agent_class
ORDER BY user_agent_class""",
        {
            "client": "text",
            "landings": "count",
            "with_token": "count",
            "survival": "share",
            "in_query": "count",
            "in_fragment": "count",
            "by_epik": "count",
            "by_user_agent": "count",
            "by_referrer": "count",
        },
        _TOKENS_NOTE,
    ),
    Question(
        "quality_run",
        "By which run were all figures made?",
        """\
SELECT run_id, code_version, is_full, started_at, published_at, duration_seconds, events,
       rows_written, invariants
FROM published_run""",
        {
            "run_id": "text",
            "code_version": "text",
            "is_full": "yes_no",
            "started_at": "time",
            "published_at": "time",
            "duration_seconds": "number",
            "events": "count",
            "rows_written": "count",
            "invariants": "text",
        },
        "The run of all sites. A run is published only if every check holds.",
    ),
    Question(
        "quality_attempt",
        "How did the last run end?",
        """\
SELECT is_good, failure, began_at, ended_at, good_began_at, good_ended_at
FROM last_attempt""",
        {
            "is_good": "yes_no",
            "failure": "text",
            "began_at": "time",
            "ended_at": "time",
            "good_began_at": "time",
            "good_ended_at": "time",
        },
        "Whether it had anything to publish or not. All that came in before the last good one began"
        " is in the figures.",
    ),
)


def build(ask: Ask, choices: Choices) -> Page:  # noqa: ARG001 (all pages are built so)
    """What came, what was refused and why, and the run."""
    return Page(
        "Data quality",
        [
            *_arrivals(ask),
            *_tokens(ask),
            *_refused(ask),
            *_run(ask("quality_run")[0], ask("quality_attempt")),
        ],
        "Days are those of the events, in the shop's time zone.",
    )


def _arrivals(ask: Ask) -> list[Block]:
    rows = ask("quality_events")
    if not rows:
        return [
            Empty(
                "Nothing came in these days.",
                "Choose other days. If nothing ever came: is the snippet on the pages, does the"
                " beacon run, was it archived? pinsphere doctor looks.",
            )
        ]
    days = ask("quality_days")
    return [
        Figures(_figures(rows), "In these days"),
        Table("By event", rows, "quality_events", _EVENTS_NOTE),
        Chart(
            "By day",
            _by_day(days),
            "quality_days",
            "Used, duplicates and bots are together what was received.",
        ),
    ]


def _figures(rows: Sequence[Row]) -> list[Figure]:
    sums = {name: sum(row[name] for row in rows) for name in _COUNTS}
    received = sums["received"]
    survival = [row["token_survival"] for row in rows if row["token_survival"] is not None]
    shares = [
        Figure(
            label,
            sums[name],
            note=f"{sums[name] / received:.1%} of what was received" if received else "",
            question="quality_events",
        )
        for label, name in (("Duplicates", "duplicates"), ("Late", "late"), ("Bots", "bots"))
    ]
    return [
        Figure("Received", received, question="quality_events"),
        *shares,
        Figure("Quarantined", sums["quarantined"], note="refused", question="quality_events"),
        Figure(
            "Token survival",
            survival[0] if survival else None,
            "share",
            note="of landings from Pinterest, whose link still named its pin",
            question="quality_events",
        ),
    ]


def _by_day(rows: Sequence[Row]) -> dict[str, object]:
    sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        sums["used"][row["day"]] += row["received"] - row["duplicates"] - row["bots"]
        sums["duplicates"][row["day"]] += row["duplicates"]
        sums["bots"][row["day"]] += row["bots"]
    days = every_day(rows[0]["day"], rows[-1]["day"])
    series = {name: [by_day[day] for day in days] for name, by_day in sums.items()}
    return stacked_bars(days, series, ("day", "count"), "Events by day, and what became of them")


def _tokens(ask: Ask) -> list[Block]:
    rows = ask("quality_tokens")
    if not rows:
        return [
            Empty(
                "Nobody landed from Pinterest in these days.",
                "Choose other days. If nobody ever did: pins made on the shop's own pages need time"
                " to be found; pinsphere doctor looks whether events arrive.",
            )
        ]
    survival = {row["client"]: row["survival"] for row in rows}
    about = "Part of the landings whose token survived, by client"
    return [
        Chart(
            "Token survival by client",
            bars(survival, "survival", "share", about),
            "quality_tokens",
            "pinterest_inapp is the browser within Pinterest's app.",
            height_of(len(rows)),
        ),
        Table("Token survival by client and carrier", rows, "quality_tokens", _TOKENS_NOTE),
    ]


def _refused(ask: Ask) -> list[Block]:
    rows = ask("quality_reasons")
    if not rows:
        return [Empty("Nothing was refused in these days.", "There is nothing to do.")]
    return [
        Table(
            "Refused, by reason",
            kinds_of_reasons(rows),
            "quality_reasons",
            "Values in the reason are left out, so that alike ones are one line; the rows behind it"
            " have them. Example: where one of them stood. Mend what sent them; what came from a"
            " file may be imported again.",
        )
    ]


def kinds_of_reasons(rows: Sequence[Row]) -> list[Row]:
    """Reasons that differ in their values only in one row, the most frequent first.

    Each has how many records it stands for, when the newest came, and where one of those stands.
    """
    kinds: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: -row["newest_at"]):
        reason = _VALUE.sub("\N{HORIZONTAL ELLIPSIS}", row["reason"])
        kind = kinds.setdefault((row["origin"], reason), row | {"reason": reason, "records": 0})
        kind["records"] += row["records"]
    return sorted(kinds.values(), key=lambda kind: (-kind["records"], kind["reason"]))


def _run(run: Row, attempts: Sequence[Row]) -> list[Block]:
    def figure(label: str, value: float, note: str = "", kind: str = "count") -> Figure:
        return Figure(label, value, kind, note=note, question="quality_run")

    checks: dict[str, bool] = json.loads(run["invariants"])
    return [
        Figures(
            [
                figure("Published", run["published_at"], kind="time"),
                *(_attempt(row) for row in attempts),
                figure("It took", run["duration_seconds"], "seconds", "number"),
                figure("Events", run["events"], "in its whole input, of all sites"),
                figure(
                    "Rows written",
                    run["rows_written"],
                    "a full run" if run["is_full"] else "it continued the run before",
                ),
                figure(
                    "Checks that held",
                    sum(checks.values()),
                    f"of {len(checks)}, before it was published",
                ),
            ],
            f"Run {run['run_id']}, of release {run['code_version']}",
        )
    ]


def _attempt(row: Row) -> Figure:
    """When the newest figures were last looked for; what is shown may be older."""
    how = "it ended well" if row["is_good"] else f"it failed: {row['failure']}, see its log"
    return Figure("Last run", row["ended_at"], "time", note=how, question="quality_attempt")
