"""What erasing does to single places: spool, messages, late arrivals, shared devices."""

import os
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from beacon.spool_file import Entry
from pipelines.io import forget
from pipelines.io.blanking import DEVICE, PERSON
from pipelines.io.drain import checkpoint_file, drain_spool
from pipelines.io.forget import rewrite_lake, rewrite_quarantine, rewrite_spool
from pipelines.io.traces import Traces, trace
from schemas.errors import BusyError
from schemas.events import EVENTS
from schemas.lake import lake_schema
from schemas.spool import FRAME_START, Words, join, pack
from schemas.spool_reader import Checkpoint, open_spool, read_checkpoint
from tests import erasing
from tests.erasing import (
    CLEO,
    DORA,
    EMAIL,
    MONDAY_MS,
    PHONE,
    SESSION,
    SHARED,
    Shop,
    drained,
    login,
    places,
    said,
    story,
    view,
)
from tests.schemas.examples import example

LEFT = Traces(customers={CLEO}, emails={EMAIL}, visitors={PHONE}, sessions={SESSION})


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "home")
    yield shop
    shop.close()


# Fields that may stay: what happened, when, to what; and words of the shop's own.
_KEPT = {
    *("event_id", "schema_version", "site_id", "source", "user_agent_class", "consent"),
    *("is_signed", "event_time_ms", "sent_time_ms", "received_time_ms", "updated_time_ms"),
    *("page_location", "page_referrer", "pin_url", "media_url"),
    *("item_list_id", "recommender_id", "page_type", "experiment_arm", "items", "item_id"),
    *("index", "quantity", "pin_id", "parent_pin_id", "root_pin_id", "hop", "pin_mode"),
    *("token_carrier", "match_method", "order_id", "currency", "refund_id", "kind", "amount"),
    *("activity", "channel", "campaign", "touch_source", "medium"),
    *("tax_micros", "shipping_micros", "discount_micros", "amount_micros"),
}


@pytest.mark.parametrize("event_name", sorted(EVENTS))
def test_each_field_of_each_kind_is_kept_or_lost_on_purpose(shop: Shop, event_name: str) -> None:
    """A new field that names a person would stay unseen."""
    event = example(event_name, site_id="acme")
    drained(shop, event)
    left = Traces(customers={"customer-1"}, visitors={"visitor-1"})

    rewrite_lake(shop.home, {"acme": left})

    rows = said(shop, *lake_schema(event_name).names)
    if event_name in {"identify", "erase"}:
        assert rows == []
        return
    kept = dict(zip(lake_schema(event_name).names, rows[0], strict=True))
    assert {name for name, value in kept.items() if value is not None} <= _KEPT
    assert {name for name in kept if name not in _KEPT} <= {
        *DEVICE,
        *PERSON,
    }
    assert "?" not in str(kept.get("pin_url"))


def test_an_id_in_an_address_of_somebody_else_goes_too(shop: Shop) -> None:
    """She may have sent a friend the link of her account."""
    address = f"https://shop.example/of/{urllib.parse.quote(CLEO)}/mugs?from={CLEO}"
    drained(
        shop,
        view(1, visitor_id="ben", page_referrer=address),
        view(2, visitor_id="ben", page_referrer=f"https://shop.example/mugs?from={CLEO}"),
        view(3, visitor_id="ben", page_referrer=f"https://shop.example/mugs?from={CLEO}patra"),
    )

    rewrite_lake(shop.home, {"acme": LEFT})

    assert said(shop, "visitor_id", "page_referrer") == [
        ("ben", None),
        ("ben", "https://shop.example/mugs"),
        ("ben", f"https://shop.example/mugs?from={CLEO}patra"),
    ]


def test_a_visitor_goes_and_the_customer_on_it_stays(shop: Shop) -> None:
    """Who asks to forget a device has not closed her account."""
    files = drained(
        shop,
        view(1, visitor_id=PHONE, session_id=SESSION),
        login(2, visitor_id=PHONE, session_id=SESSION, customer_id=CLEO, email_sha256=EMAIL),
        login(3, visitor_id=PHONE, customer_id=CLEO),
        view(4, customer_id=CLEO, session_id=SESSION),
    )

    rewrite_lake(shop.home, {"acme": trace(files, customers=(), visitors={PHONE})})

    assert places(shop.home, [PHONE, SESSION]) == ["spool"]
    assert said(shop, "event_id", "customer_id", "email_sha256") == [
        ("view-01", None, None),
        ("view-02", CLEO, EMAIL),  # still says whose the e-mail is
        ("view-04", CLEO, None),
    ]


