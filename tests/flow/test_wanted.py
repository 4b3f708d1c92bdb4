"""A run that is asked for less computes less, and says the same of what it was asked for."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.flows.attribute import attribute, steps
from pipelines.io.lake import LakeWriter, lake_files
from pipelines.io.ordered import read_batches
from pipelines.transforms import wanted as who_needs_what
from pipelines.transforms.routes import routes
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, wanted
from schemas.events import Pin
from schemas.home import Home
from schemas.models import DEFAULT_MODEL, MODELS
from schemas.settings import Settings, Site
from schemas.tables import RESULTS
from tests.flow.truth import by_name, run_steps, to_rows
from tests.world import simulate

T = 1_711_845_000_000
JOB = ("model_credits", "item_daily")
WORLD = simulate(7)
WHOLE = run_steps(WORLD.events, WORLD.sites)


@pytest.mark.parametrize("table", sorted(RESULTS))
def test_a_table_alone_is_the_table_among_all(table: str) -> None:
    """A dataset forgotten in the list of needs would empty somebody's table."""
    found = run_steps(WORLD.events, WORLD.sites, wanted([table]))

    assert found == {name: rows if name == table else [] for name, rows in WHOLE.items()}


def test_a_forgotten_need_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without touches nobody is credited, and the comparison above sees it."""
    broken = dict(who_needs_what.MADE_OF) | {"order_touches": ()}
    monkeypatch.setattr(who_needs_what, "MADE_OF", broken)

    found = run_steps(WORLD.events, WORLD.sites, wanted(["model_credits"]))

    assert found["model_credits"] != WHOLE["model_credits"]


def test_few_models_are_those_models_of_all(tmp_path: Path) -> None:
    """One who compares two models must not get other money than one who looks at all."""
    home, models, folder = Home(tmp_path), ("first", "linear"), tmp_path / "run"
    folder.mkdir()
    with LakeWriter(home) as writer:
        for name, table in by_name(WORLD.events).items():
            writer.write(name, table, "run")
    settings = Settings(sites=dict(WORLD.sites))

    files = attribute(home, lake_files(home), settings, folder, results=JOB, models=models)

    found: dict[str, list[pa.Table]] = {}
    for file in files:
        found.setdefault(file.table, []).append(pa.Table.from_batches(read_batches(file.path)))
    assert {name: to_rows(name, parts) for name, parts in found.items()} == {
        name: [row for row in WHOLE[name] if row["model"] in models] for name in JOB
    }


def test_columns_that_nobody_wants_stay_behind() -> None:
    """Credit by product must not pay for where a visit came from, nor lose what it is told by."""
    whole, lean = routes(), routes(wanted(JOB))
    left = {name: set(whole[name].schema.names) - set(lean[name].schema.names) for name in whole}

    assert {"match_method", "token_carrier", "source"} < left["pin_visit"]
    assert left["view_item_list"] == {
        "item_list_id",
        "recommender_id",
        "source",
        "user_agent_class",
    }
    assert left["pin"] == {"source", "user_agent_class"}  # credit is told by slot as well
    assert left["chained_touches"] == {"pin_ids"}  # nor for the names of the pins above
    assert not left["purchase"]
    assert not any({"site_id", "event_id", "item_id", KEY} & names for names in left.values())


def test_which_repeat_stands_is_the_same_whatever_is_wanted() -> None:
    """Else a pin would be another's as soon as somebody looked at slots as well."""
    at: dict[str, Any] = {
        "site_id": "acme",
        "event_time_ms": T,
        "received_time_ms": T,
        "visitor_id": "v",
    }
    twice = [
        Pin(**at, event_id="e", pin_id="P", item_id="mug", item_list_id="z", source="server"),
        Pin(**at, event_id="e", pin_id="P", item_id="vase", item_list_id="a", source="file"),
    ]
    sites = {"acme": Site(key="key-of-acme", currency="GBP")}

    every = run_steps(twice, sites)["item_daily"]

    assert every
    assert every == run_steps(twice, sites, wanted(["item_daily"]))["item_daily"]


def test_spheres_bring_the_model_that_they_show() -> None:
    """`credited_micros` of a pinner is credit under the default model, whatever is wanted."""
    assert wanted(["pinner_spheres"], ["first"]).models == ("first", DEFAULT_MODEL)
    assert wanted(["model_credits"], ["first"]).models == ("first",)


def test_stages_of_which_nothing_is_wanted_are_left_out() -> None:
    """Data quality alone needs no cascade, credit and days no sphere."""
    assert "MeasureSpheres" not in steps({}, wanted(["data_quality_daily"]))
    assert "MeasureSpheres" not in steps({}, wanted(JOB))
    assert "CreditPins" in steps({}, wanted(["data_quality_daily", "orders"]))
    assert set(steps({}, EVERYTHING)) == {route.stage for route in routes().values()}


@pytest.mark.parametrize(
    ("results", "models"),
    [(["no_table"], MODELS), (list(RESULTS), ["no_model"])],
)
def test_unknown_wishes_are_refused(results: list[str], models: list[str]) -> None:
    """A mistyped table would be missed only when somebody looks for it."""
    with pytest.raises(ValueError, match="no_"):
        wanted(results, models)
