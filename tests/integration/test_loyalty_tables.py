"""Fan club and retention in the database: their views agree."""

from sqlalchemy import Connection, text

from pipelines.io.database import open_database
from schemas.home import Home
from tests.integration.publishing import attribute, fill, happened


def rows(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    """An answer of the database."""
    return [tuple(row) for row in connection.execute(text(sql))]


def test_the_views_on_loyalty_say_one_thing(home: Home) -> None:
    """Two views with two figures for one question, and nobody believes either."""
    fill(home, happened(21))
    attribute(home)
    engine = open_database(home)
    with engine.connect() as connection:
        club = "SELECT site_id, top_percent, pinners, credited_micros, share_of_sales FROM fan_club"
        curve = """
            SELECT site_id, top_percent, pinners, amount_micros, share_of_sales FROM lorenz_curve
            WHERE model = 'time_decay' AND ranked_by = 'credited' AND top_percent IN (1, 5, 10)"""
        assert sorted(rows(connection, club)) == sorted(rows(connection, curve)) != []

        whole = """
            SELECT DISTINCT share_of_all FROM lorenz_curve
            WHERE top_percent = 100 AND share_of_all IS NOT NULL"""
        assert rows(connection, whole) == [(1,)]
        ties = "SELECT SUM(people) FROM relationship_depth WHERE depth = 'reached'"
        edges = "SELECT COUNT(*) FROM current_sphere_edges"
        assert rows(connection, ties) == rows(connection, edges)
        first = "SELECT DISTINCT active_share FROM retention WHERE months_since = 0"
        assert rows(connection, first) == [(1,)]
        pinners = """
            SELECT site_id, SUM(people) FROM retention
            WHERE population = 'pinners' AND months_since = 0 GROUP BY site_id ORDER BY site_id"""
        spheres = """
            SELECT site_id, COUNT(*) FROM pinner_sphere GROUP BY site_id ORDER BY site_id"""
        assert rows(connection, pinners) == rows(connection, spheres)
    engine.dispose()
