"""The shuffle: rows go out by shard and come back whole, and Beam adds no meaning."""

import contextlib
import dataclasses
import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.flows.cuts import shards_for
from pipelines.io.lake import LakeFile
from pipelines.io.ordered import read_batches
from pipelines.kernels.columns import Tables
from pipelines.kernels.hashing import hash_rows
from pipelines.transforms.lanes import on_threads
from pipelines.transforms.shuffle import (
    KEY,
    RESULTS_TAG,
    Piece,
    Route,
    Shuffle,
    Step,
    Through,
    gather,
    read_pieces,
    scatter,
)
from pipelines.transforms.stage import MANIFEST_TAG, RunStage, _StageFn

WORDS = pa.schema(
    [("site_id", pa.string()), ("word", pa.string()), ("uses", pa.int64()), (KEY, pa.int64())]
)
TOTALS = pa.schema([("word", pa.string()), ("total", pa.int64())])
KEYED_TOTALS = TOTALS.append(pa.field(KEY, pa.int64()))
KEYS = ("site_id", "word")


class Word(NamedTuple):
    """A row of the datasets below."""

    site_id: str
    word: str | None
    uses: int


ROWS = st.lists(
    st.builds(
        Word,
        st.sampled_from(["a", "b"]),
        st.none() | st.sampled_from(["", "x", "y", "zebra", "\U0001f4cc"]),
        st.integers(-9, 9),
    ),
    max_size=30,
)


@contextlib.contextmanager
def shuffled(shards: int, through: Through = "files") -> Iterator[Shuffle]:
    """A shuffle of two datasets in a folder of its own, which appears with the first piece."""
    with tempfile.TemporaryDirectory() as folder:
        yield Shuffle(
            folder=str(Path(folder) / "run"),
            results_folder=str(Path(folder) / "run" / "results"),
            shards={"Count": shards, "Report": 2},
            routes={
                "words": Route("Count", KEYS, WORDS),
                "more_words": Route("Count", KEYS, WORDS),
                "totals": Route("Report", ("word",), KEYED_TOTALS),
            },
            results={"report": (TOTALS, ("word", "total"))},
            stages=("Count", "Report"),
            through=through,
        )


def words(rows: Sequence[Word]) -> pa.Table:
    """The rows as a table, with a column that no route asks for."""
    table = pa.Table.from_pylist([row._asdict() for row in rows], WORDS.remove(3))
    return table.append_column("scratch", pa.array([None] * len(rows), pa.int64()))


def cut(table: pa.Table, edges: Sequence[int]) -> list[pa.Table]:
    """The table in batches, cut at these rows."""
    places = [0, *sorted(min(edge, len(table)) for edge in edges), len(table)]
    return [table.slice(low, high - low) for low, high in itertools.pairwise(places)]


def by_shard(shuffle: Shuffle, batches: Sequence[Tables]) -> dict[int, list[Piece]]:
    """Scatters batches; the pieces of each shard, as a group-by gives them."""
    pieces: dict[int, list[Piece]] = {}
    for tables in batches:
        for tag, (shard, own) in scatter(shuffle, shuffle.conform(tables)):
            assert {shuffle.routes[piece.dataset].stage for piece in own} == {tag}
            pieces.setdefault(shard, []).extend(own)
    return pieces


def counted(table: pa.Table) -> Counter[Word]:
    """Rows without their order."""
    return Counter(Word(**row) for row in table.select(Word._fields).to_pylist())


