"""The engagement ladder of the flow against the oracle's, and against a story told by hand."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from pipelines.transforms.wanted import wanted
from schemas.batches import ITEMS
from schemas.events import AnyEvent, Engage, Pin, PinVisit, ViewItem
from schemas.ladder import RUNG_OF
from schemas.settings import Site
from tests.flow.truth import Rows, run_steps
from tests.oracle import truth
from tests.oracle_ladder import RUNGS, ladder_of
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

TABLES = ("ladder_daily", "ladder_moves")
DAY_MS = 86_400_000
Catalogs = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes catalogs as an import leaves them; gives the files."""

    def write(items: Catalogs) -> dict[str, str]:
        folder, paths = tmp_path_factory.mktemp("items"), {}
        for site, categories in items.items():
            path = folder / f"site={site}.parquet"
            columns = [list(categories), list(categories.values())]
            pq.write_table(pa.table([pa.array(each) for each in columns], schema=ITEMS), path)
            paths[site] = str(path)
        return paths

    return write


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, Any]]]:
    return sorted(sorted(row.items()) for row in rows)


def wanted_of(events: Sequence[AnyEvent], sites: Mapping[str, Site], items: Catalogs) -> Rows:
    """What the oracle says."""
    acts = truth(events, sites)["acts"]
    tables: Rows = {name: [] for name in TABLES}
    for site_id, site in sites.items():
        own = [act for act in acts if act["site_id"] == site_id]
        for name, rows in ladder_of(own, site, items.get(site_id, {})).items():
            tables[name] += [{"site_id": site_id, **row} for row in rows]
    return tables


def compare(world: Any, sites: Mapping[str, Site], items: Catalogs, files: dict[str, str]) -> Rows:
    found = run_steps(world.events, sites, wanted(TABLES), files)
    said = wanted_of(world.events, sites, items)
    for name in TABLES:
        assert in_order(found[name]) == in_order(said[name]), name
    return found


@hypothesis.given(
    tiny_worlds(), st.sampled_from(("UTC", "America/New_York", "Asia/Kolkata")), st.integers(1, 3)
)
@hypothesis.settings(max_examples=15)
def test_the_ladder_is_what_the_rules_say(
    catalogs: Any, world: TinyWorld, zone: str, days: int
) -> None:
    """Adversarial little worlds: re-pins of oneself, shared devices, days of other zones."""
    sites = {
        name: msgspec.structs.replace(site, time_zone=zone, away_after_days=days + place)
        for place, (name, site) in enumerate(world.sites.items())
    }
    items = {"acme": {"mug": "Mugs"}, "bolt": {"mug": "Cups", "vase": "Vases"}}

    compare(world, sites, items, catalogs(items))


def test_a_simulated_shop_climbs_as_the_rules_say(catalogs: Any) -> None:
    """Two months of two shops: every rung is reached, and people go up, down and away."""
    world = simulate(3)
    items = {"acme": {f"item{n}": f"Category {n % 3}" for n in range(15)}}
    sites = {
        name: msgspec.structs.replace(world.sites[name], time_zone=zone, away_after_days=days)
        for name, zone, days in (("acme", "America/New_York", 14), ("bolt", "Asia/Kolkata", 20))
    }

    found = compare(world, sites, items, catalogs(items))

    of_acme = [row for row in found["ladder_moves"] if row["site_id"] == "acme"]
    pairs = {(row["from_rung"], row["to_rung"]) for row in of_acme if row["dimension"] == "all"}
    rungs = {row["rung"] for row in found["ladder_daily"]}
    assert len(rungs) == 4
    assert {("curation", "collaboration"), ("collaboration", "consumption")} <= pairs
    assert {("new", "consumption"), ("creation", "away")} <= pairs
    assert "away" in {before for before, _ in pairs}
    assert {row["key"] for row in of_acme if row["dimension"] == "category"} == {
        "Category 0", "Category 1", "Category 2", "(none)",
    }  # fmt: skip


def test_every_act_is_on_the_rung_that_the_rules_say() -> None:
    """One vote taken for a review makes a creator of everybody who votes."""
    assert {act: rung for rung, acts in RUNGS.items() for act in acts} == RUNG_OF


def test_a_new_catalog_is_no_other_lake(catalogs: Any) -> None:
    """What is told without categories must not depend on them."""
    world = simulate(2)
    one, other = (
        run_steps(world.events, world.sites, wanted(TABLES), catalogs({"acme": items}))
        for items in ({"item1": "One"}, {"item1": "Two", "item2": "Two"})
    )

    for name in TABLES:
        rest = [
            [row for row in found[name] if row["dimension"] != "category"] for found in (one, other)
        ]
        assert rest[0] == rest[1] != []
        assert one[name] != other[name]


MARCH_MS = 1_772_323_200_000  # 2026-03-01, UTC
PAGE = Path(__file__).parents[2] / "docs" / "ladder.md"


def story() -> list[AnyEvent]:
    """The example of docs/ladder.md, as events."""
    mug: dict[str, Any] = {"item_id": "mug"}
    shown = mug | {"item_list_id": "home_recs"}
    told: list[tuple[int, str, type[Any], dict[str, Any]]] = [
        (0, "ann", ViewItem, shown),
        (0, "ann", Pin, {"pin_id": "p1", **shown}),
        (1, "ben", PinVisit, {"pin_id": "p1"}),
        (1, "ben", ViewItem, {"item_id": "vase"}),
        (2, "ben", Pin, {"pin_id": "p2", "parent_pin_id": "p1", "root_pin_id": "p1", **mug}),
        (2, "ann", Engage, {"activity": "review", "item_id": "vase"}),
        (4, "ann", ViewItem, mug),
        (42, "ben", ViewItem, mug),
    ]
    return [
        kind(
            event_id=f"e{place}",
            site_id="acme",
            event_time_ms=MARCH_MS + day * DAY_MS + place,
            visitor_id=who,
            **fields,
        )
        for place, (day, who, kind, fields) in enumerate(told)
    ]


def shown_in_the_example() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Each result table of the page, by the table it shows rows of."""
    example = PAGE.read_text().split("## An example")[1]
    for block in example.split("\n\n"):
        if not block.startswith("| dimension |"):
            continue
        head, _, *rows = (
            [cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()
        )
        name = "ladder_daily" if "rung" in head else "ladder_moves"
        yield name, [dict(zip(head, row, strict=True)) for row in rows]


def test_the_example_is_what_the_flow_gives(catalogs: Any) -> None:
    """Who computes along with the page must come to the numbers of the tables."""
    sites = {"acme": Site(key="key-of-acme", currency="GBP")}
    files = catalogs({"acme": {"mug": "Mugs", "vase": "Vases"}})

    found = run_steps(story(), sites, wanted(TABLES), files)

    shown = dict(shown_in_the_example())
    assert list(shown) == list(TABLES)
    for name, rows in shown.items():
        ladders = {(row["dimension"], row["key"]) for row in rows}
        same = [
            {column: str(row[column]) for column in rows[0]}
            for row in found[name]
            if (row["dimension"], row["key"]) in ladders
        ]
        assert in_order(same) == in_order(rows), name
