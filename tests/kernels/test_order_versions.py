"""Which statement about an order is the latest, and what it replaces."""

import itertools
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.flows.cuts import FileGroup
from pipelines.flows.reading import read_group
from schemas.errors import LakeError
from schemas.events import AnyEvent, OrderItem, Purchase
from schemas.lake import ADDED_COLUMNS, to_table
from tests.kernels.statements import MICROS, NOON, back, line, lines_of, orders_of, purchase, refund


def told(*items: OrderItem, at: int, updated: int, **fields: Any) -> Purchase:
    """What a shop system told `at` milliseconds after noon of an order changed at `updated`."""
    return purchase(*items, at=at, updated_time_ms=NOON + updated, source="webhook", **fields)


CREATED = told(line("1", "10"), line("2", "5"), at=1, updated=1)
EDITED = told(line("1", "10", 2), at=2, updated=2)


def test_a_late_message_never_overwrites_a_newer_one() -> None:
    """Webhooks overtake each other; the shop says which of them is newer."""
    late = told(line("1", "10"), line("2", "5"), at=9, updated=1)

    assert lines_of([EDITED, late]) == lines_of([EDITED]) == {"1": (20 * MICROS, 0)}


def test_lines_that_an_edit_took_out_are_gone() -> None:
    """A webhook tells the whole order, so what it does not tell is not there."""
    assert lines_of([CREATED, EDITED]) == {"1": (20 * MICROS, 0)}


def test_a_servers_lines_still_add_up() -> None:
    """The control: a server tells the lines that changed."""
    statements = [
        purchase(line("1", "10"), line("2", "5"), at=1),
        purchase(line("1", "10", 2), at=2),
    ]

    assert lines_of(statements) == {"1": (20 * MICROS, 0), "2": (5 * MICROS, 0)}


def test_without_a_word_of_the_shop_the_time_of_receipt_decides() -> None:
    """A deletion has no time of its own; it is newer than what was changed before it came."""
    unsaid = purchase(line("1", "3"), at=5, source="webhook")

    assert lines_of([unsaid, told(line("1", "4"), at=9, updated=4)]) == {"1": (3 * MICROS, 0)}
    assert lines_of([unsaid, told(line("1", "4"), at=9, updated=6)]) == {"1": (4 * MICROS, 0)}


def test_of_two_changes_in_one_second_the_one_received_later_stands() -> None:
    """Shop systems write whole seconds."""
    first = told(line("1", "3"), at=5, updated=1000)
    second = told(line("1", "4"), at=4, updated=1000, event_id="z")

    assert lines_of([first, second]) == {"1": (3 * MICROS, 0)}


def test_what_a_browser_says_of_its_version_is_not_believed() -> None:
    """Else anyone could nail an order that she only claims."""
    nailed = purchase(line("1", "9"), at=1, is_signed=False, updated_time_ms=NOON + 10**9)
    later = purchase(line("1", "4"), at=2, is_signed=False)

    assert lines_of([nailed, later], "browser") == {"1": (4 * MICROS, 0)}


def test_an_order_from_a_webhook_and_a_server_counts_once() -> None:
    """The two name lines differently; the way of the latest statement counts."""
    server = purchase(line("mug", "10"), line("vase", "5"), at=1)

    assert lines_of([server, EDITED]) == {"1": (20 * MICROS, 0)}
    assert lines_of([EDITED, purchase(line("mug", "10"), at=3)]) == {"mug": (10 * MICROS, 0)}


IMPORTED = purchase(line("mug", "9"), at=99, source="file", visitor_id="v-file")


def test_a_file_brings_nothing_back_into_an_order_told_live() -> None:
    """An import is received when somebody runs it: last month's export is not the latest word."""
    for live in (EDITED, purchase(line("1", "10", 2), at=2)):
        assert lines_of([live, IMPORTED]) == {"1": (20 * MICROS, 0)}
        assert [row["visitor_id"] for row in orders_of([live, IMPORTED])] == [None]


def test_a_file_gives_way_to_a_browser_that_counts_only() -> None:
    """A claim counts for nothing beside a signed order, so it cannot silence a file either."""
    claim = purchase(line("1", "4"), at=1, is_signed=False)

    assert lines_of([claim, IMPORTED], "browser") == {"1": (4 * MICROS, 0)}
    assert lines_of([claim, IMPORTED], "both") == {"mug": (9 * MICROS, 0)}
    assert lines_of([claim, IMPORTED], "server") == {"mug": (9 * MICROS, 0)}


def test_where_only_files_tell_of_an_order_the_later_corrects_the_earlier() -> None:
    mended = purchase(line("mug", "8"), line("vase", "5"), at=100, source="file")

    assert lines_of([IMPORTED, mended]) == {"mug": (8 * MICROS, 0), "vase": (5 * MICROS, 0)}


def test_of_live_ways_the_latest_counts_whatever_a_file_says() -> None:
    """The file between them decides nothing."""
    server = purchase(line("mug", "10"), at=100)

    assert lines_of([EDITED, IMPORTED, server]) == {"mug": (10 * MICROS, 0)}
    assert lines_of([purchase(line("mug", "10"), at=1), IMPORTED, EDITED]) == {
        "1": (20 * MICROS, 0)
    }


def test_the_order_keeps_the_time_at_which_it_was_placed() -> None:
    (order,) = orders_of([EDITED, told(line("1", "10"), at=0, updated=3)])

    assert order["at"] == NOON


def test_a_refund_that_was_changed_stands_as_it_was_last() -> None:
    """WooCommerce's cancelled order that is taken up again counts again."""
    cancelled = refund(at=3, updated_time_ms=NOON + 3, refund_id="all", kind="cancel")
    revived = refund(at=4, updated_time_ms=NOON + 4, refund_id="all", amount="0")
    late = refund(at=9, updated_time_ms=NOON + 3, refund_id="all", kind="cancel", event_id="z")

    assert lines_of([EDITED, cancelled]) == {"1": (20 * MICROS, 20 * MICROS)}
    assert lines_of([EDITED, cancelled, revived]) == {"1": (20 * MICROS, 0)}
    assert lines_of([EDITED, late, revived]) == {"1": (20 * MICROS, 0)}


def test_the_order_of_arrival_decides_nothing() -> None:
    statements: list[AnyEvent] = [
        CREATED,
        EDITED,
        told(line("1", "10", 2), line("3", "1"), at=3, updated=3),
        refund(back("1", quantity=1), at=4, updated_time_ms=NOON + 4),
        refund(back("1", quantity=2), at=5, updated_time_ms=NOON + 2),
    ]

    found = [lines_of(order) for order in itertools.permutations(statements)]

    assert found == [{"1": (20 * MICROS, 10 * MICROS), "3": (MICROS, 0)}] * len(found)


def test_files_of_earlier_releases_have_no_versions(tmp_path) -> None:
    """A lake of last year is read on; only the columns that were added may be missing."""
    old, broken = tmp_path / "old.parquet", tmp_path / "broken.parquet"
    table = to_table("purchase", [EDITED])
    pq.write_table(table.drop_columns(sorted(ADDED_COLUMNS & set(table.column_names))), old)
    pq.write_table(table.drop_columns(["visitor_id"]), broken)

    (row,) = read_group(FileGroup("purchase", (str(old),), ""))["purchase"].to_pylist()

    assert (row["order_id"], row["updated_time_ms"]) == ("o1", None)
    with pytest.raises(LakeError, match="visitor_id"):
        read_group(FileGroup("purchase", (str(broken),), ""))