@given(
    ROWS,
    st.sampled_from([1, 2, 4, 8]),
    st.lists(st.integers(0, 30), max_size=4),
    st.sampled_from(["files", "runner"]),
)
@settings(max_examples=60)
def test_every_row_lands_once_and_rows_of_a_key_together(
    rows: list[Word], shards: int, edges: list[int], through: Through
) -> None:
    """A lost row is lost money; a key in two shards is an order credited twice."""
    table = words(rows)
    with shuffled(shards, through) as shuffle:
        pieces = by_shard(shuffle, [{"words": batch} for batch in cut(table, edges)])
        found = {shard: gather(own, shuffle.given("Count")) for shard, own in pieces.items()}

    assert sum((counted(tables["words"]) for tables in found.values()), Counter()) == Counter(rows)
    for shard, tables in found.items():
        assert 0 <= shard < shards
        assert tables["words"].schema == WORDS
        assert tables["more_words"].equals(WORDS.empty_table())
        keys = [tables["words"][key] for key in KEYS]
        hashes = hash_rows(*keys)
        assert (hashes % np.uint64(shards)).tolist() == [shard] * len(tables["words"])
        assert hashes.view(np.int64).tolist() == tables["words"][KEY].to_pylist()


@given(ROWS, ROWS, st.sampled_from([1, 2, 4]))
@settings(max_examples=40)
def test_datasets_of_one_stage_meet_by_key_and_stay_apart(
    some: list[Word], others: list[Word], shards: int
) -> None:
    """Refunds must come to the shard of their order, and not become orders."""
    with shuffled(shards) as shuffle:
        pieces = by_shard(shuffle, [{"words": words(some), "more_words": words(others)}])
        found = [gather(own, shuffle.given("Count")) for own in pieces.values()]

    homes: dict[tuple[str, str], set[int]] = {}
    for place, tables in enumerate(found):
        for row in [*counted(tables["words"]), *counted(tables["more_words"])]:
            if row.word is not None:
                homes.setdefault((row.site_id, row.word), set()).add(place)
    assert all(len(places) == 1 for places in homes.values())
    assert sum((counted(tables["words"]) for tables in found), Counter()) == Counter(some)
    assert sum((counted(tables["more_words"]) for tables in found), Counter()) == Counter(others)


def test_the_order_of_pieces_means_nothing() -> None:
    """A group-by gives its values in any order; a retry gives another one."""
    table = words([Word("a", "x", number) for number in range(9)])
    with shuffled(1) as shuffle:
        (pieces,) = by_shard(shuffle, [{"words": each} for each in cut(table, [3, 6])]).values()
        one = gather(pieces, shuffle.given("Count"))
        other = gather(reversed(pieces), shuffle.given("Count"))

    assert len(pieces) == 3
    assert one == other


def test_a_result_is_one_sorted_file() -> None:
    """A database appends sorted rows instead of searching for their places."""
    table = pa.table({"total": [1, 3, 2], "word": ["b", "a", "a"], "scratch": [0, 0, 0]})
    with shuffled(4) as shuffle:
        ((tag, (shard, (piece,))),) = scatter(shuffle, shuffle.conform({"report": table}))
        rows = pa.Table.from_batches(read_batches(piece.path))

    assert (tag, shard, piece.dataset, piece.rows) == (RESULTS_TAG, 0, "report", 3)
    assert rows.schema == TOTALS
    assert rows.to_pydict() == {"word": ["a", "a", "b"], "total": [2, 3, 1]}


def test_a_shuffle_through_the_runner_shares_no_files() -> None:
    """Its workers may have no storage in common."""
    with shuffled(4, "runner") as shuffle:
        pieces = by_shard(shuffle, [{"words": words([Word("a", "x", 1), Word("b", "y", 2)])}])

        assert {piece.path for own in pieces.values() for piece in own} == {""}
        assert not Path(shuffle.folder).exists()


def test_a_shard_gets_one_element_of_all_datasets_of_a_stage() -> None:
    """What Beam does for an element costs as much as thousands of rows."""
    row = words([Word("a", "x", 1)])
    with shuffled(4) as shuffle:
        ((tag, (_, pieces)),) = scatter(shuffle, shuffle.conform({"words": row, "more_words": row}))

    assert (tag, [piece.dataset for piece in pieces]) == ("Count", ["words", "more_words"])


