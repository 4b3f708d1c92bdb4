"""A home whose published tables are those of a shop with known answers, for whoever shows them."""

import fcntl
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, insert, select

from pipelines.io.database import open_database, upgrade_database
from schemas.events import AnyEvent
from schemas.home import Home
from schemas.tables import Base
from tests.integration.publishing import SETTINGS, attribute, fill
from tests.known import World
from tests.world import simulate

# Names a shop gets by import or by malice: no page may run the one, no spreadsheet the other.
SCRIPT_ITEM = "<script>alert('pinned')</script>"
FORMULA_ITEM = '=HYPERLINK("http://evil.example","mug")'
_RENAMED = {"item3": SCRIPT_ITEM, "item4": FORMULA_ITEM}


@functools.cache
def known_world() -> World:
    """Two shops over a hundred days; two products of each have hostile names."""
    world = simulate(7, visitors=12, days=100)
    world.events[:] = _renamed(world.events)
    return world


def shared_home(factory: pytest.TempPathFactory) -> Home:
    """The home, shared by all processes of a test run: only read it."""
    base = factory.getbasetemp()
    return build_home((base.parent if base.name.startswith("popen-") else base) / "known-home")


def build_home(folder: Path) -> Home:
    """The home with all that happened there, published; made once, however many ask for it."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = Home(folder / "home")
        if not home.path.exists():
            making = Home(folder / "making")
            making.path.mkdir()
            making.settings_file.write_text(SETTINGS)
            fill(making, known_world().events)
            attribute(making)
            making.path.rename(home.path)
    return home


def copy_tables(source: Home, target: Engine) -> None:
    """All tables of one database into another, empty one: the same run, published there too."""
    upgrade_database(target)
    engine = open_database(source, must_exist=True)
    with engine.connect() as reading, target.begin() as writing:
        for table in Base.metadata.sorted_tables:
            rows = [dict(row) for row in reading.execute(select(table)).mappings()]
            if rows:
                writing.execute(insert(table), rows)
    engine.dispose()


def _renamed(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    return [_with_names(event) for event in events]


def _with_names(record: Any) -> Any:
    changes: dict[str, Any] = {}
    if getattr(record, "item_id", None) in _RENAMED:
        changes["item_id"] = _RENAMED[record.item_id]
    if getattr(record, "items", None):
        changes["items"] = type(record.items)(_with_names(item) for item in record.items)
    return msgspec.structs.replace(record, **changes) if changes else record
