"""The console as a merchandiser has it: the real command, a real Chromium, known answers."""

import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser

from console.contents import PAGES, QUESTIONS
from console.questions import FLOATS
from console.report import write_report
from console.values import label_of, machine_value
from schemas.home import Home
from tests.browser.looking import DESKTOP, PHONE, console, reader
from tests.known_home import SCRIPT_ITEM, shared_home

ROWS = "/rows/overview_days"
WRONG = "/?site=nobody"
KEYLESS = [entry.path for entry in PAGES if not entry.key]
THINGS = [entry.path for entry in PAGES if entry.key]
EVERYTHING = [*KEYLESS, *THINGS, ROWS, WRONG]

# What the page of a thing is about, and figures of pages, asked of the tables without the console.
TOP = {
    "pinner": "SELECT pinner_id FROM pinner_sphere WHERE site_id = 'acme'"
    " ORDER BY reach_total DESC, pinner_id LIMIT 1",
    "pin": "SELECT root_pin_id FROM current_pins WHERE site_id = 'acme'"
    " GROUP BY root_pin_id ORDER BY COUNT(*) DESC, root_pin_id LIMIT 1",
}
FIGURES = {
    "/": {
        "Credited revenue": "SELECT SUM(credit_micros) / 1e6 FROM current_order_credits"
        " WHERE site_id = 'acme' AND model = 'time_decay' AND pin_id IS NOT NULL",
        "Pins": "SELECT COUNT(*) FROM current_pins WHERE site_id = 'acme'",
        "Pinners": "SELECT COUNT(DISTINCT person_id) FROM current_pins WHERE site_id = 'acme'",
        "Visits from pins": "SELECT COUNT(*) FROM current_visits WHERE site_id = 'acme'",
        "Token survival": "SELECT AVG(match_method = 'token') FROM current_visits"
        " WHERE site_id = 'acme'",
    },
    "/pinner": {
        "Reach": "SELECT COUNT(DISTINCT person_id) FROM current_sphere_edges"
        " WHERE site_id = 'acme' AND pinner_id = :pinner",
        "Depth": "SELECT MAX(hop) FROM current_sphere_edges"
        " WHERE site_id = 'acme' AND pinner_id = :pinner",
        "Pins": "SELECT COUNT(*) FROM current_pins WHERE site_id = 'acme' AND person_id = :pinner",
        "Credited": "SELECT SUM(credit_micros) / 1e6 FROM current_order_credits"
        " WHERE site_id = 'acme' AND model = 'time_decay' AND pinner_id = :pinner",
    },
    "/cascade": {
        "Pins": "SELECT COUNT(*) FROM current_pins WHERE site_id = 'acme' AND root_pin_id = :pin",
        "Depth": "SELECT MAX(hop) FROM current_pins WHERE site_id = 'acme' AND root_pin_id = :pin",
    },
    "/quality": {
        "Received": "SELECT SUM(received) FROM current_data_quality_daily WHERE site_id = 'acme'",
        "Bots": "SELECT SUM(bots) FROM current_data_quality_daily WHERE site_id = 'acme'",
    },
}
# Runs in the page: what is written there, for machines and for people.
READ = """() => {
  const told = (cell) => {
    const element = cell.querySelector("data, time");
    return element ? element.getAttribute("value") ?? element.getAttribute("datetime")
      : cell.querySelector(".none") ? null : cell.textContent.trim();
  };
  return {
    figures: [...document.querySelectorAll(".figure")].map((figure) =>
      [figure.querySelector("dt").textContent, told(figure.querySelector(".value"))]),
    numbers: [...document.querySelectorAll("data")].map((each) =>
      [each.dataset.kind, each.value, each.textContent]),
    tables: [...document.querySelectorAll(".block")].filter((block) =>
      block.querySelector("table")).map((block) => ({
        sql: block.querySelector("a[href*='.sql']")?.href ?? "",
        heads: [...block.querySelectorAll("thead th")].map((each) => each.textContent.trim()),
        rows: [...block.querySelectorAll("tbody tr")].map((row) => [...row.cells].map(told)),
      })),
    charts: document.querySelectorAll(".chart").length,
    drawn: document.querySelectorAll(".chart svg").length,
    marks: document.querySelectorAll("svg.rings .marks circle").length,
    headings: [...document.querySelectorAll("h1, h2")].map((each) => each.textContent),
  };
}"""


class Seen(NamedTuple):
    """A page as it was shown once: on a desk by day and by night, and on a phone."""

    status: int
    content: dict[str, Any]
    sql: dict[str, str]
    """What each offer of SQL on the page gave."""
    problems: list[str]
    asked: list[str]
    violations: list[str]
    overflow: list[str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="module")
