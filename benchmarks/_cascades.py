"""Power-law cascades of any size, drawn with a seed: who pins on from where, and who lands."""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._texts import Ints, chosen, constant, event_ids, texts
from pipelines.kernels.cascade import Forest, grow_forest
from pipelines.kernels.landings import Landings
from schemas.home import Home
from schemas.lake import lake_schema

DAY_MS = 86_400_000
EPOCH_MS, SPAN_MS = 1_704_067_200_000, 100 * DAY_MS
LANDINGS_A_PIN = 4.6
_REPIN_SHARE, _AT_ONCE = 0.62, 1_000_000
_SITE = "shop"


class Cascades(NamedTuple):
    """Pins and landings on them, as an engine takes them: cascade after cascade."""

    forest: Forest
    owner: Ints  # [pins] person
    pinned_at: Ints  # [pins]
    landings: Landings


def cascades(pins: int, seed: int = 1) -> Cascades:
    """Draws cascades: six pins in ten are re-pins, and the large grow the faster.

    A re-pin is of a pin drawn from all before it, or else of that one's parent, so that cascades
    and numbers of children both have heavy tails. There are 0.3 pinners and 4.6 landings a pin;
    landings prefer what was pinned on, by people of whom a tenth are pinners. Of more than a
    million pins each million is a world of its own, with the same people.
    """
    draw = np.random.default_rng(seed)
    landings = int(pins * LANDINGS_A_PIN)
    columns = [np.empty(pins, dtype=np.int64) for _ in range(3)]
    landed = [np.empty(landings, dtype=np.int64) for _ in range(3)]
    for low in range(0, pins, _AT_ONCE):
        size = min(_AT_ONCE, pins - low)
        mine = slice(int(low * LANDINGS_A_PIN), int((low + size) * LANDINGS_A_PIN))
        parent, *rest, drawn = _draw(draw, size, mine.stop - mine.start, pins)
        whole = (np.where(parent >= 0, parent + low, -1), *rest)
        for column, values in zip(columns, whole, strict=True):
            column[low : low + size] = values
        for column, values in zip(landed, drawn, strict=True):
            column[mine] = values
        landed[0][mine] += low
    parent, owner, pinned_at = columns
    return Cascades(grow_forest(parent), owner, pinned_at, Landings(*landed))


def _draw(
    draw: np.random.Generator, pins: int, landings: int, of_all: int
) -> tuple[Ints, Ints, Ints, Landings]:
    parent = _parents(draw, pins)
    pinners, people = max(of_all * 3 // 10, 1), of_all * 3
    owner = (pinners * draw.random(pins) ** 1.5).astype(np.int64)
    pinned_at = EPOCH_MS + np.arange(pins) * SPAN_MS // pins
    pin = draw.integers(0, pins, landings)
    pin = np.where((draw.random(landings) < 0.5) & (parent[pin] >= 0), parent[pin], pin)
    is_pinner = draw.random(landings) < 0.1
    person = np.where(
        is_pinner, draw.integers(0, pinners, landings), draw.integers(0, people, landings)
    )
    at = pinned_at[pin] + draw.exponential(3 * DAY_MS, landings).astype(np.int64)
    # Cascade after cascade, and by time within: so the flow hands them over.
    order = np.argsort(grow_forest(parent).root, kind="stable")
    row = np.empty(pins, dtype=np.int64)
    row[order] = np.arange(pins)
    parent = np.where(parent[order] >= 0, row[parent[order]], -1)
    by_pin = np.lexsort((at, grow_forest(parent).root[row[pin]]))
    landed = Landings(row[pin[by_pin]], person[by_pin], at[by_pin])
    return parent, owner[order], pinned_at[order], landed


def _parents(draw: np.random.Generator, pins: int) -> Ints:
    """[pins] row of the parent, -1 for a root; parents come first."""
    before = (draw.random(pins) * np.arange(pins)).astype(np.int64)
    is_root = draw.random(pins) >= _REPIN_SHARE
    is_root[0] = True
    # Who copies takes the parent of the pin drawn, which may be a copy itself.
    copies = ~is_root & ~is_root[before] & (draw.random(pins) < 0.5)
    source = np.where(copies, before, np.arange(pins))
    while not np.array_equal(source, further := source[source]):
        source = further
    return np.where(is_root, -1, before[source])


def hot_cascade(pins: int, landings: int, seed: int = 1) -> Cascades:
    """One cascade of so many pins, and so many landings on it."""
    draw = np.random.default_rng(seed)
    parent = (draw.random(pins) * np.arange(pins)).astype(np.int64)
    parent[0] = -1
    pin = draw.integers(0, pins, landings)
    at = EPOCH_MS + draw.integers(0, SPAN_MS, landings)
    landed = Landings(pin, draw.integers(0, landings, landings), at)
    owner = draw.integers(0, max(pins // 3, 1), pins)
    return Cascades(grow_forest(parent), owner, EPOCH_MS + np.arange(pins), landed)


def write_lake(home: Path, world: Cascades, seed: int = 1) -> None:
    """Writes cascades into a lake, as pins and landings of some hundred days."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "pinsphere.toml").write_text(
        f'[sites.{_SITE}]\nkey = "bench-key"\ncurrency = "GBP"\n', encoding="utf-8"
    )
    draw = np.random.default_rng(seed)
    pin = np.arange(len(world.owner))
    root = np.where(world.forest.parent >= 0, world.forest.root, -1)
    _write(
        home,
        "pin",
        world.pinned_at,
        draw,
        visitor_id=(world.owner, "visitor"),
        pin_id=(pin, "pin"),
        parent_pin_id=(world.forest.parent, "pin"),
        root_pin_id=(root, "pin"),
        item_id=(world.owner % 5_000, "item"),
        pin_mode="button",
    )
    _write(
        home,
        "pin_visit",
        world.landings.at,
        draw,
        visitor_id=(world.landings.person, "visitor"),
        pin_id=(world.landings.pin, "pin"),
        match_method="token",
    )


def _write(home: Path, kind: str, at: Ints, draw: np.random.Generator, **columns: Any) -> None:
    """Writes events by day; a column is one text, or numbers and what they number."""
    day = (at - EPOCH_MS) // DAY_MS
    order = np.argsort(day, kind="stable")
    edges = np.searchsorted(day[order], np.arange(int(day.max()) + 2))
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        mine = order[low:high]
        given = {
            name: constant(of, len(mine)) if isinstance(of, str) else texts(of[0][mine], of[1])
            for name, of in columns.items()
        }
        table = _events(kind, at[mine], draw, given)
        date = np.datetime64(EPOCH_MS + number * DAY_MS, "ms").astype("datetime64[D]")
        folder = Home(home).lake / kind / f"site={_SITE}" / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "all.parquet", compression="zstd")


def _events(kind: str, at: Ints, draw: np.random.Generator, given: dict[str, Any]) -> pa.Table:
    schema, rows = lake_schema(kind), len(at)
    values = {
        "event_id": event_ids(at, draw),
        "event_time_ms": at,
        "received_time_ms": at + 100,
        "schema_version": np.ones(rows, np.int64),
        "site_id": constant(_SITE, rows),
        "source": constant("web_js", rows),
        "user_agent_class": chosen(["human"], np.zeros(rows, np.int64)),
        "consent": constant("granted", rows),
        "is_signed": np.zeros(rows, np.bool_),
        **given,
    }
    columns = [values.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.table(columns, schema=schema)
