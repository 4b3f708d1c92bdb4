"""Pinners and the people they reached: what cascades and orders say of a pair is one row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.kernels.columns import Tables
from pipelines.transforms import sphere_tables, stage
from pipelines.transforms.meet import meet_people
from pipelines.transforms.routes import routes
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.sphere_tables import pairs_of
from pipelines.transforms.wanted import wanted
from schemas.events import PinVisit
from tests.flow.histories import House, large_from
from tests.flow.test_incremental import SITES, at
from tests.flow.test_parts import viral
from tests.flow.truth import run_steps

ROUTES, SPHERES = routes(), wanted(["pinner_spheres"])
# Ann reached Bob in two cascades and in none reached Eve, who bought; Cleo reached him as well.
REACH = [
    ("ann", "bob", 2, 1, 0, 50, 10),
    ("ann", "bob", 1, 3, 1, 40, 15),
    ("ann", "bob", 3, 1, 0, 40, 30),
    ("ann", "dan", 1, 1, 0, 60, 70),
    ("cleo", "bob", 1, 1, 0, 40, 20),
]
INFLUENCE = [("ann", "bob", 7), ("ann", "eve", 8)]


def given(name: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of a dataset of one site, as the stage is given them."""
    names = ROUTES[name].schema.names[1:-1]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], names=names)
    return ROUTES[name].conform(table.append_column("site_id", pa.array(["acme"] * len(rows))))


def edges(tables: Tables) -> set[tuple[Any, ...]]:
    """Edges as told, and the delay that `PAIRS` has beside them."""
    pairs = meet_people(tables, SITES, SPHERES)["pairs"]
    rows = pairs.drop_columns(["site_id", "person", KEY]).to_pylist()
    return {tuple(row.values()) for row in rows}


TOLD = {
    ("ann", "bob", 1, 5, 1, 7, 40, 10),
    ("ann", "dan", 1, 1, 0, 0, 60, 0),
    ("cleo", "bob", 1, 1, 0, 0, 40, 20),
}


def test_a_pair_is_the_least_hop_all_visits_and_the_first_landing() -> None:
    """Two cascades through which she reached him must not make him two people."""
    assert edges({"reach": given("reach", REACH), "influence": given("influence", INFLUENCE)}) == (
        TOLD
    )


def test_pairs_of_one_key_are_told_apart_by_their_names() -> None:
    """A hash that two pairs share would else give one's orders to the other."""
    tables = {"reach": given("reach", REACH), "influence": given("influence", INFLUENCE)}
    alike = {
        name: table.drop_columns([KEY]).append_column(KEY, pa.array([1] * len(table)))
        for name, table in tables.items()
    }

    assert edges(alike) == TOLD


def test_pairs_find_their_pinners_by_a_hash_that_must_not_lie() -> None:
    """Whose sphere a pair is in is told by her pins: nobody else may be taken for her."""
    tables = {"reach": given("reach", REACH), "influence": given("influence", INFLUENCE)}
    pairs = meet_people(tables, SITES, SPHERES)["pairs"]
    own_pins = pa.table({"site_id": ["acme", "acme"], "pinner_id": ["cleo", "ann"]})

    found = pairs_of(pairs, own_pins)

    names = found.pinners["pinner_id"].take(pa.array(found.pinner))
    assert names.to_pylist() == pairs["pinner_id"].to_pylist()
    with pytest.raises(ValueError, match="nobody knows"):
        pairs_of(pairs, own_pins.slice(1))


def test_two_pinners_of_one_hash_fail_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in 2**64 pairs: better no tables than one pinner's people in another's sphere."""
    tables = {"reach": given("reach", REACH), "influence": given("influence", INFLUENCE)}
    own_pins = pa.table({"site_id": ["acme", "acme"], "pinner_id": ["cleo", "ann"]})
    monkeypatch.setattr(sphere_tables, "hash_rows", lambda *_: np.zeros(2, dtype=np.uint64))

    with pytest.raises(ValueError, match="two with the same hash"):
        pairs_of(meet_people(tables, SITES, SPHERES)["pairs"], own_pins)


def test_a_number_that_pairs_have_no_room_for_fails_the_run() -> None:
    """Cut off, two billion visits would be some other number of visits."""
    ann, bob = REACH[0][:2]
    tables = {
        "reach": given("reach", [(ann, bob, 1, 2**31, 0, 50, 10)]),
        "influence": given("influence", INFLUENCE),
    }

    with pytest.raises(pa.ArrowInvalid, match="2147483648 not in range"):
        ROUTES["pairs"].conform(meet_people(tables, SITES, SPHERES)["pairs"])


def test_a_day_looks_up_the_pairs_that_it_touches(tmp_path: Path) -> None:
    """A pinner who reached everybody must not cost everybody for one visitor more."""
    house = House(tmp_path, SITES, shards=(1,))
    house.run({"viral": viral(40)})
    news = [PinVisit(event_id="late", pin_id="p3", visitor_id="v-late", **at(200))]

    found = house.run({"viral": viral(40), "news": news})

    assert house.touched["MeetPeople"] == 4 + 1  # each pinner above, and a meeting with the last
    assert found == run_steps([*viral(40), *news], SITES)


def test_a_step_takes_parts_only_if_all_that_it_is_given_comes_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays in the first part would be missing beside all of the others."""
    house = House(tmp_path, SITES, shards=(1,))
    house.routes["influence"] = house.routes["influence"]._replace(most_rows=0)
    monkeypatch.setattr(stage, "parts_for", large_from(10, 7))

    with pytest.raises(TypeError, match="MeetPeople is given datasets in parts"):
        house.run({"viral": viral(40)})
