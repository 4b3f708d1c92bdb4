"""Names that come late, and who may ask for an erasure."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.flows.erase import subjects_of
from pipelines.io.erased import read_erased, remember_erased
from pipelines.io.erasures import waiting_erasures
from pipelines.io.import_events import import_events
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects, write_rejects
from schemas.errors import LakeError, UsageError
from schemas.lock import alone
from schemas.spool import Reject
from tests.erasing import CLEO, DORA, EMAIL, NOW_MS, PHONE, Shop, drained, places, said, story, view


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "home")
    yield shop
    shop.close()


def remember(shop: Shop) -> None:
    names: Any = {"visitor_id": [PHONE], "customer_id": [CLEO], "email_sha256": [EMAIL]}
    remember_erased(shop.home, {"acme": names}, NOW_MS)


def late_file(shop: Shop) -> Path:
    file = shop.home.path / "late.jsonl"
    later = view(99, visitor_id=PHONE, event_time_ms=NOW_MS + 1, received_time_ms=NOW_MS + 1)
    file.write_bytes(b"\n".join(msgspec.json.encode(event) for event in [*story(), later]))
    return file


def test_what_comes_late_loses_its_names_and_what_is_new_keeps_them(shop: Shop) -> None:
    """Messages wait for weeks, files are imported again; but she may also come again."""
    remember(shop)

    import_events(shop.home, [late_file(shop)], site="acme")

    assert [row for row in said(shop, "event_id", "visitor_id") if row[1] == PHONE] == [
        ("view-99", PHONE)
    ]
    assert [row for row in said(shop, "customer_id") if row[0] == CLEO] == []


def test_the_control_without_the_list_brings_her_back(shop: Shop) -> None:
    """Shows that the test above can fail."""
    import_events(shop.home, [late_file(shop)], site="acme")

    assert (CLEO,) in said(shop, "customer_id")


def test_the_list_holds_no_id(shop: Shop) -> None:
    """Else it would be the one place where she stays."""
    remember(shop)

    assert places(shop.home) == []
    assert read_erased(shop.home).when("acme", "customer_id", CLEO) == NOW_MS
    assert read_erased(shop.home).when("other", "customer_id", CLEO) == 0


def test_a_damaged_list_stops_what_would_bring_names_back(shop: Shop) -> None:
    shop.home.erased.write_bytes(b"{")

    with pytest.raises(LakeError, match="bring it back from a backup"):
        import_events(shop.home, [late_file(shop)], site="acme")


def test_a_late_record_in_quarantine_loses_its_text(shop: Shop) -> None:
    """A webhook of hers that breaks its contract is kept as it came."""
    remember(shop)
    record = msgspec.json.encode({"customer": {"id": CLEO}}).decode()
    reject = Reject(
        reject_id="r", site_id="acme", received_time_ms=NOW_MS, origin="beacon", place="events[0]",
        reason=f"customer_id '{CLEO}' is wrong", record=record,
    )  # fmt: skip

    write_rejects(shop.home, [reject], "late")

    (kept,) = read_rejects(shop.home)
    assert (kept.record, kept.reason) == ("", "customer_id 'erased' is wrong")


def test_who_writes_waits_for_an_erasure(shop: Shop) -> None:
    """A writer that knew the old list would bring her back behind the erasure's back."""
    with alone(shop.home.lake_lock):
        writer = threading.Thread(
            target=import_events, args=(shop.home, [late_file(shop)]), kwargs={"site": "acme"}
        )
        writer.start()
        writer.join(0.3)
        assert lake_files(shop.home) == []
        remember(shop)
    writer.join()

    assert (CLEO,) not in said(shop, "customer_id")


def test_only_the_shops_own_requests_wait(shop: Shop) -> None:
    """Who knows a visitor's id could erase her otherwise."""
    asked = {**view(1), "event_name": "erase", "request_id": "r-1", "customer_id": CLEO}
    files = drained(
        shop,
        {**asked, "is_signed": True, "visitor_id": PHONE},
        {**asked, "event_id": "forged", "request_id": "r-2", "customer_id": DORA},
    )

    waiting = waiting_erasures(files)

    assert [(each.kind, each.name, each.request_id) for each in waiting] == [
        ("visitor", PHONE, "r-1"),
        ("customer", CLEO, "r-1"),
    ]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"site": "acme", "visitor": ""}, "takes --site"),
        ({"visitor": "v"}, "takes --site"),
        ({"site": "nowhere", "visitor": "v"}, "unknown site"),
        ({"site": "acme", "customer": "v:8c1f"}, "is a device, .*: --visitor 8c1f"),
    ],
)
def test_a_call_that_names_nobody_is_refused(shop: Shop, named: dict[str, str], told: str) -> None:
    """A variable that a script forgot to set; a name copied from a table."""
    nobody = dict.fromkeys(("site", "visitor", "customer"))

    with pytest.raises(UsageError, match=told):
        subjects_of(shop.home, **{**nobody, **named})
