"""What pages of the known shop must say, by the naive oracle; and what they do say."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from console.blocks import Block, Chart, Empty, Figure, Figures, Page, Table
from console.choices import Choices
from console.published import Shop
from console.questions import Row
from console.reading import Reading
from tests.known import World
from tests.known_home import known_world
from tests.oracle import truth
from tests.oracle_retention import loyalty_truth

Read = Callable[..., Reading]
Build = Callable[[Any, Choices], Page]


@functools.cache
def world() -> World:
    """The known shops."""
    return known_world()


@functools.cache
def answers() -> dict[str, list[Row]]:
    """The oracle's tables of them."""
    tables: dict[str, list[Row]] = truth(world().events, world().sites)
    return {**tables, **loyalty_truth(tables, world().sites)}


def of_acme(table: str) -> list[Row]:
    """The oracle's rows of the first shop."""
    return [row for row in answers()[table] if row["site_id"] == "acme"]


def page_of(build: Build, reading: Reading) -> dict[str, Block]:
    """The blocks of a page by their titles; an empty one by what is missing."""
    return _by_title(build(reading.ask, reading.choices))


def page_if(build: Build, rows: Mapping[str, list[Row]]) -> dict[str, Block]:
    """The page as it were if its questions had these answers, and all others none."""
    shop = Shop("acme", "GBP", "UTC", 30, "2024-01-01", "2024-12-31")
    choices = Choices(shop, "2024-01-01", "2024-12-31", "linear")
    return _by_title(build(lambda name: rows.get(name, []), choices))


def _by_title(page: Page) -> dict[str, Block]:
    return {block.what if isinstance(block, Empty) else block.title: block for block in page.blocks}


def option_of(blocks: Mapping[str, Block], title: str) -> dict[str, Any]:
    """What a chart draws."""
    block = blocks[title]
    assert isinstance(block, Chart)
    return block.option


def rows_of(blocks: Mapping[str, Block], title: str) -> list[Row]:
    """What a table shows."""
    block = blocks[title]
    assert isinstance(block, Table)
    return list(block.rows)


def figures_of(blocks: Mapping[str, Block], title: str) -> dict[str, Figure]:
    """Figures by their labels."""
    block = blocks[title]
    assert isinstance(block, Figures)
    return {figure.label: figure for figure in block.figures}


def series_of(option: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A chart's data by the name of their series."""
    return {each["name"]: each["data"] for each in option["series"] if "name" in each}


def near(value: Any) -> Any:
    """The same number, but for the last digits of a float."""
    return pytest.approx(value, rel=1e-9, abs=1e-9)
