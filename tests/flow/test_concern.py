"""Whom a change concerns: of all others a continued run need not ask what it tells of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from pipelines.flows.attribute import steps
from pipelines.kernels import ladder
from pipelines.kernels.columns import Bools, Ints, Tables
from pipelines.kernels.multisets import cancel
from pipelines.transforms.order_links import pinners_of
from pipelines.transforms.parts import InParts, Part, codes_of, joined
from schemas.batches import ITEMS
from schemas.events import AnyEvent, Identify, OrderItem, Pin, PinVisit, Purchase, ViewItem
from tests.flow.histories import House
from tests.flow.test_incremental import SITES, at
from tests.flow.test_purity import signed, stages
from tests.flow.truth import run_steps
from tests.strategies import TinyWorld, tiny_worlds


def told(step: InParts, tables: Tables, ids: Ints) -> tuple[Tables, Tables]:
    """What a step tells of some people, and what it says of all of them together."""
    answers = list(step.step([(Part(told=ids), tables)]))
    of_some, of_all = (joined(each for n, each in answers if n == number) for number in (0, 1))
    return of_some, of_all


def all_ids(tables: Tables) -> Ints:
    """Codes of all that a step may be asked for: people, orders, buyers with their pinners."""
    found = [
        codes_of(table) for table in tables.values() if {"person_id", "at"} <= {*table.column_names}
    ]
    if "orders_to_credit" in tables:
        found.append(codes_of(tables["orders_to_credit"], "order_id"))
        found.append(codes_of(pinners_of(tables["chained_touches"]), "pinner_id"))
    return np.unique(np.concatenate(found))


@hypothesis.given(tiny_worlds(max_events=30))
@hypothesis.settings(max_examples=4)
def test_some_people_and_the_others_are_everybody(world: TinyWorld) -> None:
    """Else what is not asked for would not be what stays the same."""
    for name, tables in stages(world):
        step = steps(world.sites)[name]
        if isinstance(step, InParts):
            ids = all_ids(tables)
            halves = [told(step, tables, ids[half::2]) for half in (0, 1)]
            whole = told(step, tables, ids)

            assert signed(*((1, each) for each, _ in halves)) == signed((1, whole[0])), name
            assert all(signed((1, each)) == signed((1, whole[1])) for _, each in halves), name
            assert signed((1, joined(whole))) == signed((1, step(tables))), name


def concerned(step: InParts, old: Tables, new: Tables) -> Ints:
    """Codes of all that the change from one to the other concerns."""
    both = {name: cancel(new[name], old[name]) for name in new}
    added, removed = ({name: each[side] for name, each in both.items()} for side in (0, 1))
    return np.unique(step.concern(added, removed, old, new)(added, removed, old, new))


@hypothesis.given(tiny_worlds(max_events=30), st.sets(st.integers(0, 40), max_size=8))
@hypothesis.settings(max_examples=5)
def test_only_what_is_concerned_is_told_anew(world: TinyWorld, late: set[int]) -> None:
    """Else a table would keep a row that a full run takes out, or miss one."""
    early = [event for place, event in enumerate(world.events) if place not in late]
    before, now = stages(TinyWorld(early, world.sites)), stages(world)
    for (name, old), (_, new) in zip(before, now, strict=True):
        step = steps(world.sites)[name]
        if isinstance(step, InParts):
            ids = concerned(step, old, new)
            asked = [(1, step.told(ids, new)), (-1, step.told(ids, old))]

            assert signed(*asked) == signed((1, step(new)), (-1, step(old))), name


def pin(number: int, parent: int | None) -> Pin:
    """A pin of a person of its own, in the cascade of the first."""
    return Pin(
        event_id=f"p{number}", pin_id=f"p{number}", visitor_id=f"v{number}", item_id="mug",
        parent_pin_id=None if parent is None else f"p{parent}",
        root_pin_id=None if parent is None else "p0", **at(number),
    )  # fmt: skip


# Eve lands on the last pin of a chain, and buys; the pin in its middle comes late.
CHAIN: list[AnyEvent] = [
    pin(0, None), pin(2, 1), pin(3, 2),
    PinVisit(event_id="e1", pin_id="p3", visitor_id="eve", **at(5)),
    PinVisit(event_id="e2", pin_id="p0", visitor_id="fay", **at(5)),
    Purchase(
        event_id="e3", order_id="o", visitor_id="eve", currency="GBP", source="server",
        is_signed=True, items=[OrderItem(item_id="mug", price="10")], **at(6),
    ),
]  # fmt: skip
LATE: list[AnyEvent] = [pin(1, 0)]
# Whoever made the pin above Eve's turns out to be Cleo.
LOGIN: list[AnyEvent] = [Identify(event_id="l", visitor_id="v2", customer_id="cleo", **at(7))]
# Eve buys again, when her landing is long past.
AGAIN: list[AnyEvent] = [
    Purchase(
        event_id="e4", order_id="again", visitor_id="eve", currency="GBP", source="server",
        is_signed=True, items=[OrderItem(item_id="mug", price="10")], **at(2_000),
    ),
]  # fmt: skip


def is_right_after(
    folder: Path, change: Callable[[InParts], InParts], stage: str, late: list[AnyEvent]
) -> bool:
    """Whether the tables are right after something came late, in a second run."""
    house = House(folder, SITES, shards=(1,))
    step = house.steps[stage]
    assert isinstance(step, InParts)
    house.steps[stage] = change(step)
    house.run({"chain": CHAIN})
    try:
        found = house.run({"chain": CHAIN, "late": late})
    except (AssertionError, ValueError):
        return False
    return found == run_steps([*CHAIN, *late], SITES)


def nobody(step: InParts) -> InParts:
    """A step that takes nobody to be concerned."""
    return dataclasses.replace(step, concern=lambda *_: lambda *_: np.zeros(0, np.int64))


@pytest.mark.parametrize("stage", ["MeasureSpheres", "ChainTouches", "CreditPins"])
def test_a_pin_that_comes_late_concerns_all_below_it(tmp_path: Path, stage: str) -> None:
    """Eve was reached by whoever stands above her, from the moment that it is known."""
    assert is_right_after(tmp_path / "right", lambda step: step, stage, LATE)
    assert not is_right_after(tmp_path / "wrong", nobody, stage, LATE)


def test_a_login_that_comes_late_concerns_what_the_pinner_is_owed(tmp_path: Path) -> None:
    """The order is split as before, but Cleo must be paid, and her device no more."""
    assert is_right_after(tmp_path / "right", lambda step: step, "CreditPins", LOGIN)
    assert not is_right_after(tmp_path / "wrong", nobody, "CreditPins", LOGIN)


def test_who_is_not_below_is_not_concerned() -> None:
    """Else one pin more would let a run ask for all that its cascade tells."""
    before = dict(stages(TinyWorld(CHAIN, SITES)))["MeasureSpheres"]
    now = dict(stages(TinyWorld([*CHAIN, *LATE], SITES)))["MeasureSpheres"]
    step = steps(SITES)["MeasureSpheres"]
    assert isinstance(step, InParts)

    found = set(concerned(step, before, now).tolist())

    landed, pins = now["landings_by_root"], now["pins_by_root"]
    people = dict(zip(landed["person_id"].to_pylist(), codes_of(landed).tolist(), strict=True))
    makers = dict(zip(pins["pin_id"].to_pylist(), codes_of(pins).tolist(), strict=True))
    assert {name for name, code in people.items() if code in found} == {
        who for who in people if "eve" in who
    }
    assert {name for name, code in makers.items() if code in found} == {"p1", "p2", "p3"}


@pytest.mark.parametrize(
    ("late", "orders", "pinners"),
    [(LATE, {"o"}, {"v:v0", "v:v1", "v:v2", "v:v3"}), (LOGIN, set(), {"v:v2", "cleo"})],
)
def test_credit_concerns_orders_whose_way_is_another_and_pinners_who_are(
    late: list[AnyEvent], orders: set[str], pinners: set[str]
) -> None:
    """Else a login of one busy pinner would let all orders on her account be split again."""
    before = dict(stages(TinyWorld([*CHAIN, *AGAIN], SITES)))["CreditPins"]
    now = dict(stages(TinyWorld([*CHAIN, *AGAIN, *late], SITES)))["CreditPins"]
    step = steps(SITES)["CreditPins"]
    assert isinstance(step, InParts)

    found = set(concerned(step, before, now).tolist())

    bought = now["orders_to_credit"]
    ties = pa.concat_tables(pinners_of(side["chained_touches"]) for side in (before, now))
    for rows, name, names in ((bought, "order_id", orders), (ties, "pinner_id", pinners)):
        codes = zip(rows[name].to_pylist(), codes_of(rows, name).tolist(), strict=True)
        assert {each for each, code in codes if code in found} == names


def viewed(day: int, item: str = "mug") -> ViewItem:
    """Ann looks at a product, and at another one on the ladder of another list."""
    return ViewItem(
        event_id=f"{item}{day}", visitor_id="ann", item_id=item, item_list_id=item, **at(24 * day)
    )


def is_climbed(folder: Path) -> bool:
    """Whether the ladder is right after a day came between others, and another after them."""
    first: list[AnyEvent] = [viewed(day, item) for item in ("mug", "vase") for day in (0, 20, 90)]
    more: list[AnyEvent] = [viewed(21), viewed(100, "vase")]
    folder.mkdir()
    items = {"acme": str(folder / "items.parquet")}
    pq.write_table(pa.table([["mug", "vase"], ["Cups", "Vases"]], schema=ITEMS), items["acme"])
    house = House(folder, SITES, shards=(1,))
    house.steps = steps(SITES, items=items)
    house.run({"first": first})
    try:
        found = house.run({"first": first, "more": more})
    except (AssertionError, ValueError):
        return False
    return found == run_steps([*first, *more], SITES, items=items)


def test_a_move_is_told_from_the_day_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of who comes again is told where she stood, however long ago; a day less is found out."""

    def short(who: Ints, day: Ints, is_change: Bools) -> Ints:
        kept = right(who, day, is_change)
        return kept[day[kept] >= day[is_change].min(initial=2**31)]

    right = ladder.since_changes
    assert is_climbed(tmp_path / "right")
    monkeypatch.setattr(ladder, "since_changes", short)
    assert not is_climbed(tmp_path / "wrong")
