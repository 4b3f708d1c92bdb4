"""A sum that is off by a micro, or by one, is found by the checks of every run."""

from sqlalchemy import text

from pipelines.io.audit import audit, told
from pipelines.io.database import open_database
from schemas.home import Home
from tests.integration.publishing import attribute, fill, happened, shown

CLUB = "the whole fan club has all pinners' credit, of all sales"
CHANGES = {
    "UPDATE fan_clubs SET credited_micros = credited_micros + 1 WHERE top_percent = 100": CLUB,
    "UPDATE fan_clubs SET sales_micros = sales_micros + 1 WHERE top_percent = 100": CLUB,
    "UPDATE model_credits SET credited_micros = credited_micros + 1 WHERE dimension = 'site'": (
        "a site's credit is what its sales say"
    ),
    "UPDATE landings_daily SET landings = landings + 1": "landings by client are the visits",
}


def test_a_sum_that_is_off_by_one_is_found(home: Home) -> None:
    """`pinsphere db check` traces totals back to the rows below them."""
    fill(home, happened(21))
    attribute(home)
    engine = open_database(home)
    run = shown(engine)
    with engine.connect() as connection:
        assert told(audit(connection, run)) == []
        for change, promise in CHANGES.items():
            assert connection.execute(text(change)).rowcount > 0
            broken = told(audit(connection, run))
            connection.rollback()

            assert [each.partition(";")[0] for each in broken] == [promise], change
    engine.dispose()
