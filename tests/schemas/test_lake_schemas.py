"""The lake's Arrow schemas: derived from the event structs, and held against drift."""

from pathlib import Path

import msgspec
import pytest

from schemas.contract import decode_event
from schemas.events import EVENTS
from schemas.lake import lake_schema, to_table
from schemas.money import parse_money
from tests.schemas.examples import example

GOLDEN = Path(__file__).with_name("lake_schemas.txt")


def described() -> str:
    """Names, types and nullability of all columns, one a line.

    `python -m tests.schemas.test_lake_schemas` writes it to the golden file.
    """
    blocks = []
    for name in EVENTS:
        lines = [
            f"  {field.name}: {field.type}{'' if field.nullable else ' not null'}"
            for field in lake_schema(name)
        ]
        blocks.append("\n".join([name, *lines]))
    return "\n\n".join(blocks) + "\n"


def test_no_column_drifts() -> None:
    """Files of last year are read with this year's schema.

    A new nullable column at the end is sound; whatever else changes here breaks a lake.
    """
    assert described() == GOLDEN.read_text()


@pytest.mark.parametrize("event_name", EVENTS)
def test_every_field_has_its_column_with_its_value(event_name: str) -> None:
    """What the beacon took is what a query finds."""
    fields = example(event_name)
    event = decode_event(msgspec.json.encode(fields))

    table = to_table(event_name, [event])

    assert table.schema == lake_schema(event_name)
    table.validate(full=True)
    (row,) = table.to_pylist()
    for name, value in fields.items():
        if isinstance(value, list):
            assert len(row[name]) == len(value)
        elif f"{name}_micros" in row:
            assert row[f"{name}_micros"] == parse_money(value)
        elif name != "event_name":
            assert row[name] == value


@pytest.mark.parametrize("event_name", EVENTS)
def test_what_may_be_left_out_is_null_and_nothing_else_is(event_name: str) -> None:
    """A null where the schema promises none makes a file that no reader opens."""
    required = {
        field.name for field in msgspec.structs.fields(EVENTS[event_name]) if field.required
    }
    # An identify or erase must name somebody, a visit without pin must not be by token.
    kept = required | {"event_name", "customer_id", "match_method"}
    if event_name == "pin_visit":
        kept -= {"pin_id"}
    sparse = {name: value for name, value in example(event_name).items() if name in kept}

    table = to_table(event_name, [decode_event(msgspec.json.encode(sparse))])

    table.validate(full=True)
    for field in table.schema:
        assert field.nullable or table[field.name].null_count == 0, field.name


def test_lines_without_an_id_are_named_by_their_place() -> None:
    """Refunds name lines by id: each line has one in the lake, from "1"."""
    event = decode_event(msgspec.json.encode(example("purchase")))

    (row,) = to_table("purchase", [event]).to_pylist()

    assert row["items"] == [
        {
            "item_id": "mug",
            "quantity": 2,
            "price_micros": 12_340_000,
            "discount_micros": 340_000,
            "line_id": "line-1",
        },
        {
            "item_id": "vase",
            "quantity": 1,
            "price_micros": 1,
            "discount_micros": 0,
            "line_id": "2",
        },
    ]


@pytest.mark.parametrize("event_name", EVENTS)
def test_no_events_are_an_empty_table(event_name: str) -> None:
    """A day without refunds has the columns of one."""
    assert to_table(event_name, []).equals(lake_schema(event_name).empty_table())


if __name__ == "__main__":
    GOLDEN.write_text(described())
