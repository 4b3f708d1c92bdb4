"""Runs with a catalog of items, on real databases: a function of the lake and of that file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipelines.flows import attribute as honest
from pipelines.flows import run
from pipelines.flows.erase import erase
from pipelines.io.database import open_database
from pipelines.io.erasures import Subject
from pipelines.io.import_items import import_items
from pipelines.transforms.wanted import wanted
from schemas.home import Home
from tests.flow.truth import run_steps
from tests.integration.publishing import SETTINGS, attribute, contents, fill
from tests.made_tables import make_tables
from tests.world import simulate

WORLD = simulate(3, visitors=8, days=90, sites=("acme",))
LADDER = ("ladder_daily", "ladder_moves")
EARLIER = len(WORLD.events) * 2 // 3


def give(home: Home, items: dict[str, str], name: str = "items.csv") -> None:
    """Imports a catalog."""
    lines = ["item_id,item_category", *(f"{item},{kind}" for item, kind in items.items())]
    (home.path / name).write_text("\n".join(lines))
    import_items(home, [home.path / name], site="acme")


def ask(home: Home, sql: str) -> Sequence[tuple[object, ...]]:
    """An answer of the published tables."""
    engine = open_database(home)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(sql))]
    engine.dispose()
    return rows


def tables(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """All published rows."""
    engine = open_database(home)
    found = contents(engine)
    engine.dispose()
    return found


CATEGORIES = """
    SELECT DISTINCT key FROM engagement_ladder
    WHERE site_id = 'acme' AND dimension = 'category' ORDER BY key"""


def test_the_ladder_is_told_by_the_catalog_of_the_run(home: Home) -> None:
    """A changed catalog changes every day of the past, and nothing that is no category."""
    fill(home, WORLD.events)
    first = attribute(home)
    assert ask(home, CATEGORIES) == [("(none)",)]
    before = tables(home)

    give(home, {f"item{n}": f"Category {n % 2}" for n in range(18)})
    second = attribute(home)
    give(home, {"item0": "Category 0"}, "again.csv")  # as it is already
    third = attribute(home)

    assert (second.is_full, second.is_new, third.is_new) == (True, True, False)
    assert len({first.run_id, second.run_id, third.run_id}) == 2
    assert ask(home, CATEGORIES) == [("(none)",), ("Category 0",), ("Category 1",)]
    after = tables(home)
    changed = {name for name, rows in after.items() if rows != before[name]}
    assert changed == {"ladder_daily", "ladder_moves"}
    check_views(home)


def check_views(home: Home) -> None:
    """A probability of 1.2, or people who left next month, would never be believed again."""
    sums = ask(home, """
        SELECT MIN(total), MAX(total) FROM (
          SELECT SUM(probability) AS total FROM ladder_conversion
          GROUP BY dimension, key, month, from_rung) sums""")  # fmt: skip
    directions = ask(home, "SELECT DISTINCT direction FROM ladder_conversion ORDER BY direction")
    ahead = ask(home, """
        SELECT DISTINCT to_rung FROM current_ladder_moves m
        JOIN as_of a ON m.day > a.newest_day""")  # fmt: skip
    shown = ask(home, """
        SELECT COALESCE(SUM(moves), 0) - (
          SELECT SUM(people) FROM current_ladder_moves WHERE day <= (SELECT newest_day FROM as_of))
        FROM ladder_conversion""")  # fmt: skip
    wrong = ask(home, """
        SELECT COUNT(*) FROM (
          SELECT SUM(people) AS active, MAX(people_or_higher) AS highest, SUM(share) AS shares
          FROM engagement_ladder GROUP BY dimension, key, day) days
        WHERE active <> highest OR ABS(shares - 1) > 0.000001""")  # fmt: skip
    top = ask(home, """
        SELECT MAX(people_or_higher - people), MIN(people_or_higher - people)
        FROM engagement_ladder WHERE rung = 'collaboration'""")  # fmt: skip
    assert top == [(0, 0)]
    assert [round(float(str(total)), 9) for total in sums[0]] == [1, 1]
    assert [row[0] for row in directions] == [
        "arrived", "down", "left", "returned", "same", "up",
    ]  # fmt: skip
    assert (ahead, wrong, [int(str(row[0])) for row in shown]) == ([("away",)], [(0,)], [0])


@pytest.fixture
def shop(tmp_path: Path) -> Home:
    """A home directory with SQLite."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    make_tables(Home(tmp_path))
    return Home(tmp_path)


def test_the_ladder_is_kept_up_run_by_run(shop: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a table by the old range and half by the new one would be neither."""
    fill(shop, WORLD.events[:EARLIER], "one")
    old, new = ({f"item{n}": f"{name} {n % 2}" for n in range(9)} for name in ("Old", "New"))
    give(shop, old)

    def update(*args: Any, **options: Any) -> Any:
        give(shop, new, "new.csv")
        return honest.update(*args, **options)

    monkeypatch.setattr(run, "update", update)
    attribute(shop)
    assert ask(shop, CATEGORIES) == [("(none)",), ("Old 0",), ("Old 1",)]
    monkeypatch.undo()
    assert attribute(shop).is_full
    assert ask(shop, CATEGORIES) == [("(none)",), ("New 0",), ("New 1",)]

    fill(shop, WORLD.events[EARLIER:], "two")
    assert not attribute(shop).is_full

    found = tables(shop)
    files = {"acme": str(shop.items / "site=acme.parquet")}
    sites = shop.settings().sites
    said = run_steps(WORLD.events, {"acme": sites["acme"]}, wanted(LADDER), files)
    for name in LADDER:
        assert found[name] == sorted((tuple(row.values()) for row in said[name]), key=str) != []


def test_erasing_a_person_leaves_the_catalog(shop: Home) -> None:
    """It names no person; without it every category of the past would be gone."""
    fill(shop, WORLD.events[:200])
    give(shop, {"item1": "Mugs"})
    file = shop.items / "site=acme.parquet"
    before = file.read_bytes()

    erase(shop, [Subject("acme", "customer", "c1", "request-1", 1)], code_version="test")

    assert file.read_bytes() == before
    assert ask(shop, CATEGORIES) == [("(none)",), ("Mugs",)]
