"""Reading given files row by row: CSV, JSON lines and Parquet give the same columns.

Values stay as the file has them (text, or Arrow's numbers and times); parsers give them
their meaning later. What is not even a row (a wrong number of fields, no JSON object) comes
back as broken, with its line number, and the rows around it are read.
"""

import contextlib
import csv
import itertools
import operator
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TextIO

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.io import parquet_values
from pipelines.io.given_files import GivenFile
from pipelines.io.layout import Layout
from schemas.errors import UsageError
from schemas.spool import record_text

CSV_ENDINGS = (".csv", ".tsv", ".txt")
JSONL_ENDINGS = (".jsonl", ".ndjson")
ENDINGS = (*CSV_ENDINGS, *JSONL_ENDINGS, ".parquet")
BOM = b"\xef\xbb\xbf"
_DELIMITERS = (",", ";", "\t")
_CHUNK_ROWS = 65_536


class Broken(NamedTuple):
    """A record that is no row: where it begins, from 1, and why."""

    line: int
    reason: str


@dataclass
class FileRows:
    """The rows of one file.

    `columns`: own name -> [rows] Arrow array (null or "" = missing); `lines`: [rows] line
    number from 1 (Parquet: row number); `broken`: what is no row.
    """

    columns: dict[str, Any]
    lines: npt.NDArray[np.int64]
    broken: list[Broken] = field(default_factory=list)


class _Record(NamedTuple):
    """One record of a text file: its fields, or why it has none."""

    line: int
    fields: Any
    reason: str
    raw: Sequence[str] | bytes

    def text(self) -> str:
        """The record as it came, cut to 16 KiB."""
        if isinstance(self.raw, bytes):
            return record_text(self.raw)
        raw = "".join(self.raw).rstrip("\r\n")
        return record_text(raw.encode("utf-8", "surrogateescape"))


def read_rows(file: GivenFile, layout: Layout, mapping: Mapping[str, str]) -> FileRows:
    """Reads the columns of a layout from one file.

    Args:
      file: CSV, JSON lines or Parquet, by its ending.
      layout: the columns there may be, and those that must.
      mapping: own column name -> the file's; own names not in it are taken if present.

    Raises:
      UsageError: a required or mapped column is not in the file (the text lists those
        that are), or the file as a whole is not of its kind.
    """
    ending = file.path.suffix.lower()
    if ending in CSV_ENDINGS:
        return _read_csv(file, layout, mapping)
    if ending in JSONL_ENDINGS:
        return _read_jsonl(file, layout, mapping)
    return _read_parquet(file, layout, mapping)


def read_records(
    file: GivenFile, layout: Layout, mapping: Mapping[str, str], lines: Collection[int]
) -> dict[int, str]:
    """Line -> the record's text as it came, for the lines asked for; reads the file again."""
    if not lines:
        return {}
    ending = file.path.suffix.lower()
    if ending == ".parquet":
        return _parquet_records(file, layout, mapping, sorted(lines))
    if ending in JSONL_ENDINGS:
        return _texts_at(_json_records(file), lines)
    with _open_csv(file) as (_, records):
        return _texts_at(records, lines)


def _texts_at(records: Iterator[_Record], lines: Collection[int]) -> dict[int, str]:
    return {record.line: record.text() for record in records if record.line in lines}


# CSV -----------------------------------------------------------------------------------------


