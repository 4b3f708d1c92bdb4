"""Pages of pinners and of pins: what they say is what happened, whatever the database."""

import re
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from console.app import build_app
from console.database import Database
from console.guard import Door
from console.pages.cascade import top as top_pin
from console.pages.pinner import top as top_pinner
from console.reading import read
from schemas.home import Home
from tests.console.known_answers import of_acme, world
from tests.console.shown import links, micros, rows, value


def spheres() -> dict[str, dict[int, set[str]]]:
    """Whom the four of widest reach in acme reached, by hop, as the simulator planted it."""
    found = {pinner: hops for (site, pinner), hops in world().reach.items() if site == "acme"}
    largest = sorted(found, key=lambda name: -sum(map(len, found[name].values())))
    return {pinner: found[pinner] for pinner in largest[:4]}


def passers(pinner: str) -> dict[str, str | None]:
    """Who passed on to whom in a sphere: each chain walked up by hand from each landing."""
    pins = {row["pin_id"]: row for row in of_acme("pins")}
    landings = [(row["pin_id"], row["person_id"], row["visited_at"]) for row in of_acme("visits")]
    landings += [(p["parent_pin_id"], p["person_id"], p["pinned_at"]) for p in pins.values()]
    first: dict[str, tuple[int, int, str, str | None]] = {}
    for pin_id, person, at in landings:
        hop, above, passer = 1, pins.get(pin_id), None
        while above is not None and above["person_id"] != pinner:
            passer = passer or above["person_id"]
            hop, above = hop + 1, pins.get(above["parent_pin_id"])
        if above is not None and person not in {None, pinner}:
            found = (hop, at, pin_id, passer)
            first[person] = min(first.get(person, found), found, key=lambda each: each[:3])
    return {person: found[3] for person, found in first.items()}


def test_rings_have_as_many_marks_as_the_sphere_has_people(console: TestClient) -> None:
    """The picture is the promise: one mark, one person; so say the figures beside it."""
    for pinner, hops in spheres().items():
        page = console.get("/pinner", params={"site": "acme", "pinner": pinner}).text
        marks = page.partition('<g class="marks">')[2].partition("</svg>")[0]

        told = Counter(int(hop) for hop in re.findall(r", hop (\d+), [^<]*</title>", marks))
        assert told == {hop: len(people) for hop, people in hops.items() if people}
        assert value(page, "Reach") == str(sum(told.values()))
        assert value(page, "Depth") == str(max(told))


def test_everybody_stands_below_who_passed_it_on(console: TestClient) -> None:
    """A merchandiser thanks the people in the middle: these must be the ones who did it."""
    some = False
    for pinner in spheres():
        found = rows(console, "pinner_people", pinner=pinner)

        assert {row["person_id"]: row["passer_id"] or None for row in found} == passers(pinner)
        counted = Counter(row["passer_id"] for row in found if row["passer_id"])
        table = rows(console, "pinner_passers", pinner=pinner)
        assert {
            row["person_id"]: int(row["people"]) for row in table if row["people"] != "0"
        } == counted
        some |= len(counted) > 1
    assert some


def test_figures_of_a_pinner_are_the_oracles(console: TestClient) -> None:
    """Reach and revenue are those that counting by hand gives."""
    edges = defaultdict(list)
    for edge in of_acme("sphere_edges"):
        edges[edge["pinner_id"]].append(edge)
    pins = Counter(row["person_id"] for row in of_acme("pins"))
    for sphere in of_acme("pinner_spheres"):
        pinner = sphere["pinner_id"]
        if pinner not in spheres():
            continue
        (told,) = rows(console, "pinner", pinner=pinner)
        hops = rows(console, "pinner_hops", pinner=pinner)

        assert micros(told, "influenced") == sphere["influenced_micros"]
        assert micros(told, "credited") == sphere["credited_micros"]
        assert int(told["reach_total"]) == len(edges[pinner]) == sum(int(h["people"]) for h in hops)
        assert sum(micros(hop, "influenced") for hop in hops) == sphere["influenced_micros"]
        assert len(rows(console, "pinner_pins", pinner=pinner)) == pins[pinner]


