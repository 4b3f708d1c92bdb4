"""The rows behind figures as files: nothing runs, nothing is rounded, nothing is missing."""

import contextlib
import csv
import io
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from console.contents import QUESTIONS
from console.database import Database
from console.exports import file_columns, harmless, write_csv, write_parquet
from console.questions import Question
from console.reading import read
from schemas.home import Home
from tests.known_home import FORMULA_ITEM, SCRIPT_ITEM

ODD = Question(
    "odd",
    "All kinds",
    "SELECT 1",
    {
        "name": "text",
        "day": "day",
        "pins": "count",
        "credited_micros": "money",
        "share": "share",
        "visited_at": "time",
        "is_self": "yes_no",
    },
)
ROWS = [
    {
        "name": "=1+1",
        "day": "2026-11-02",
        "pins": -3,
        "credited_micros": -12_500_001,
        "share": 0.25,
        "visited_at": 1_793_620_800_000,
        "is_self": True,
    },
    dict.fromkeys(ODD.columns),
]


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\xa0=1", "\u3000@x", "\ufeff=1",
        "mug\n=1+1", "mug\r\n  +1", "mug;=1+1", "mug\t-1", "\uff1d1+1", "=cmd|' /C calc'!A0",
    ],
)  # fmt: skip
def test_no_text_is_a_formula(cell: str) -> None:
    """A product's name must not run on the merchandiser's machine."""
    lines = [each.strip("\ufeff ") for each in harmless(cell).replace(";", "\n").splitlines()]

    assert harmless(cell) != cell
    assert harmless(harmless(cell)) == harmless(cell)
    assert not any(line.lstrip("\xa0\u3000\t").startswith(tuple("=+-@\uff1d")) for line in lines)


@pytest.mark.parametrize("cell", ["", "mug", "a-b", "1=1", "anna@shop", "x +1", "mug\nblue", "'="])
def test_other_texts_stay_as_they_are(cell: str) -> None:
    """An id that is changed is found nowhere else."""
    assert harmless(cell) == cell


def test_numbers_stay_numbers_in_csv() -> None:
    """A negative amount is an amount, with all of its micros."""
    file = io.BytesIO()
    write_csv(file, ODD, [ROWS])

    told = file.getvalue()
    assert told.startswith(b"\xef\xbb\xbf")
    assert told.decode("utf-8-sig").splitlines() == [
        "name,day,pins,credited,share,visited_at,is_self",
        "'=1+1,2026-11-02,-3,-12.500001,0.25,2026-11-02T12:00:00Z,yes",
        ",,,,,,",
    ]


def test_parquet_has_types() -> None:
    """Whoever reads it must not guess, and no micro is lost in a float."""
    file = io.BytesIO()
    write_parquet(file, ODD, [ROWS[:1], ROWS[1:]])

    table = pq.read_table(file)
    assert [str(field.type) for field in table.schema] == [
        "string", "date32[day]", "int64", "decimal128(38, 6)", "double", "timestamp[ms, tz=UTC]",
        "bool",
    ]  # fmt: skip
    assert table["day"].to_pylist() == [date(2026, 11, 2), None]
    assert table["name"].to_pylist() == ["=1+1", None]
    assert table["credited"].to_pylist() == [Decimal("-12.500001"), None]
    assert table["visited_at"].cast(pa.int64()).to_pylist()[0] == 1_793_620_800_000


def test_hostile_names_arrive_harmless(console: TestClient) -> None:
    """From the shop's page to the spreadsheet: the formula is a text, the script is a text."""
    answer = console.get("/rows/products.csv")

    items = [row["item_id"] for row in csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff")))]
    assert "'" + FORMULA_ITEM in items
    assert SCRIPT_ITEM in items
    assert answer.headers["content-disposition"] == 'attachment; filename="products.csv"'


def test_the_sql_runs_as_it_is_and_gives_the_same_rows(
    console: TestClient, console_home: Home
) -> None:
    """An analyst takes it from there, in her own tool."""
    with (
        contextlib.closing(Database(console_home)) as database,
        database.snapshot() as connection,
    ):
        ask = read(connection, {}).ask
        for name, question in QUESTIONS.items():
            sql = console.get(f"/rows/{name}.sql").text.rstrip(";\n")
            answer = connection.execute(text(sql.replace(":", r"\:")))
            assert list(answer.keys()) == list(question.columns), name
            assert len(answer.fetchall()) == len(ask(name)), name


def test_all_three_tell_the_same(console: TestClient) -> None:
    """Two files with two answers to one question are worse than one."""
    told = console.get("/rows/overview_sales.csv").text.lstrip("\ufeff")
    table = pq.read_table(io.BytesIO(console.get("/rows/overview_sales.parquet").content))
    page = console.get("/rows/overview_sales").text

    rows = list(csv.DictReader(io.StringIO(told)))
    assert list(rows[0]) == table.column_names == list(file_columns(QUESTIONS["overview_sales"]))
    assert [Decimal(row["credited"]) for row in rows] == table["credited"].to_pylist()
    assert all(f'value="{row["credited"]}"' in page for row in rows)
