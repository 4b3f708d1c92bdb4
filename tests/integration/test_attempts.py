"""How the last run ended is noted in the database, whether it published anything or not."""

from typing import Any

import pytest
from sqlalchemy import text

from pipelines.flows import run as flow
from pipelines.io.database import open_database
from schemas.errors import AuditError
from schemas.home import Home
from tests.integration.publishing import attribute, fill, happened


def last_attempt(home: Home) -> dict[str, Any]:
    """What readers see of it."""
    engine = open_database(home)
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM last_attempt")).mappings()
    engine.dispose()
    return dict(row)


def test_every_attempt_is_noted_and_a_failure_keeps_the_last_good_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without news nothing is published: only this row tells such a run from one that is dead."""
    fill(home, happened(21))
    attribute(home)
    first = last_attempt(home)
    assert not attribute(home).is_new
    second = last_attempt(home)

    def broken(*_: object, **__: object) -> None:
        raise AuditError("a text that may name people")

    monkeypatch.setattr(flow, "look_at", broken)
    with pytest.raises(AuditError):
        attribute(home)
    third = last_attempt(home)

    assert (first["is_good"], first["failure"]) == (1, None)
    assert first["good_began_at"] == first["began_at"] <= first["ended_at"] < second["began_at"]
    assert (third["is_good"], third["failure"]) == (0, "AuditError")
    good = ("good_began_at", "good_ended_at", "good_ended_at_utc")
    assert [third[name] for name in good] == [second[name] for name in good]
    assert third["began_at"] > second["ended_at"]
