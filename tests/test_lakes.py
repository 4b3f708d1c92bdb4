"""The generator of benchmark lakes: what is measured on two machines must be the same shop."""

from pathlib import Path

from benchmarks._events import write_day, write_lake


def _files(home: Path) -> dict[str, bytes]:
    lake = home / "lake"
    return {str(path.relative_to(lake)): path.read_bytes() for path in lake.rglob("*.parquet")}


def test_a_day_written_later_is_the_day_of_the_longer_lake(tmp_path: Path) -> None:
    """The incremental benchmark would measure a day that does not belong to its lake."""
    write_lake(tmp_path / "at once", 1_000, days=5)
    write_lake(tmp_path / "in turns", 800, days=4)
    write_day(tmp_path / "in turns", 800, 4, days=4)

    assert _files(tmp_path / "in turns") == _files(tmp_path / "at once")


def test_another_seed_is_another_shop(tmp_path: Path) -> None:
    """Control: equal files must come from equal draws, not from draws that never vary."""
    write_lake(tmp_path / "one", 400, days=2, seed=1)
    write_lake(tmp_path / "two", 400, days=2, seed=2)

    one, two = _files(tmp_path / "one"), _files(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(one[place] != two[place] for place in one)