def test_who_is_known_by_an_email_alone_is_erased_by_its_hash(shop: Shop) -> None:
    """The tables call her e: and the hash."""
    files = drained(shop, login(1, visitor_id=PHONE, email_sha256=EMAIL))

    found = trace(files, customers={f"e:{EMAIL}"}, visitors=())

    assert (found.emails, found.visitors) == ({EMAIL}, {PHONE})


def test_the_hash_of_an_email_that_is_a_customers_is_hers_to_erase(shop: Shop) -> None:
    """It is no person of its own: ask for the customer."""
    files = drained(shop, login(1, visitor_id=PHONE, customer_id=CLEO, email_sha256=EMAIL))

    found = trace(files, customers={f"e:{EMAIL}"}, visitors=())

    assert (found.emails, found.visitors) == (set(), set())


def test_an_email_of_two_customers_is_neithers(shop: Shop) -> None:
    """A couple with one address: erasing her leaves him his."""
    files = drained(
        shop,
        login(1, visitor_id=PHONE, customer_id=CLEO, email_sha256=EMAIL),
        login(2, visitor_id="pc", customer_id=DORA, email_sha256=EMAIL),
    )

    found = trace(files, customers={CLEO}, visitors=())

    assert (found.customers, found.emails, found.visitors) == ({CLEO}, set(), {PHONE})


def test_a_device_of_too_many_goes_by_sessions(shop: Shop) -> None:
    """In a shop's own kiosk only what she did in her session is hers."""
    others = [login(n, visitor_id=SHARED, customer_id=f"c-{n}", session_id="s") for n in range(4)]
    files = drained(
        shop,
        *others,
        login(5, visitor_id=SHARED, customer_id=CLEO, session_id=SESSION),
        view(6, visitor_id=SHARED, session_id=SESSION),
        view(7, visitor_id=SHARED, session_id="t"),
    )

    found = trace(files, customers={CLEO}, visitors=())

    assert (found.visitors, found.events, found.sessions) == (set(), {"view-06"}, {SESSION})


def test_a_claim_to_her_order_loses_its_device(shop: Shop) -> None:
    """Else the order would take the device's owner as its buyer."""
    order = {**erasing.mug("o-1"), "event_name": "purchase"}
    files = drained(
        shop,
        login(1, visitor_id=SHARED, customer_id=DORA),
        {**view(2, visitor_id=SHARED), **order},
        {**view(3, customer_id=CLEO, is_signed=True), **order},
    )

    rewrite_lake(shop.home, {"acme": trace(files, customers={CLEO}, visitors=())})

    assert said(shop, "visitor_id", "customer_id")[1:] == [(None, None), (None, None)]


def test_what_is_not_forwarded_yet_is_forwarded_without_her(shop: Shop) -> None:
    """With Pub/Sub the spool is the forwarder's: its rows stay, under their numbers."""
    shop.send(*story())
    path = shop.spool.path
    with open_spool(path) as spool:
        chunk = spool.read("requests", Checkpoint(), 1)
    assert chunk is not None

    counts = rewrite_spool(path, chunk.done, {"acme": LEFT})
    shop.send(view(99))

    assert counts["spool_rows"] == 8
    assert places(shop.home, [CLEO, PHONE, EMAIL, SESSION]) == []
    with open_spool(path) as spool:
        rest = spool.read("requests", chunk.done, 10**9)
        assert spool.read("requests", Checkpoint(), 10**9) is not None
    assert rest is not None
    assert [event.event_id for event in rest.events] == [
        *(f"event-{n:02}" for n in range(1, 17) if n not in {3, 4, 12}), "view-99",
    ]  # fmt: skip


def test_a_batch_kept_as_it_came_loses_her_too(shop: Shop) -> None:
    """The receiver's words stand once for a whole batch, and rows are compressed."""
    words = Words("acme", "web_js", None, MONDAY_MS, cookie_visitor_id=PHONE)
    events = [
        {"event_name": "view_item", "event_id": f"e{n}", "event_time_ms": MONDAY_MS, **fields}
        for n, fields in enumerate(
            (
                {"item_id": "a"},
                {"item_id": "b", "customer_id": CLEO},
                {"item_id": "c", "visitor_id": "other"},
            )
        )
    ]
    batch = msgspec.json.encode({"site_key": "k", "events": events + [view(n) for n in range(40)]})
    row = join([pack(words, batch), msgspec.json.encode([view(99)])])
    assert row.startswith(FRAME_START)
    shop.spool.commit([Entry(MONDAY_MS, row)])
    assert places(shop.home, [CLEO, PHONE]) == ["spool"]

    rewrite_spool(shop.spool.path, Checkpoint(), {"acme": LEFT})

    assert places(shop.home, [CLEO, PHONE]) == []
    with open_spool(shop.spool.path) as spool:
        left = spool.read("requests", Checkpoint(), 10**9)
    assert left is not None
    assert [event.visitor_id for event in left.events[:3]] == [None, None, "other"]
    assert len(left.events) == 44
    assert left.rejects == []