def test_empty_tables_leave_no_file() -> None:
    """Thousands of empty files would cost more than the rows."""
    with shuffled(4) as shuffle:
        nothing = shuffle.conform({"words": words([]), "report": TOTALS.empty_table()})
        assert list(scatter(shuffle, nothing)) == []
        assert not Path(shuffle.folder).exists()


def test_a_table_without_a_route_is_refused() -> None:
    """A misspelt dataset must not vanish."""
    with shuffled(1) as shuffle, pytest.raises(KeyError, match="wrods"):
        shuffle.conform({"wrods": words([Word("a", "x", 1)])})


def test_a_piece_with_another_number_of_rows_is_refused() -> None:
    """A file cut short by a full disk must stop the run, not shrink it."""
    with shuffled(1) as shuffle:
        ((piece,),) = by_shard(shuffle, [{"words": words([Word("a", "x", 1)] * 3)}]).values()

        with pytest.raises(ValueError, match="3 rows, not 4"):
            gather([piece._replace(rows=4)], shuffle.given("Count"))


def test_a_piece_whose_file_ends_before_it_is_refused() -> None:
    """What a failing disk has cut off must not be taken for a shard without rows."""
    with shuffled(1) as shuffle:
        ((piece,),) = by_shard(shuffle, [{"words": words([Word("a", "x", 1)] * 3)}]).values()
        os.truncate(piece.path, piece.start)

        with pytest.raises(ValueError, match="0 rows, not 3"):
            gather([piece], shuffle.given("Count"))


@pytest.mark.parametrize("through", ["files", "runner"])
def test_pieces_of_a_file_are_read_in_any_order(through: Through) -> None:
    """A later run takes some shards of an earlier one: of each file some pieces, not all."""
    with shuffled(8, through) as shuffle:
        pieces = by_shard(shuffle, [{"words": words([Word("a", word, 1) for word in "abcdefghi"])}])
        wanted = [own[0] for own in pieces.values()][:0:-2]
        found = list(read_pieces(wanted, shuffle.routes["words"]))
        alone = [next(read_pieces([piece], shuffle.routes["words"])) for piece in wanted]

    assert len(found) > 1
    assert found == alone


def total(tables: Tables) -> Tables:
    """A step: sums by word over both datasets, for the next stage and as a result."""
    both = pa.concat_tables([tables["words"], tables["more_words"]])
    sums = both.group_by("word", use_threads=False).aggregate([("uses", "sum")])
    named = sums.rename_columns({"uses_sum": "total"})
    return {"totals": named, "report": named}


