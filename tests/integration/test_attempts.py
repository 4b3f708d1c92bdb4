"""How the last run ended is noted in the database, whether it published anything or not."""

from typing import Any

import pytest
from sqlalchemy import text

from pipelines.flows import run as flow
from pipelines.io.audit import audit, told
from pipelines.io.database import open_database
from schemas.errors import AuditError
from schemas.settings import Home
from tests.integration.publishing import attribute, fill, happened, shown


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


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (
            "UPDATE model_credits SET credited_micros = 1 WHERE dimension = 'site'",
            "a site's credit is what its sales say",
        ),
        (
            "UPDATE landings_daily SET landings = landings + 1 WHERE match_method = 'token'",
            "landings by client are the visits",
        ),
    ],
)
def test_a_sum_of_the_site_that_is_off_by_one_is_found(
    home: Home, change: str, promise: str
) -> None:
    """Totals at the top of a report must be those of the rows below it."""
    fill(home, happened(21))
    attribute(home)
    engine = open_database(home)
    with engine.begin() as connection:
        assert told(audit(connection, shown(engine))) == []
        assert connection.execute(text(change)).rowcount > 0
        broken = told(audit(connection, shown(engine)))
        connection.rollback()
    engine.dispose()

    assert [each.partition(";")[0] for each in broken] == [promise]