def test_an_id_with_escapes_is_found_in_a_batch_kept_as_it_came(shop: Shop) -> None:
    """PHP escapes slashes and foreign letters, and the batch keeps them."""
    names = ("shop/c-10442", "Paweł")
    event = view(1, customer_id="NAME")
    texts = [rb"shop\/c-10442", rb"Pawe\u0142"]
    for spelled in texts:
        batch = msgspec.json.encode({"site_key": "k", "events": [event]}).replace(b"NAME", spelled)
        shop.spool.commit([Entry(MONDAY_MS, pack(Words("acme", "web_js", None, MONDAY_MS), batch))])

    rewrite_spool(shop.spool.path, Checkpoint(), {"acme": Traces(customers=set(names))})

    with open_spool(shop.spool.path) as spool:
        left = spool.read("requests", Checkpoint(), 10**9)
    assert left is not None
    assert [event.customer_id for event in left.events] == [None, None]


def test_rows_that_are_drained_leave_the_spool(shop: Shop) -> None:
    """All but the last, by which the checkpoint knows the file; nothing is drained twice."""
    drained(shop, *story())
    path = shop.spool.path

    rewrite_spool(path, read_checkpoint(checkpoint_file(shop.home, path.stem)), {"acme": LEFT})

    with open_spool(path) as spool:
        kept = spool.read("requests", Checkpoint(), 10**9)
    assert kept is not None
    assert kept.rows == 1
    assert drain_spool(shop.home, shop.home.settings()).events == 0


def test_the_control_that_leaves_the_log_is_found_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beacon holds the file open, so that SQLite keeps its log."""
    monkeypatch.setattr(forget, "give_back", lambda *_: None)
    shop.send(*story())

    rewrite_spool(shop.spool.path, Checkpoint(), {"acme": LEFT})

    assert places(shop.home, [CLEO]) == ["spool"]


def test_a_spool_that_somebody_reads_is_not_called_clean(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beacon that met a failing disk holds on to its file."""
    monkeypatch.setattr(forget, "_BUSY_SECONDS", 0.1)
    shop.send(*story())
    shop.spool.abandon()

    with pytest.raises(BusyError, match="its log still holds what was erased"):
        rewrite_spool(shop.spool.path, Checkpoint(), {"acme": LEFT})
    shop.spool._connection.execute("ROLLBACK")


def test_a_message_nobody_can_read_yet_keeps_its_length(shop: Shop) -> None:
    """All its other events are still wanted, once a release can read them."""
    message = shop.home.quarantine / "messages" / "archive-1"
    message.parent.mkdir(parents=True)
    message.write_bytes(f"\x1a{CLEO}\x00{CLEO}\x0cothers".encode())
    os.utime(message, (1_700_000_000, 1_700_000_000))

    rewrite_quarantine(shop.home, {"acme": LEFT})

    after = message.read_bytes()
    assert message.stat().st_mtime == 1_700_000_000  # its days of retention do not begin anew
    assert CLEO.encode() not in after
    assert after[:1] == b"\x1a"
    assert after.endswith(b"\x0cothers")
    assert len(after) == 2 * len(CLEO) + 9


def test_a_beacon_at_work_loses_nothing(shop: Shop) -> None:
    """What it acknowledges while its file is made anew is in the new file."""
    shop.send(*story())
    stop = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not stop.is_set():
            event_id = f"live-{len(sent):05}"
            shop.send(view(len(sent), event_id=event_id))
            sent.append(event_id)
            stop.wait(0.005)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while len(sent) < 20:
            rewrite_spool(shop.spool.path, Checkpoint(), {"acme": LEFT})
    finally:
        stop.set()
        sender.join()

    with open_spool(shop.spool.path) as spool:
        chunk = spool.read("requests", Checkpoint(), 10**9)
    assert chunk is not None
    assert sorted(sent) == [each.event_id for each in chunk.events if each.event_id[:4] == "live"]
