"""The oracle's acts, which it tells from both sides, as the flow passes them on."""

from collections.abc import Iterable
from typing import Any

from schemas.batches import ACTS

Row = dict[str, Any]


def as_acts(rows: Iterable[Row]) -> list[Row]:
    """ACTS: nobody on the other side, and a name of its own for what one had to be known for.

    What others did with her is hers as far as a rung is made of it.
    """
    acts = []
    for row in rows:
        is_of_another = row["other_id"] not in {None, row["person_id"]}
        if row["act"] not in {"visited", "credit"}:
            name = "re-pin" if row["act"] == "pin" and is_of_another else row["act"]
            acts.append({column: row.get(column) for column in ACTS.names} | {"act": name})
    return acts


def as_credits(rows: Iterable[Row]) -> list[Row]:
    """Credit of others' orders, each at its time."""
    return [
        {
            "site_id": row["site_id"], "person_id": row["person_id"], "at": row["at"],
            "credited_micros": row["amount_micros"],
        }
        for row in rows
        if row["act"] == "credit" and row["other_id"] != row["person_id"]
    ]  # fmt: skip


def as_meetings(rows: Iterable[Row]) -> list[Row]:
    """MEETINGS: what was done at another's pins, both being known."""
    return [
        {
            "site_id": row["site_id"], "host_id": row["other_id"],
            "guest_id": row["person_id"], "at": row["at"],
        }
        for row in rows
        if row["act"] in {"visit", "pin"} and row["other_id"] not in {None, row["person_id"]}
    ]  # fmt: skip
