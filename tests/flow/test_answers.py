"""Kept answers: a stage of whole sites is asked once a run, and what it said is right."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.kernels.columns import Tables
from pipelines.transforms import answers, changes
from pipelines.transforms.shuffle import Route
from schemas.events import AnyEvent, Pin
from tests.flow.histories import House
from tests.flow.test_incremental import SITES, STORY, at
from tests.flow.truth import run_steps

REPIN = Pin(event_id="e5", pin_id="q", parent_pin_id="p", visitor_id="cleo", **at(4))
AGAIN = Pin(event_id="e6", pin_id="r", parent_pin_id="q", visitor_id="dora", **at(5))
LAKES: list[dict[str, list[AnyEvent]]] = [
    {"story": STORY},
    {"story": STORY, "repin": [REPIN]},
    {"story": STORY, "repin": [REPIN], "again": [AGAIN]},
]
SITE_STAGES = ("MeasureLoyalty", "RankPinners")


def asked(house: House) -> list[str]:
    """The stages of whole sites, one entry for each time that they are asked from now on."""
    calls: list[str] = []
    for stage in SITE_STAGES:

        def step(tables: Tables, stage: str = stage, honest: object = house.steps[stage]) -> Tables:
            calls.append(stage)
            return honest(tables)  # type: ignore[operator]

        house.steps[stage] = step
    return calls


def test_a_stage_of_whole_sites_is_asked_once_a_run(tmp_path: Path) -> None:
    """The graph of a large shop takes seconds: for what it said before there is a file."""
    house = House(tmp_path, SITES)
    calls = asked(house)
    for lake in LAKES:
        calls.clear()

        found = house.run(lake)

        assert sorted(calls) == sorted(SITE_STAGES)
        assert found == run_steps([event for events in lake.values() for event in events], SITES)


def test_what_was_before_is_not_built_where_its_answer_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides of a large shop, which no step is asked about, took half of the run's memory."""
    house = House(tmp_path, SITES)
    house.run(LAKES[0])
    built: set[str] = set()
    honest = changes._affected

    def affected(routes: Mapping[str, Route], *given: Any) -> tuple[Tables, Tables]:
        built.update(route.stage for route in routes.values())
        return honest(routes, *given)

    monkeypatch.setattr(changes, "_affected", affected)

    house.run(LAKES[1])

    assert "Summarize" in built
    assert built.isdisjoint(SITE_STAGES)


def test_an_answer_that_is_lost_is_asked_for_again(tmp_path: Path) -> None:
    """A restored database continues a run whose answers are no longer kept."""
    house = House(tmp_path, SITES)
    house.run(LAKES[0])
    house.run(LAKES[1])
    shutil.rmtree(tmp_path / "1" / "answers")
    calls = asked(house)

    found = house.run(LAKES[2])

    assert sorted(calls) == sorted(2 * SITE_STAGES)
    assert found == run_steps([*STORY, REPIN, AGAIN], SITES)


def test_an_answer_that_was_not_given_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: kept answers decide what is taken back."""
    house = House(tmp_path, SITES)
    house.run(LAKES[0])
    honest = answers._read

    def forgetful(file: Path) -> dict[str, pa.Table]:
        return {name: table.slice(1) for name, table in honest(file).items()}

    monkeypatch.setattr(answers, "_read", forgetful)

    with pytest.raises(AssertionError, match="a row is there already"):
        house.run(LAKES[1])


def test_a_site_that_is_gone_takes_its_answers_along(tmp_path: Path) -> None:
    """A shop whose files were removed has no graph, and what comes later begins anew."""
    house = House(tmp_path, SITES)
    for lake in (LAKES[1], {}, LAKES[0]):
        found = house.run(lake)
        assert found == run_steps([event for events in lake.values() for event in events], SITES)