def things(home: Home) -> dict[str, str]:
    """Who and what pages about one thing are about."""
    return {key: str(ask(home, sql)[0][0]) for key, sql in TOP.items()}


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    with console(home) as address:
        yield address


@pytest.fixture(scope="module")
def seen(browser: Browser, url: str, things: dict[str, str]) -> dict[str, Seen]:
    """Every page, looked at once: what tests ask is read from it."""
    return {path: look(browser, url + path + query(path, things)) for path in EVERYTHING}


def query(path: str, things: dict[str, str]) -> str:
    """The parameters that a page needs."""
    keys = [entry.key for entry in PAGES if entry.path == path and entry.key]
    return "".join(f"?{key}={quote(things[key])}" for key in keys)


def look(browser: Browser, url: str) -> Seen:
    """Opens a page and turns it about."""
    with reader(browser) as visit:
        answer = visit.page.goto(url)
        assert answer is not None
        content = visit.page.evaluate(READ)
        sql = {
            table["sql"]: visit.context.request.get(table["sql"]).text()
            for table in content["tables"]
        }
        violations = visit.violations()
        visit.page.emulate_media(color_scheme="dark")
        visit.page.set_viewport_size(PHONE)
        violations += visit.violations("color-contrast", "scrollable-region-focusable")
        # A page that is not there is an error to a browser, and no news to anybody.
        problems = [each for each in visit.problems if answer.ok or "status of" not in each]
        return Seen(
            answer.status, content, sql, problems, visit.asked, violations, visit.overflow()
        )


def told(value: Any, kind: str) -> str | None:
    """A value of the database as a page tells it to machines."""
    if value is None:
        return None
    return str(float(value)) if kind in FLOATS else machine_value(value, kind).strip()


def ask(home: Home, sql: str, **values: str) -> list[tuple[Any, ...]]:
    """What the database itself says."""
    with contextlib.closing(sqlite3.connect(home.path / "pinsphere.db")) as database:
        return database.execute(sql, values).fetchall()


@pytest.mark.parametrize("path", EVERYTHING)
def test_nothing_goes_wrong_and_nobody_else_is_asked(seen: dict[str, Seen], path: str) -> None:
    """Sales figures leave the house with the first request to another host."""
    page = seen[path]

    assert page.problems == []
    assert page.status == (400 if path == WRONG else 200)
    assert {urlsplit(each).hostname for each in page.asked if each[:5] != "data:"} == {"127.0.0.1"}


@pytest.mark.parametrize("path", EVERYTHING)
def test_everybody_can_read_it_by_day_by_night_and_on_a_phone(
    seen: dict[str, Seen], path: str
) -> None:
    """Who needs a screen reader, contrast, or has only a phone at hand."""
    assert seen[path].violations == []
    assert seen[path].overflow == []


def test_what_nobody_can_read_would_have_been_seen(browser: Browser) -> None:
    """A check that cannot fail protects nobody."""
    with reader(browser, viewport=PHONE) as visit:
        visit.page.set_content('<p style="color: #aaa; width: 500px">pale and wide</p>')

        assert any(each.startswith("color-contrast") for each in visit.violations())
        assert len(visit.overflow()) == 1


@pytest.mark.parametrize("path", [*KEYLESS, *THINGS])
def test_all_charts_are_drawn(seen: dict[str, Seen], path: str) -> None:
    """A merchandiser before an empty frame."""
    assert seen[path].content["drawn"] == seen[path].content["charts"]


@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_what_the_tables_say(
    seen: dict[str, Seen], home: Home, things: dict[str, str], path: str
) -> None:
    """A figure on a slide that nobody can find again."""
    # Of two figures of one name the last: the cascade's, after the pin's own.
    figures = dict(seen[path].content["figures"])

    for label, sql in FIGURES[path].items():
        assert float(figures[label]) == pytest.approx(ask(home, sql, **things)[0][0]), label


@pytest.mark.parametrize("path", [*KEYLESS, *THINGS, ROWS])
def test_people_and_machines_read_the_same_number(seen: dict[str, Seen], path: str) -> None:
    """Rounding for the eye is half of the last digit, never more."""
    numbers = seen[path].content["numbers"]

    assert numbers
    for kind, value, text in numbers:
        digits = float(re.sub(r"[^\d.-]", "", text))
        slack = {"count": 0, "money": 0.005, "number": 0.005, "share": 0.0005}[kind]
        exact = float(value)
        assert (digits / 100 if kind == "share" else digits) == pytest.approx(
            exact, rel=0, abs=slack + 1e-9
        ), (kind, value, text)