def run_beam(shuffle: Shuffle, batches: Sequence[Tables], step: Step) -> dict[str, list[Any]]:
    """RunStage over batches: the rows of each dataset it gives, and in how many files."""
    pieces = [
        (reference[0] % shuffle.lanes, reference)
        for tables in batches
        for _, reference in scatter(shuffle, shuffle.conform(tables))
    ]
    before = set(Path(shuffle.folder).glob("*/*"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        outputs = pipeline | beam.Create(pieces) | RunStage("Count", step, shuffle)
        assert set(outputs) == {"Report", MANIFEST_TAG}
    rows: dict[str, list[Any]] = {"totals": [], "report": []}
    for path in set(Path(shuffle.folder).glob("*/*")) - before:
        if path.parent.name == "given":
            continue
        if path.parent.name == "results":
            rows["report"] += pa.Table.from_batches(read_batches(str(path))).to_pylist()
        else:
            with pa.OSFile(str(path)) as file:
                rows["totals"] += pa.ipc.open_stream(file).read_all().drop(KEY).to_pylist()
    return {name: sorted(each, key=str) for name, each in rows.items()}


@pytest.mark.parametrize(
    ("shards", "lanes", "edges"), [(1, 1, []), (4, 1, [7]), (8, 1, [1, 2, 20]), (8, 3, [4])]
)
def test_pipeline_gives_what_the_step_gives(shards: int, lanes: int, edges: list[int]) -> None:
    """Beam adds distribution, not meaning: same rows however the batch is cut and dealt."""
    # One site: then the key of the shuffle is the step's.
    rows = [Word("a", word, number) for number, word in enumerate(["x", "y", "zebra"] * 9)]
    some, others = words(rows), words(rows[5:11])
    whole = total({"words": some, "more_words": others})

    with shuffled(shards) as dealt_to_one:
        shuffle = dataclasses.replace(dealt_to_one, lanes=lanes)
        batches: list[Tables] = [{"words": batch} for batch in cut(some, edges)]
        found = run_beam(shuffle, [*batches, {"more_words": others}], total)

    for name, table in whole.items():
        assert found[name] == sorted(table.select(TOTALS.names).to_pylist(), key=str)


def test_what_shards_give_is_written_together() -> None:
    """Files of a few rows for each shard would cost more than the rows, in every later run too."""
    with shuffled(4) as shuffle:
        pieces = by_shard(shuffle, [{"words": words([Word("a", word, 1) for word in "abcdefg"])}])
        references = [(shard, tuple(own)) for shard, own in pieces.items()]
        list(_StageFn("Count", total, shuffle).process((0, references)))
        files = list(Path(shuffle.folder, "pieces").glob("totals-*"))

    assert len(pieces) > 1
    assert len(files) == 1


@pytest.mark.parametrize(
    ("is_kept", "lanes", "are_left"), [(False, 1, False), (True, 1, True), (False, 2, True)]
)
def test_pieces_go_when_nobody_will_read_them(is_kept: bool, lanes: int, are_left: bool) -> None:
    """A later run reads those that are kept, and another worker its part of the same files."""
    with shuffled(4) as kept:
        shuffle = dataclasses.replace(kept, is_kept=is_kept, lanes=lanes)
        pieces = by_shard(shuffle, [{"words": words([Word("a", word, 1) for word in "abcdefg"])}])
        references = [(shard, tuple(own)) for shard, own in pieces.items()]
        stage = _StageFn("Count", total, shuffle)
        list(stage.process((0, [each for each in references if each[0] % lanes == 0])))
        given = {path.name.split("-")[0] for path in Path(shuffle.folder, "pieces").iterdir()}

    assert given == ({"words", "totals"} if are_left else {"totals"})


def test_each_stage_is_cut_by_the_size_of_what_comes_to_it() -> None:
    """Orders are few: cut like events they would travel in crumbs that cost more than rows."""

    def files(size: int) -> list[LakeFile]:
        return [
            LakeFile(name, "a", "2024-01-01", Path(), size * part)
            for name, part in (("pin_visit", 100), ("purchase", 1))
        ]

    few, many = (shards_for(files(size)) for size in (1_000, 10_000_000))

    assert set(few.values()) == {1}
    assert many["SettleOrders"] < many["StitchVisitors"] < many["DropDuplicates"]
    assert all(number.bit_count() == 1 for number in many.values())
    assert set(shards_for(files(1_000), 5).values()) == {8}


def test_threads_keep_the_order_of_their_elements() -> None:
    """Which shard is done first is chance, and must decide nothing."""

    def waited(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    assert list(on_threads(waited, [0.02, 0])) == [0.02, 0]


def test_what_fails_on_a_thread_fails_the_run() -> None:
    """A shard that is left out is revenue that is left out."""
    with pytest.raises(ZeroDivisionError):
        list(on_threads(lambda number: 1 / number, [1, 0, 2]))


def test_a_dataset_for_an_earlier_stage_is_refused() -> None:
    """A loop in the wiring would wait for itself; it is found on the first row."""

    def give_back(tables: Tables) -> Tables:
        return {"more_words": tables["words"]}

    with shuffled(1) as shuffle, pytest.raises(Exception, match="to Count, not a later stage"):
        run_beam(shuffle, [{"words": words([Word("a", "x", 1)])}], give_back)