@pytest.mark.parametrize("model", ["time_decay", "first"])
def test_every_micro_of_a_cascade_is_traced(console: TestClient, model: str) -> None:
    """The figure, the orders and the rows of the ledger are the same money."""
    credited: Counter[str] = Counter()
    for row in of_acme("order_credits"):
        if row["model"] == model and row["pin_id"] is not None:
            credited[row["pin_id"]] += row["credit_micros"]
    root_of = {row["pin_id"]: row["root_pin_id"] for row in of_acme("pins")}
    by_root: Counter[str] = Counter()
    for pin_id, amount in credited.items():
        by_root[root_of[pin_id]] += amount
    assert len(by_root) > 3
    for pin_id, amount in credited.most_common(3):
        choices = {"pin": pin_id, "model": model}
        page = console.get("/cascade", params={"site": "acme", **choices}).text
        traced, orders = (rows(console, q, **choices) for q in ("pin_credits", "cascade_orders"))

        assert f"{model}: {amount:,} micros in {len(traced):,} rows" in page
        assert sum(int(row["micros"]) for row in traced) == amount
        assert sum(micros(row, "pin_credit") for row in orders) == amount
        of_all = sum(int(row["micros"]) for row in rows(console, "cascade_credits", **choices))
        assert sum(micros(row, "cascade_credit") for row in orders) == of_all
        assert of_all == by_root[root_of[pin_id]]


def test_a_pin_without_credit_shows_that_of_its_cascade(console: TestClient) -> None:
    """Who looks at the wrong pin of a chain is still led to the orders."""
    credits = [row for row in of_acme("order_credits") if row["model"] == "last"]
    credited = {row["pin_id"] for row in credits}
    root_of = {row["pin_id"]: row["root_pin_id"] for row in of_acme("pins")}
    roots = {root_of[pin_id] for pin_id in credited if pin_id}
    asked = min(pin for pin, root in root_of.items() if root in roots and pin not in credited)

    page = console.get("/cascade", params={"site": "acme", "model": "last", "pin": asked}).text

    assert "Each micro of its credit" in page
    assert "last: 0 micros in 0 rows" in page


def test_a_cascade_draws_all_of_its_pins(console: TestClient) -> None:
    """Small cascades are drawn whole, and the pin that was asked for stands out."""
    pins = of_acme("pins")
    size = Counter(row["root_pin_id"] for row in pins)
    for root, count in size.most_common(3):
        asked = max(row["pin_id"] for row in pins if row["root_pin_id"] == root)
        page = console.get("/cascade", params={"site": "acme", "pin": asked}).text

        marks = page.partition('<g class="marks">')[2].partition("</g>")[0]
        assert marks.count("<circle") == count
        assert re.findall(r'class="asked" [^>]*><title>pin (\S+) of', marks) == [asked]


def test_pinners_are_found_and_ordered_by_the_server(console: TestClient) -> None:
    """A search means its text, be it a wildcard elsewhere; an order is of all, not of a page."""
    everybody = rows(console, "pinners")
    names = {row["pinner_id"] for row in everybody}
    assert names == {row["pinner_id"] for row in of_acme("pinner_spheres")}

    for search in ("%", "_", "C1", "v:", "!"):
        found = {row["pinner_id"] for row in rows(console, "pinners", search=search)}
        assert found == {name for name in names if search.lower() in name.lower()}, search
    for column, kind in (("reach_total", int), ("credited", float), ("pinner_id", str)):
        sort = {"credited": "credited_micros"}.get(column, column)
        for order, is_down in (("asc", False), ("desc", True)):
            told = [kind(row[column]) for row in rows(console, "pinners", sort=sort, order=order)]
            assert told == sorted(told, reverse=is_down), (column, order)


def test_what_has_no_value_comes_last(console: TestClient) -> None:
    """Nobody is the most or the least influential for want of data."""
    for order in ("asc", "desc"):
        told = [
            r["community_id"] for r in rows(console, "pinners", sort="community_id", order=order)
        ]

        assert "" in told
        assert told.index("") == sum(map(bool, told))


