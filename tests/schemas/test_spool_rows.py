"""What a row of the spool holds: events and parcels, plain or compressed."""

import lz4.frame
import msgspec
import pytest

from schemas.spool import MAX_TEXT, Words, join, pack, size_of, text_of
from schemas.spool_rows import Row, decode_rows

NOW_MS = 1_790_000_000_000
WORDS = Words("acme", "web_js", NOW_MS, NOW_MS + 9, "bot", False, "network", "cookie")
TOUCH = b'{"event_name":"touch","event_id":"e%d","event_time_ms":1790000000000,"channel":"email"}'
SAID = b'"site_id":"acme","visitor_id":"own"}'


def batch(*numbers: int) -> bytes:
    return b'{"site_key":"k","events":[%b]}' % b",".join(TOUCH % number for number in numbers)


def complete(number: int) -> bytes:
    return b"[" + (TOUCH % number)[:-1] + b"," + SAID + b"]"


def read(content: bytes) -> tuple[list[str], list[str]]:
    """Ids of the events, reasons of the rejects."""
    events, rejects = decode_rows("requests", "s", [Row(1, NOW_MS, content)])
    return [event.event_id for event in events], [reject.reason for reject in rejects]


def test_events_of_a_parcel_have_the_receivers_words():
    """They were said once for all; an event without them would be nobody's."""
    ((event,), _) = decode_rows("requests", "s", [Row(1, NOW_MS, pack(WORDS, batch(1)))])

    said = msgspec.to_builtins(event)
    assert said["site_id"] == "acme"
    assert (said["sent_time_ms"], said["received_time_ms"]) == (NOW_MS, NOW_MS + 9)
    assert (said["user_agent_class"], said["network_hash"]) == ("bot", "network")
    assert said["visitor_id"] == "cookie"


def test_rows_of_earlier_releases_are_read():
    """A beacon that was replaced leaves its file to be drained."""
    assert read(complete(1)) == (["e1"], [])


@pytest.mark.parametrize("count", [1, 2, 50])
def test_rows_joined_hold_what_each_held(count: int):
    """Events and parcels side by side, below the size that is compressed and above."""
    rows = [pack(WORDS, batch(n)) if n % 2 else complete(n) for n in range(count)]

    joined = join(rows)

    assert read(joined) == ([f"e{n}" for n in range(count)], [])
    assert size_of(joined) == len(text_of(joined))
    assert (len(joined) < len(text_of(joined))) == (count == 50)


def test_a_broken_event_of_a_parcel_spares_its_neighbours():
    """As it does among complete events."""
    content = pack(WORDS, batch(1, 2, 3).replace(b'"e2"', b"7"))

    events, (reason,) = read(content)

    assert events == ["e1", "e3"]
    assert "event_id" in reason


@pytest.mark.parametrize("damage", ["cut", "header", "huge", "words", "time"])
def test_a_damaged_row_is_a_reject_and_no_end_of_the_drain(damage: str):
    """One bad block must not keep the rows behind it from the lake."""
    good = join([pack(WORDS, batch(*range(50)))])
    content = {
        "cut": good[:-20],
        "header": good[:5],
        "huge": lz4.frame.compress(b"[]" + b" " * MAX_TEXT),
        "words": b'[{"words":7,"batch":{"events":[]}}]',
        "time": pack(WORDS, batch(1)).replace(b"%d" % (NOW_MS + 9), b"9"),
    }[damage]

    events, (reason,) = read(content)

    assert not events
    assert reason.startswith("not a list of events")
    assert Row(1, 1, content).size > 0
