"""Importing refunds: from negative quantities and from refund files."""

from pathlib import Path

import pytest

from pipelines.io.import_orders import Imported
from pipelines.io.quarantine import read_rejects
from schemas.home import Home
from tests.integration.order_imports import HEADER, give, make_home, rows


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def test_negative_quantities_are_refunds_of_the_matching_lines(home):
    """The n-th return of an item belongs to its n-th sale."""
    text = f"""{HEADER},discount
o1,2026-03-01 12:00,c1,mug,2,3.50,1
o1,2026-03-01 12:00,c1,mug,3,3.50,
o1,2026-03-05 12:00,c1,mug,-1,3.50,0.25
o1,2026-03-04 12:00,c1,mug,-3,3.50,
"""
    assert give(home, text) == Imported(4, 1, 2, 2, 2, 0)

    later, sooner = sorted(rows(home, "refund"), key=lambda row: -row["event_time_ms"])
    assert (sooner["refund_id"], sooner["order_id"], sooner["kind"]) == (
        *("refund:o1:1772625600000", "o1", "refund"),
    )
    assert sooner["event_time_ms"] == 1_772_625_600_000
    assert (sooner["amount_micros"], later["amount_micros"]) == (None, None)
    assert [*later["items"], *sooner["items"]] == [
        {"line_id": "mug#1", "item_id": "mug", "quantity": 1, "amount_micros": 3_250_000},
        {"line_id": "mug#2", "item_id": "mug", "quantity": 3, "amount_micros": 10_500_000},
    ]


def test_returns_of_different_months_do_not_replace_each_other(home):
    """A shop that exports monthly gets all of its returns counted."""
    sale = f"{HEADER}\no1,2026-03-01 12:00,c1,mug,2,10\no1,2026-03-01 12:00,c1,bowl,1,5\n"
    november = f"{HEADER}\no1,2026-11-05 12:00,c1,mug,-1,10\n"
    december = f"{HEADER}\no1,2026-12-05 12:00,c1,bowl,-1,5\n"
    for text in (sale, november, december, december):
        give(home, text)

    refund_ids = [row["refund_id"] for row in rows(home, "refund")]

    assert len(refund_ids) == len(set(refund_ids)) == 2


def test_a_refund_file_says_items_quantities_or_amounts(home):
    text = """refund_id,order_id,ordered_at,item_id,line_id,quantity,amount,kind
r1,o1,2026-03-01,mug,,1,,return
r1,o1,2026-03-01,cup,7,,2.50,
r2,o1,2026-03-02,,,,3.00,
r2,o1,2026-03-02,,,,1.00,
r3,o1,2026-03-03,,,,-1.00,
r2,o1,2026-03-02,mug,,1,,
r1,o2,2026-03-02,mug,,1,,
r4,o1,2026-03-03,,,1,,
r5,o1,2026-03-03,mug,,,,
"""
    assert give(home, text) == Imported(9, 0, 0, 2, 4, 5)

    first, second = rows(home, "refund")
    assert first["kind"] == "return"
    assert first["items"] == [
        {"line_id": "mug#1", "item_id": "mug", "quantity": 1, "amount_micros": None},
        {"line_id": "7", "item_id": "cup", "quantity": None, "amount_micros": 2_500_000},
    ]
    assert (second["kind"], second["items"], second["amount_micros"]) == ("refund", [], 4_000_000)
    assert [reject.reason for reject in read_rejects(home)] == [
        (
            "a negative amount is given back (quantity None, price None, amount -1000000 micros);"
            " refunds are positive"
        ),
        (
            "refund_id 'r2' has another way of refunding (items or one amount) in an earlier row"
            " than 'items'"
        ),
        "refund_id 'r1' has another order in an earlier row than 'o2'",
        "refund 'r4' has a quantity but no item_id or line_id",
        "refund 'r5' has neither amount nor quantity",
    ]
