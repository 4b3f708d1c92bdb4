"""A question's rows as files: CSV for spreadsheets, Parquet for programs, and the SQL itself."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import IO, Any

from console.questions import TEXTS, Question, Row
from console.values import machine_value
from schemas.money import MICROS

BATCH_ROWS = 10_000
# A cell that begins so is run as a formula; also behind blanks, on a cell's other lines, and where
# a spreadsheet takes something else than the comma for the end of a cell.
_FORMULA = re.compile(
    r"(^|\r\n|[\r\n;\t])((?:[^\S\r\n\t]|[\ufeff\u200b])*)(?=[=+\-@\t\r\uff0b\uff0d\uff1d\uff20])"
)


def file_columns(question: Question) -> dict[str, str]:
    """Names of the columns in files, with their kinds: money is decimal there."""
    return {
        name.removesuffix("_micros") if kind == "money" else name: kind
        for name, kind in question.columns.items()
    }


def write_csv(file: IO[bytes], question: Question, batches: Iterable[list[Row]]) -> None:
    """Writes CSV that spreadsheets open as what it is: UTF-8 by its mark, texts never formulas."""
    file.write("\ufeff".encode())
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(file_columns(question))
    kinds = list(question.columns.values())
    for rows in batches:
        for row in rows:
            cells = zip(row.values(), kinds, strict=True)
            writer.writerow([_cell(value, kind) for value, kind in cells])
        file.write(lines.getvalue().encode())
        lines.seek(0)
        lines.truncate()
    file.write(lines.getvalue().encode())


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return ""
    text = machine_value(value, kind)
    return harmless(text) if kind in TEXTS else text


def harmless(text: str) -> str:
    """A text no spreadsheet runs: an apostrophe goes before what would begin a formula."""
    return _FORMULA.sub(r"\1'\2", text)


def write_parquet(file: IO[bytes], question: Question, batches: Iterable[list[Row]]) -> None:
    """Writes Parquet with exact money, UTC times and real days."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "money": pa.decimal128(38, 6),
        "count": pa.int64(),
        "time": pa.timestamp("ms", "UTC"),
        "day": pa.date32(),
        "number": pa.float64(),
        "share": pa.float64(),
        "yes_no": pa.bool_(),
    }
    columns = file_columns(question)
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns.items()])
    with pq.ParquetWriter(file, schema) as writer:
        for rows in batches:
            arrays = [
                pa.array(
                    [_decimal(row[name]) if kind == "money" else row[name] for row in rows]
                ).cast(field.type)
                for (name, kind), field in zip(question.columns.items(), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _decimal(micros: int | None) -> Decimal | None:
    return None if micros is None else Decimal(micros) / MICROS


def sql_text(question: Question, values: Mapping[str, str | int]) -> str:
    """The SQL that made the rows, to be run as it is."""
    notes = [f"-- {question.title}"]
    if any(kind == "money" for kind in question.columns.values()):
        notes.append("-- _micros: money in millionths of the currency unit")
    return "\n".join([*notes, question.filled(values).strip("\n") + ";", ""])
