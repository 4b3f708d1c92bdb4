"""The flow and DuckDB's SQL of the benchmark answer alike: two programs, one set of rules."""

from pathlib import Path

import pytest

from benchmarks import _duckdb, _flow
from benchmarks._events import write_lake
from benchmarks.attribution import Answers, differences, read_answers

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 36 days, so that some touches are older than the window."""
    home = tmp_path_factory.mktemp("shop")
    write_lake(home, 6_000, days=36)
    return home


@pytest.fixture(scope="module")
def by_flow(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    out = tmp_path_factory.mktemp("flow")
    _flow.answer(home, out)
    return read_answers(out)


def _by_duckdb(home: Path, out: Path) -> Answers:
    _duckdb.answer(home, out)
    return read_answers(out)


def test_the_flow_credits_and_counts_as_duckdb_does(
    home: Path, by_flow: Answers, tmp_path: Path
) -> None:
    """A shop that checks our figures with a query of its own would trust none of them."""
    assert differences("6k", {"DuckDB": _by_duckdb(home, tmp_path), "flow": by_flow}) == []


def test_a_window_half_a_day_too_short_is_seen(
    home: Path, by_flow: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: if this passed as equal, the comparison would compare nothing."""
    window = 30 * 24 * HOUR_MS
    short = _duckdb.PATHS.replace(str(window), str(window - 12 * HOUR_MS))
    monkeypatch.setattr(_duckdb, "PATHS", short)

    assert differences("6k", {"DuckDB": _by_duckdb(home, tmp_path), "flow": by_flow})