class _Lines:
    """Lines of a file; those of the record at hand can be given back to be read again."""

    def __init__(self, file: TextIO) -> None:
        self.taken: list[str] = []
        self._file = file
        self._again: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """All but the first line of the record at hand will come again."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


@contextlib.contextmanager
def _open_csv(file: GivenFile) -> Iterator[tuple[list[str], Iterator[_Record]]]:
    """The header, and the records after it, which can be read while the file is open."""
    with file.path.open("rb") as start:
        if start.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise UsageError(f"{file.path} is UTF-16 text; save it as UTF-8 CSV")
    with file.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        first = next((line for line in iter(text.readline, "") if line.strip()), "")
        # The delimiter is the one that makes most columns of the header.
        delimiter = max(_DELIMITERS, key=first.count)
        text.seek(0)
        lines = _Lines(text)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next((fields for fields in reader if "".join(fields).strip()), [])
        except csv.Error as error:
            raise UsageError(f"{file.path}: the header is not CSV: {error}") from None
        if not header:
            raise UsageError(f"{file.path} is empty; its first line must name the columns")
        yield [name.strip() for name in header], _split_csv(lines, reader, len(header))


def _split_csv(lines: _Lines, reader: Any, width: int) -> Iterator[_Record]:
    """The records after the header; lines that are all blank are skipped."""
    line = 1 + len(lines.taken)
    while True:
        lines.taken = []
        fields: list[str] | None = None
        reason = ""
        try:
            fields = next(reader)
        except csv.Error as error:
            reason = f"not a CSV record: {error}"
        except StopIteration:
            return
        if fields is None or len(fields) != width:
            if not "".join(lines.taken).strip():
                line += len(lines.taken)
                continue
            reason = reason or f"the row has {len(fields or ())} fields, the header {width}"
            # A stray quote swallows the lines after it: only the first one is to blame.
            lines.give_back()
            fields = None
        yield _Record(line, fields, reason, lines.taken)
        line += len(lines.taken)


def _read_csv(file: GivenFile, layout: Layout, mapping: Mapping[str, str]) -> FileRows:
    with _open_csv(file) as (header, records):
        chosen = layout.choose(header, mapping, file.name)
        for column in chosen.values():
            if header.count(column) > 1:
                raise UsageError(f"{file.name} has two columns named {column!r}")
        pick = operator.itemgetter(*(header.index(column) for column in chosen.values()))

        def columns_of(rows: list[_Record]) -> list[Any]:
            return [
                _text_array(values)
                for values in zip(*(pick(row.fields) for row in rows), strict=True)
            ]

        return _collect(tuple(chosen), records, columns_of)


def _collect(
    names: Sequence[str],
    records: Iterator[_Record],
    columns_of: Callable[[list[_Record]], list[Any]],
) -> FileRows:
    """Columns of text, made chunk by chunk; rows that cannot be text are broken."""
    broken: list[Broken] = []
    pieces: list[list[Any]] = [[] for _ in names]
    numbers: list[int] = []
    while chunk := list(itertools.islice(records, _CHUNK_ROWS)):
        broken += [Broken(record.line, record.reason) for record in chunk if record.fields is None]
        rows = [record for record in chunk if record.fields is not None]
        try:
            columns = columns_of(rows)
        except (UnicodeEncodeError, TypeError):
            # Someone in the chunk: ask each row by itself.
            good = []
            for row in rows:
                try:
                    columns_of([row])
                except UnicodeEncodeError:
                    broken.append(Broken(row.line, "a value is not UTF-8 text"))
                except TypeError as error:
                    broken.append(Broken(row.line, str(error)))
                else:
                    good.append(row)
            rows, columns = good, columns_of(good)
        numbers += [row.line for row in rows]
        for piece, column in zip(pieces, columns, strict=bool(columns)):
            piece.append(column)
    return FileRows(
        {
            name: pa.chunked_array(piece, pa.string()).combine_chunks()
            for name, piece in zip(names, pieces, strict=True)
        },
        np.array(numbers, np.int64),
        broken,
    )


def _text_array(values: Sequence[str | None]) -> Any:
    return pa.array(values, pa.string())


# JSON lines ----------------------------------------------------------------------------------


def _json_records(file: GivenFile) -> Iterator[_Record]:
    # Numbers with a point stay the text they are: money never passes through a float.
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
    with file.path.open("rb") as lines:
        for line, whole in enumerate(lines, start=1):
            raw = whole.removeprefix(BOM if line == 1 else b"").strip()
            if not raw:
                continue
            try:
                yield _Record(line, decode(raw), "", raw)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                yield _Record(line, None, f"not a JSON object: {error}", raw)


def _read_jsonl(file: GivenFile, layout: Layout, mapping: Mapping[str, str]) -> FileRows:
    there: dict[str, Any] = {}
    names = list(dict.fromkeys(itertools.chain(*layout.candidates(mapping).values())))

    def columns_of(rows: list[_Record]) -> list[Any]:
        for row in rows:
            there.update(row.fields)
        return [_text_array(_texts(name, [row.fields.get(name) for row in rows])) for name in names]

    rows = _collect(names, _json_records(file), columns_of)
    # Which columns there are shows in the rows alone.
    chosen = layout.choose(there, mapping, file.name) if there else {}
    rows.columns = {own: rows.columns[column] for own, column in chosen.items()}
    return rows


def _texts(name: str, values: list[Any]) -> list[str | None]:
    """Values as text, or a TypeError that names one which is neither text nor a number."""
    kinds = set(map(type, values)) - {str, type(None)}
    if not kinds:
        return values
    if kinds != {int}:
        raise TypeError(f"{name} is neither text nor a number")
    return [str(value) if type(value) is int else value for value in values]


# Parquet -------------------------------------------------------------------------------------


def _open_parquet(
    file: GivenFile, layout: Layout, mapping: Mapping[str, str]
) -> tuple[Any, dict[str, str]]:
    try:
        source = pq.ParquetFile(file.path)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file.path} is not a Parquet file: {error}") from None
    return source, layout.choose(source.schema_arrow.names, mapping, file.name)


def _read_parquet(file: GivenFile, layout: Layout, mapping: Mapping[str, str]) -> FileRows:
    source, chosen = _open_parquet(file, layout, mapping)
    table = parquet_values.read_columns(source, file.path, chosen.values())
    columns = {own: parquet_values.decoded(table[column]) for own, column in chosen.items()}
    reasons: dict[int, str] = {}
    for own, column in columns.items():
        parquet_values.check_type(column.type, f"{file.name}: column {chosen[own]!r}")
        reasons = parquet_values.odd_rows(own, column) | reasons
    lines = np.arange(1, table.num_rows + 1)
    is_good = ~np.isin(lines - 1, list(reasons))
    return FileRows(
        {own: parquet_values.plain(c.filter(pa.array(is_good))) for own, c in columns.items()},
        lines[is_good],
        [Broken(row + 1, reason) for row, reason in sorted(reasons.items())],
    )


def _parquet_records(
    file: GivenFile, layout: Layout, mapping: Mapping[str, str], lines: list[int]
) -> dict[int, str]:
    source, chosen = _open_parquet(file, layout, mapping)
    rows = parquet_values.read_columns(source, file.path, chosen.values())
    return {line: parquet_values.record(rows, line - 1) for line in lines}
