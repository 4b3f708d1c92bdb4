"""What incremental runs rest on: a step over whole key groups is the sum of its parts."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pipelines.flows.attribute import steps
from pipelines.kernels.columns import Tables, ints
from pipelines.kernels.multisets import add_up, fingerprints, negated
from pipelines.transforms.deduplicate import with_derived
from pipelines.transforms.routes import routes
from pipelines.transforms.shuffle import KEY
from schemas.events import EVENTS, Identify, PinVisit
from schemas.lake import lake_schema
from schemas.results import result_schema
from schemas.settings import Site
from schemas.tables import RESULTS
from tests.flow.truth import by_name
from tests.strategies import TinyWorld, tiny_worlds

ROUTES = routes()


def conform(name: str, table: pa.Table) -> pa.Table:
    """A table as the next stage or the database gets it."""
    if name in ROUTES:
        return ROUTES[name].conform(table)
    schema = result_schema(name)
    return table.select(schema.names).cast(schema)


def stages(world: TinyWorld) -> Iterator[tuple[str, Tables]]:
    """Every stage's name, and what it is given."""
    given = {name: lake_schema(name).empty_table() for name in EVENTS} | by_name(world.events)
    waiting = {name: conform(name, with_derived(name, table)) for name, table in given.items()}
    for stage, step in steps(world.sites).items():
        tables = {
            name: waiting.get(name, route.schema.empty_table())
            for name, route in ROUTES.items()
            if route.stage == stage
        }
        yield stage, tables
        for name, table in step(tables).items():
            if name not in RESULTS:
                rows = conform(name, table)
                waiting[name] = pa.concat_tables([*filter(None, [waiting.get(name)]), rows])


def signed(*answers: tuple[int, Tables]) -> dict[str, Counter[int]]:
    """The rows of answers, each so often: sums added up, and what amounts to nothing left out."""
    found: dict[str, Counter[int]] = {}
    for name in {name for _, tables in answers for name in tables}:
        sums = ROUTES[name].sums if name in ROUTES else ()
        counts = found.setdefault(name, Counter())
        if sums:
            parts = [
                conform(name, tables[name])
                if sign > 0
                else negated(conform(name, tables[name]), sums)
                for sign, tables in answers
            ]
            answer = [(1, add_up(pa.concat_tables(parts), sums))]
        else:
            answer = [(sign, conform(name, tables[name])) for sign, tables in answers]
        for sign, table in answer:
            for print_ in fingerprints(table).tolist():
                counts[print_] += sign
    return {name: Counter({key: n for key, n in each.items() if n}) for name, each in found.items()}


@hypothesis.given(tiny_worlds(max_events=30), st.integers(2, 3))
@hypothesis.settings(max_examples=12)
def test_a_step_on_whole_keys_is_the_sum_of_its_parts(world: TinyWorld, parts: int) -> None:
    """Else a key that nothing touched would have had to be computed anew."""
    for stage, tables in stages(world):
        step = steps(world.sites)[stage]
        cut = [
            {
                name: table.filter(pa.array(ints(table[KEY]) % parts == part))
                for name, table in tables.items()
            }
            for part in range(parts)
        ]

        assert signed((1, step(tables))) == signed(*((1, step(part)) for part in cut)), stage


def cut_rows(stage: str, tables: Tables, world: TinyWorld, row_wise: str) -> bool:
    """Whether halves of one dataset, each beside all of the others, say what the whole says."""
    step, table = steps(world.sites)[stage], tables[row_wise]
    half = np.arange(len(table)) % 2 == 0
    one, other = ({**tables, row_wise: table.filter(pa.array(each))} for each in (half, ~half))
    rest = {**tables, row_wise: table.slice(0, 0)}
    names = {name for name in step(tables) if not (name in ROUTES and ROUTES[name].sums)}
    answers = [(1, one), (1, other), (-1, rest), (-1, tables)]
    found = signed(
        *((sign, {n: t for n, t in step(part).items() if n in names}) for sign, part in answers)
    )
    return not any(found.values())


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.is_row_wise])
@hypothesis.given(world=tiny_worlds(max_events=30))
@hypothesis.settings(max_examples=5)
def test_rows_of_a_row_wise_dataset_know_nothing_of_each_other(name: str, world: TinyWorld) -> None:
    """Else one more landing would change what others of the same pin say."""
    for stage, tables in stages(world):
        if stage == ROUTES[name].stage:
            assert cut_rows(stage, tables, world, name)


def test_logins_do_know_of_each_other() -> None:
    """The control: a dataset that is not row-wise is found out by the same test."""
    who: dict[str, Any] = {"site_id": "acme", "visitor_id": "v", "event_time_ms": 1}
    world = TinyWorld(
        [
            Identify(event_id="e1", customer_id="ann", **who),
            Identify(event_id="e2", customer_id="bob", **who),
            PinVisit(event_id="e3", pin_id="p", **who),
        ],
        {"acme": Site(key="key-of-acme", currency="GBP")},
    )
    tables = dict(stages(world))["StitchVisitors"]

    assert cut_rows("StitchVisitors", tables, world, "landings")
    assert not cut_rows("StitchVisitors", tables, world, "logins")