@pytest.mark.parametrize("path", [*KEYLESS, *THINGS, ROWS])
def test_tables_are_what_their_sql_answers(seen: dict[str, Seen], home: Home, path: str) -> None:
    """She copies the SQL beside a table into her own client, and gets that table."""
    for table in seen[path].content["tables"]:
        name = urlsplit(table["sql"]).path.removeprefix("/rows/").removesuffix(".sql")
        columns = QUESTIONS[name].columns
        of_label = {label_of(column): place for place, column in enumerate(columns)}
        kinds = list(columns.values())
        answer = [list(map(told, row, kinds)) for row in ask(home, seen[path].sql[table["sql"]])]
        places = [of_label[head] for head in table["heads"]]

        expected = Counter(str([row[place] for place in places]) for row in answer)
        # A page may show the first rows, or the newest month; the SQL has all of them.
        assert Counter(map(str, table["rows"])) <= expected, name
        assert table["rows"], name


def test_the_rings_have_a_mark_for_everybody(
    seen: dict[str, Seen], home: Home, things: dict[str, str]
) -> None:
    """Whoever is reached is in the picture, once, around the pinner."""
    around = ask(home, FIGURES["/pinner"]["Reach"], **things)[0][0]

    assert seen["/pinner"].content["marks"] == around


def test_a_script_in_a_name_stays_a_text(browser: Browser, url: str) -> None:
    """Names come from shops' pages, which is to say from strangers."""
    with reader(browser) as visit:
        dialogs: list[str] = []
        visit.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        for path in ("/products", "/rows/products", f"/products?search={quote(SCRIPT_ITEM)}"):
            visit.page.goto(url + path)
            assert visit.page.get_by_text(SCRIPT_ITEM).first.is_visible(), path
            scripts = visit.page.evaluate("[...document.scripts].map((each) => each.src)")
            assert all(each.startswith(url + "/static/") or not each for each in scripts)
        assert dialogs == []


def test_moments_are_by_the_clock_of_the_shop(browser: Browser, url: str) -> None:
    """From New York a pin of the shop's morning was one of the day before the day chosen."""
    with reader(browser, timezone_id="America/New_York") as merchandiser:
        merchandiser.page.goto(f"{url}/quality")
        moment = merchandiser.page.locator("time[data-kind=time]").first

        assert (moment.get_attribute("datetime") or "")[11:16] in moment.inner_text()
        assert "by the clock of UTC" in merchandiser.page.inner_text("form.choices p")


def test_the_site_can_be_changed_whatever_days_are_shown(browser: Browser, url: str) -> None:
    """Days beyond the shop's held the form back; those of the other shop hid its history."""
    with reader(browser) as merchandiser:
        page = merchandiser.page
        page.goto(f"{url}/?site=acme&since=2001-01-01")
        last = page.input_value("[name=until]")

        page.select_option("[name=site]", "bolt")
        page.click("form.choices button")

        assert "site=bolt" in page.url
        assert "since=2001-01-01" in page.url, "a day that was chosen stays"
        assert last not in page.url, "one that was not is the other shop's own"


def test_a_keyboard_is_enough(browser: Browser, url: str) -> None:
    """Who cannot use a mouse skips the head, sorts a table, and opens the rows of a figure."""
    with reader(browser) as visit:
        page = visit.page
        page.goto(url + "/products")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"

        head = page.locator("th", has_text="Credited").first
        pins = [float(row[6]) for row in page.evaluate(READ)["tables"][0]["rows"] if row[6]]
        for direction in ("descending", "ascending"):
            head.locator("button").focus()
            page.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == direction
            rows = page.evaluate(READ)["tables"][0]["rows"]
            shown = [float(row[6]) for row in rows if row[6]]
            assert shown == sorted(pins, reverse=direction == "descending")
        assert page.locator("th[aria-sort]").count() == 1


def test_the_report_is_one_file_that_needs_no_network(
    browser: Browser, home: Home, tmp_path: Path
) -> None:
    """It is sent by mail, opened on a train, and printed."""
    file = tmp_path / "report.html"
    write_report(home, file, {"site": "acme"})

    with reader(browser, offline=True) as visit:
        visit.page.goto(file.as_uri())
        content = visit.page.evaluate(READ)
        assert visit.violations() == []
        visit.page.set_viewport_size(PHONE)
        assert visit.overflow() == []
        visit.page.set_viewport_size(DESKTOP)
        paper = visit.page.pdf(tagged=True, outline=True)

        assert {each for each in visit.asked if each[:5] != "data:"} == {file.as_uri()}
        assert visit.problems == []
        assert content["charts"] == content["drawn"] > 0
        # The titles of all blocks are printed: the file's outline is made of what is on paper,
        # where a title of two lines has lost the space between them.
        outline = paper.replace(b" ", b"")
        titles = [title for title in content["headings"] if title != "The SQL behind it"]
        assert titles
        lost = [each for each in titles if f"({each})".replace(" ", "").encode() not in outline]
        assert lost == []