def test_pages_have_everybody_once(console: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leafs through all of them has seen all, and a page too far is the last."""
    monkeypatch.setattr("console.pages.pinners.ROWS", 4)
    seen: list[str] = []
    query = "/pinners?site=acme"
    while True:
        page = console.get(query).text
        listing = page.partition("Everybody who pinned</h2>")[2].partition("<nav")[0]
        seen += re.findall(r'pinner=[^"]*">([^<]*)</a>', listing)
        onward = links(page, "Next page")
        if not onward:
            break
        query = f"/pinners{onward[0]}"

    assert sorted(seen) == sorted(row["pinner_id"] for row in of_acme("pinner_spheres"))
    assert console.get(f"{query}9").text.count("<tr>") == page.count("<tr>")


@pytest.mark.parametrize(
    "wrong", ["sort=drop table", "order=up", "page=0", "page=-1", "page=x", "page=²"]
)
def test_what_cannot_be_ordered_so_is_refused(known_home: Home, wrong: str) -> None:
    """A mistyped address is told what it may be, and never reaches the SQL."""
    with TestClient(build_app(known_home, Door()), base_url="http://localhost") as client:
        answer = client.get(f"/pinners?{wrong}")

    assert answer.status_code == 400
    assert wrong.partition("=")[2] in answer.text


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet", ".sql"])
@pytest.mark.parametrize("wrong", ["sort=reach", "order=up"])
def test_files_are_not_ordered_by_a_guess(known_home: Home, suffix: str, wrong: str) -> None:
    """The first ten of a file that is not in the order asked for are anybody."""
    with TestClient(build_app(known_home, Door()), base_url="http://localhost") as client:
        answer = client.get(f"/rows/pinners{suffix}?{wrong}")

    assert answer.status_code == 400
    assert "credited_micros" in answer.text or "asc" in answer.text


@pytest.mark.parametrize("path", ["/pinner?pinner=", "/cascade?pin="])
def test_who_is_not_there_is_told_what_to_do(known_home: Home, path: str) -> None:
    """An old bookmark or a mistyped id is no empty picture; its text stays text."""
    with TestClient(build_app(known_home, Door()), base_url="http://localhost") as client:
        answer = client.get(f"{path}%3Cscript%3Enobody")

    assert answer.status_code == 404
    assert "&lt;script&gt;nobody" in answer.text
    assert "<script>nobody" not in answer.text
    assert "ids" in answer.text.lower()


@pytest.fixture
def altered(
    known_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TestClient]:
    """Makes a console on a copy of the known home in which statements have changed rows."""
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def alter(*statements: str) -> TestClient:
        home = Home(shutil.copytree(known_home.path, tmp_path / "home"))
        with closing(sqlite3.connect(home.path / "pinsphere.db")) as database, database:
            for statement in statements:
                database.execute(statement)
        return TestClient(build_app(home, Door()), base_url="http://localhost")

    return alter


def test_a_ledger_in_files_is_said_and_not_guessed(altered: Callable[..., TestClient]) -> None:
    """A trace of nothing would read as no revenue; the way to a trace is told."""
    (root, credited) = max(
        ((row["root_pin_id"], row["credited_micros"]) for row in of_acme("cascades")),
        key=lambda each: each[1],
    )
    with altered("UPDATE runs SET ledger = 'lake'", "DELETE FROM order_credits") as client:
        page = client.get("/cascade", params={"pin": root}).text

    assert "Single credits of this run are in files alone" in page
    assert "ledger = &#34;sql&#34;" in page
    assert "Credited to this pin" not in page
    assert round(float(value(page, "Credited to all of it")) * 1e6) == credited
    assert " GBP</title>" not in page


def test_strange_ids_lead_to_their_pages(altered: Callable[..., TestClient]) -> None:
    """A customer number with marks in it is linked, shown and never run."""
    pinner = next(iter(spheres()))
    strange = "a&b=<i>%20+#'\" ü"
    columns = ("pins.person_id", "pinner_spheres.pinner_id", "sphere_edges.pinner_id")
    renamed = [
        f"UPDATE {table} SET {column} = '{strange.replace(chr(39), 2 * chr(39))}'"
        f" WHERE site_id = 'acme' AND {column} = '{pinner}'"
        for table, column in (name.split(".") for name in columns)
    ]
    with altered(*renamed) as client:
        target, *_ = links(client.get("/pinners", params={"search": "a&b=<i>%"}).text, strange)
        answer = client.get(target)

    assert answer.status_code == 200
    assert unescape(answer.text.partition("<h1>")[2].partition("</h1>")[0]) == f"Pinner {strange}"
    assert "<i>" not in answer.text
    assert answer.text.count("<title>") > 2


def test_the_report_shows_the_pinner_who_reaches_most(known_home: Home) -> None:
    """A reader without the console sees the best sphere there is."""
    with closing(Database(known_home)) as database, database.snapshot() as connection:
        _, _, ask = read(connection, {"site": "acme"})

        reach = {name: sum(map(len, hops.values())) for name, hops in spheres().items()}
        assert reach[top_pinner(ask) or ""] == max(reach.values())
        size = {row["root_pin_id"]: row["size"] for row in of_acme("cascades")}
        assert size[top_pin(ask) or ""] == max(size.values())
