"""`pinsphere run --every`: round after round, through failures, until it is told to stop."""

import contextlib
import json
import os
import signal
import threading
import time

import pytest

from pinsphere import main
from pipelines.flows.report import Reporter
from pipelines.flows.rounds import repeat, stop_signals
from pipelines.flows.run import RunReport
from schemas.errors import BusyError, UsageError
from schemas.home import Home

REPORT = RunReport(
    run_id="r",
    is_new=True,
    is_full=True,
    drained=0,
    events=0,
    rows={},
    rows_taken_back={},
    unknown_sites=[],
    expired={},
    erasures_waiting=0,
    seconds=1.0,
    peak_memory_mb=1.0,
)


class Rounds:
    """Work that fails as told, takes its time, and stops the loop after so many rounds."""

    def __init__(self, count: int, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.begun: list[float] = []
        self.told: list[Exception] = []
        self.said: list[str] = []
        self.stop = threading.Event()
        self.well_at = 0
        self._count = count
        self._seconds = seconds
        self._error = error

    def __call__(self) -> None:
        self.begun.append(time.monotonic())
        if len(self.begun) == self._count:
            self.stop.set()
        time.sleep(self._seconds)
        if self._error is not None and len(self.begun) != self.well_at:
            raise self._error

    def run(self, every_seconds: float) -> None:
        repeat(self, every_seconds, stop=self.stop, tell_failure=self._tell, tell=self.said.append)

    def _tell(self, error: Exception) -> bool:
        self.told.append(error)
        return isinstance(error, BusyError)


def test_a_round_begins_when_its_time_has_come():
    rounds = Rounds(3)
    rounds.run(0.1)

    assert len(rounds.begun) == 3
    assert rounds.begun[2] - rounds.begun[0] >= 0.2


def test_a_round_longer_than_the_period_is_followed_at_once():
    """It never lies idle while news wait, and never runs twice at a time."""
    rounds = Rounds(3, seconds=0.2)
    rounds.run(0.15)

    assert rounds.begun[2] - rounds.begun[0] >= 0.4
    assert len(rounds.begun) == 3


def test_a_failed_round_is_told_and_the_next_is_tried():
    """A database that is away for a minute costs a minute, not the night."""
    rounds = Rounds(3, error=BusyError("the database is away"))
    rounds.run(0.01)

    assert len(rounds.begun) == 3
    assert [str(error) for error in rounds.told] == ["the database is away"]
    assert rounds.said == []


def test_the_end_of_a_failure_is_told_and_the_next_one_is_news():
    """A night's outage is two lines of the log, not a line a minute; and nobody must guess."""
    rounds = Rounds(4, error=BusyError("the database is away"))
    rounds.well_at = 3
    rounds.run(0.01)

    assert rounds.said == ["going on, after 0 s"]
    assert len(rounds.told) == 2


def test_a_wrong_call_ends_it_at_once():
    """The next round would say the same, and nobody reads the log."""
    rounds = Rounds(3, error=UsageError("unknown Beam option"))
    with pytest.raises(UsageError):
        rounds.run(0.01)

    assert len(rounds.begun) == 1


def test_a_bug_ends_it_with_its_traceback():
    rounds = Rounds(3, error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        rounds.run(0.01)


@pytest.mark.parametrize("every", ["0s", "-5s"])
def test_a_period_that_is_none_is_refused(every, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--every={every}", "--home", str(tmp_path)])

    assert ended.value.code == 2
    assert "--every takes a time such as 60s or 5m" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_insists(number):
    """Whoever presses Ctrl-C twice wants out now, not after a long round."""
    before = signal.getsignal(number)
    with stop_signals() as stop:
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_a_step_is_told_when_it_ends_with_its_own_seconds(capsys):
    """Else the log blames the step after the slow one."""
    with Reporter() as reporter:
        reporter.step("Draining")
        time.sleep(0.05)
        reporter.step("Attributing")
        reporter.finish(REPORT, Home("x"))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [(line["step"], line.get("state")) for line in lines]
    assert told == [
        ("Draining", "begun"),
        ("Draining", "done"),
        ("Attributing", "begun"),
        ("Attributing", "done"),
        ("Done", None),
    ]
    assert lines[1]["seconds"] >= 0.05 > lines[3]["seconds"]


def test_the_step_that_failed_is_told(capsys):
    with contextlib.suppress(BusyError), Reporter() as reporter:
        reporter.step("Draining")
        reporter.step("Attributing")
        raise BusyError

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ends = [(line["step"], line["state"]) for line in lines if "seconds" in line]
    assert ends == [("Draining", "done"), ("Attributing", "failed")]
