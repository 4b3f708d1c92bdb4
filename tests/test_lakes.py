"""The generator of benchmark lakes: what is measured on two machines must be the same shop."""

from pathlib import Path

import pyarrow.parquet as pq

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


def test_ids_are_plain_times_are_differences_and_other_texts_codes(tmp_path: Path) -> None:
    """To read ids through a dictionary of them all takes longer, for larger files."""
    write_lake(tmp_path, 400, days=2)

    found: dict[str, set[str]] = {}
    for path in (tmp_path / "lake").rglob("*.parquet"):
        rows = pq.ParquetFile(path).metadata.row_group(0)
        for place in range(rows.num_columns):
            column = rows.column(place)
            found.setdefault(column.path_in_schema, set()).update(column.encodings)
    coded = {name for name, encodings in found.items() if "RLE_DICTIONARY" in encodings}
    assert coded >= {"site_id", "item_id", "items.list.element.item_id", "page_location"}
    assert coded.isdisjoint({"event_id", "visitor_id", "session_id", "pin_id"})
    assert {name for name in found if "DELTA_BINARY_PACKED" in found[name]} == {
        name for name in found if name.endswith("_time_ms")
    }
