"""The page of data quality says what came and what was refused, on both databases."""

from collections import Counter

import pytest

from console.blocks import Empty
from console.pages.quality import build, kinds_of_reasons
from schemas.events import PinVisit
from tests.console.known_answers import (
    Read,
    figures_of,
    option_of,
    page_if,
    page_of,
    rows_of,
    series_of,
    world,
)


def test_all_that_came_is_received(reading: Read) -> None:
    """Who misses events here, looks for them in the beacon."""
    came = Counter(
        str(event.__struct_config__.tag) for event in world().events if event.site_id == "acme"
    )

    blocks = page_of(build, reading(site="acme"))

    rows = rows_of(blocks, "By event")
    assert {row["event_name"]: row["received"] for row in rows if row["received"]} == came
    assert figures_of(blocks, "In these days")["Received"].value == sum(came.values())


def test_days_add_up_to_what_was_received(reading: Read) -> None:
    """A day left out of the picture is the day on which something broke."""
    blocks = page_of(build, reading(site="acme"))

    option = option_of(blocks, "By day")

    drawn = series_of(option)
    assert set(drawn) == {"used", "duplicates", "bots"}
    received = figures_of(blocks, "In these days")["Received"].value
    assert sum(sum(data) for data in drawn.values()) == received
    assert {len(data) for data in drawn.values()} == {len(option["xAxis"]["data"])}


def test_tokens_survive_as_often_as_they_came_back(reading: Read) -> None:
    """By this a shop chooses the carrier of its tokens."""
    landings: Counter[str] = Counter()
    with_token: Counter[str] = Counter()
    in_query: Counter[str] = Counter()
    seen = {
        event.event_id: event
        for event in world().events
        if isinstance(event, PinVisit) and event.site_id == "acme"
    }
    for event in seen.values():
        client = event.user_agent_class
        if client in {"human", "pinterest_inapp"}:
            landings[client] += 1
            with_token[client] += event.match_method == "token"
            in_query[client] += event.token_carrier == "query"

    rows = rows_of(page_of(build, reading(site="acme")), "Token survival by client and carrier")

    assert {row["client"]: row["landings"] for row in rows} == landings
    assert {row["client"]: row["with_token"] for row in rows} == with_token
    assert {row["client"]: row["in_query"] for row in rows} == in_query
    assert all(row["survival"] == row["with_token"] / row["landings"] for row in rows)


def test_what_was_refused_is_there_with_its_reason(reading: Read) -> None:
    """An order in another currency is missing from all sums: here is where it went."""
    blocks = page_of(build, reading(site="acme"))

    refused = rows_of(blocks, "Refused, by reason")

    quarantined = figures_of(blocks, "In these days")["Quarantined"].value
    assert quarantined == sum(row["records"] for row in refused) > 0
    assert all("currency" in row["reason"] for row in refused)


def test_the_run_is_the_one_that_was_published(reading: Read) -> None:
    """Who asks whether the figures are new, finds when they were made and that they add up."""
    look = reading(site="acme")
    run = look.published

    blocks = page_of(build, look)

    figures = figures_of(blocks, f"Run {run.run_id}, of release {run.code_version}")
    assert figures["Events"].value == len(world().events)
    assert figures["Published"].value == run.published_at
    held = figures["Checks that held"]
    assert held.note.startswith(f"of {held.value},")


def test_a_run_that_failed_is_told() -> None:
    """Figures that stand still look like a quiet shop."""
    run = {
        "run_id": "r", "code_version": "1", "is_full": True, "published_at": 1, "events": 1,
        "duration_seconds": 1.0, "rows_written": 1, "invariants": '{"a": true}',
    }  # fmt: skip
    attempt = {"is_good": False, "failure": "AuditError", "ended_at": 2}

    blocks = page_if(build, {"quality_run": [run], "quality_attempt": [attempt]})

    last = figures_of(blocks, "Run r, of release 1")["Last run"]
    assert (last.value, last.note) == (2, "it failed: AuditError, see its log")


def test_days_without_events_say_what_to_do(reading: Read) -> None:
    """The day the beacon went down is looked up here."""
    blocks = page_of(build, reading(site="acme", since="2020-01-01", until="2020-01-31"))

    empty = blocks["Nothing came in these days."]
    assert isinstance(empty, Empty)
    assert "pinsphere doctor" in empty.what_to_do


def refusal(reason: str, records: int, newest_at: int, origin: str = "beacon") -> dict[str, object]:
    return {
        "origin": origin,
        "reason": reason,
        "records": records,
        "newest_at": newest_at,
        "example": f"request {newest_at}",
    }


def test_reasons_that_differ_in_their_values_are_one() -> None:
    """A clock that is wrong gives a thousand reasons, and is one thing to mend."""
    rows = [
        refusal("event_time_ms 1700 is not between 12 and 34", 1, 5),
        refusal("event_time_ms 1800 is not between 13 and 35", 2, 9),
        refusal("site 'acme' is unknown", 4, 7),
        refusal("site 'bolt' is unknown", 1, 6, origin="import-orders"),
    ]

    kinds = kinds_of_reasons(rows)

    assert [(kind["reason"], kind["records"], kind["newest_at"]) for kind in kinds] == [
        ("site … is unknown", 4, 7),
        ("event_time_ms … is not between … and …", 3, 9),
        ("site … is unknown", 1, 6),
    ]
    assert kinds[1]["example"] == "request 9"


@pytest.mark.parametrize("reason", ["not JSON: `}`", "quantity -1 is not >= 0", 'id "a" is long'])
def test_a_reason_keeps_its_words(reason: str) -> None:
    """Only values go: what is left must tell what to mend."""
    (kind,) = kinds_of_reasons([refusal(reason, 1, 1)])

    words = [word for word in reason.split() if word.isalpha()]
    assert all(word in kind["reason"] for word in words)
