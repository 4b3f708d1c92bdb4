"""The page of products says what the known shop knows, on both databases."""

from decimal import ROUND_HALF_UP, Decimal

import pytest

from console.blocks import Empty, Table
from console.pages import products
from console.pages.products import build
from tests.console.known_answers import Read, answers, option_of, page_of, rows_of
from tests.known_home import SCRIPT_ITEM
from tests.oracle_sums import model_credits

CHART = "Where the models disagree"


def test_credit_a_pin_is_rounded_alike_everywhere(reading: Read) -> None:
    """A micro cut off by one database and not by the other is a difference nobody can explain."""
    rows = rows_of(page_of(build, reading(site="acme")), "All products")

    assert any(row["pins"] and row["credited_micros"] % row["pins"] for row in rows)
    for row in rows:
        exact = Decimal(row["credited_micros"]) / row["pins"] if row["pins"] else None
        assert row["credited_per_pin_micros"] == (
            exact if exact is None else exact.quantize(Decimal(1), ROUND_HALF_UP)
        )


@pytest.mark.parametrize("model", ["first", "time_decay"])
def test_the_chart_begins_with_the_leading_product(reading: Read, model: str) -> None:
    """Who reads from the top reads what matters under the model she chose."""
    credit = {
        key: micros
        for (site, dimension, key, of_model), (micros, _) in model_credits(answers()).items()
        if (site, dimension, of_model) == ("acme", "product", model) and micros
    }

    option = option_of(page_of(build, reading(site="acme", model=model)), CHART)

    leading = sorted(credit, key=lambda item: (-credit[item], item))
    assert option["yAxis"]["data"] == leading[:12]


def test_a_search_does_not_call_its_findings_all_products(reading: Read) -> None:
    """A screenshot of it would be handed on as the whole shop."""
    blocks = page_of(build, reading(site="acme", search="PINNED"))

    rows = rows_of(blocks, "Products with 'PINNED' in their name")
    assert [row["item_id"] for row in rows] == [SCRIPT_ITEM]
    assert "All products" not in blocks


def test_a_search_without_a_hit_says_how_to_go_on(reading: Read) -> None:
    """Other days do not help who mistyped a name."""
    (empty,) = page_of(build, reading(site="acme", search="no such")).values()

    assert isinstance(empty, Empty)
    assert empty.what_to_do.startswith("Look for a part of the name")


def test_a_long_list_is_cut_and_says_so(reading: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser with all products of a large shop would stand still."""
    monkeypatch.setattr(products, "_LISTED", 2)

    table = page_of(build, reading(site="acme"))["All products"]

    assert isinstance(table, Table)
    assert len(table.rows) == 2
    assert table.note.startswith("The first 2; all are behind the link.")
