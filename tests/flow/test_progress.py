"""How far a run is: bars on a real terminal, JSON lines where none is."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import pinsphere
from pipelines import progress
from pipelines.flows.attribute import steps
from pipelines.flows.setup import add_site
from pipelines.io.import_events import import_events
from pipelines.io.import_orders import import_orders
from schemas.home import Home
from tests.terminal import on_a_pipe, on_a_terminal

STAGES = ["ReadLake", *steps({})]
PIN = {"event_name": "pin", "event_id": "1", "visitor_id": "anna", "pin_id": "p"}
VISIT = {"event_name": "pin_visit", "event_id": "2", "visitor_id": "ben", "pin_id": "p"}
ORDERS = "order_id,ordered_at,item_id,quantity,price\n" + "".join(
    f"{number},2026-09-01 10:00:00,mug,2,12.50\n" for number in range(40)
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A shop with 40 orders, a pin and a visit in its lake."""
    home = Home(tmp_path / "home")
    add_site(home, "acme", currency="GBP", time_zone="UTC")
    (tmp_path / "o.csv").write_text(ORDERS)
    import_orders(home, [tmp_path / "o.csv"], site="acme", mapping={})
    events = [each | {"event_time_ms": 1_788_000_000_000} for each in (PIN, VISIT)]
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, events)))
    assert import_events(home, [tmp_path / "e.jsonl"], site="acme").events == 2
    return home


def json_lines(said: str) -> list[dict[str, Any]]:
    """What is said to programs."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def last_screen(said: str) -> list[str]:
    """The bars as they were left: what came after the last line was taken back."""
    text = re.sub(r"\x1b\[2K|\x1b\[1A", "\x00", said).rpartition("\x00")[2]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()


def test_a_terminal_shows_a_bar_for_each_step_and_stage(home: Home) -> None:
    """Who waits for a long run sees which stage it is at, and how far."""
    code, said = on_a_terminal("run", "--shards", "2", "--home", os.fspath(home.path))

    screen = last_screen(said)
    bars = [re.match(r"( *[A-Z][A-Za-z ]+?) +━+ ", line) for line in screen]
    assert code == 0, said
    assert [bar[1] for bar in bars if bar] == [
        *("Draining", "Reading the lake", "Attributing"),
        *(f"  {stage}" for stage in STAGES),
        "Publishing",
    ]
    assert re.search(r"DropDuplicates +━+ +2/2 +42 rows", "\n".join(screen))
    assert "Published run" in said
    assert not re.search(r"^\{", said, re.MULTILINE)


def test_a_pipe_gets_a_line_when_a_stage_begins_and_one_when_it_is_done(home: Home) -> None:
    """A scheduler's log tells which stage was slow, and which one a dead run was at."""
    code, said = on_a_pipe("run", "--shards", "2", "--home", os.fspath(home.path))
    lines = json_lines(said)

    assert code == 0, said
    assert "\x1b" not in said
    for state in ("begun", "done"):
        told = [line["stage"] for line in lines if "stage" in line and line["state"] == state]
        assert told == STAGES
    done = {line.get("stage"): line for line in lines if line.get("state") == "done"}
    assert done["ReadLake"]["rows"] == done["DropDuplicates"]["rows"] == 42
    published = next(line for line in lines if line.get("step") == "Publishing" and "rows" in line)
    assert published["rows"] == sum(lines[-1]["rows"].values())
    assert all(line["seconds"] >= 0 for line in lines if line.get("state") == "done")


def test_the_stage_that_failed_is_named(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: what broke must not be told as done."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.flows.run.publish", fail)
    with pytest.raises(SystemExit):
        pinsphere.main(["run", "--shards", "2", "--home", os.fspath(home.path)])
    lines = json_lines(capsys.readouterr().err)

    states = {line.get("stage") or line["step"]: line["state"] for line in lines}
    assert states.pop("Publishing") == "failed"
    assert set(states.values()) == {"done"}


def test_a_stage_that_begins_ends_the_one_before() -> None:
    """Stages run one after the other; shards without rows never report."""
    told: list[tuple[str, bool]] = []
    progress.restart(lambda task: told.append((task.name, task.seconds is not None)))
    progress.begin("Attributing")
    for stage in ("A", "B"):
        progress.expect(stage, 3)
    progress.tick("A", rows=5)
    progress.tick("A", rows=6)
    progress.tick("B")

    step, first, second = progress.tasks()
    progress.end()

    assert (first.done, first.total, first.rows) == (2, 3, 11)
    assert first.seconds is not None
    assert step.seconds is None
    assert second.seconds is None
    assert told == [
        ("Attributing", False),
        *(("A", False), ("A", True), ("B", False), ("B", True)),
        ("Attributing", True),
    ]
