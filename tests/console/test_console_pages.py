"""Every page and every question of the console, on both databases."""

import csv
import io
import json
import re
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from console.contents import PAGES, QUESTIONS
from console.values import label_of, plain_text
from schemas.models import MODELS
from schemas.views import view_definitions
from tests.known_home import known_world

VIEWS = set(view_definitions("sqlite"))
READ = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)
NAMED = re.compile(
    r"(?:\bWITH\s+(?:RECURSIVE\s+)?|,\s*)(\w+)\s+AS\s*(?:MATERIALIZED\s*)?\(", re.IGNORECASE
)


def value(page: str, label: str) -> str:
    """What a figure says to machines."""
    found = re.search(rf"<dt>{label}</dt>.*?<data value=\"([^\"]*)\"", page, re.DOTALL)
    assert found, label
    return found[1]


@pytest.mark.parametrize("path", [entry.path for entry in PAGES if not entry.key])
@pytest.mark.parametrize("site", ["acme", "bolt"])
def test_every_page_answers(console: TestClient, path: str, site: str) -> None:
    """A merchandiser clicks through all of them."""
    answer = console.get(path, params={"site": site})

    assert answer.status_code == 200
    assert "</html>" in answer.text


def test_every_question_answers_in_every_form(console: TestClient) -> None:
    """What is behind a figure opens as a page, as files, and as SQL."""
    for name in QUESTIONS:
        for suffix in ("", ".csv", ".parquet"):
            assert console.get(f"/rows/{name}{suffix}").status_code == 200, name + suffix


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_read_views_and_nothing_else(name: str) -> None:
    """A role of `pinsphere db grant` must be able to ask all of them."""
    sql = QUESTIONS[name].sql

    assert set(READ.findall(sql)) - set(NAMED.findall(sql)) <= VIEWS


def test_the_overview_counts_the_pins_that_there_are(console: TestClient) -> None:
    """The first number a merchandiser sees is right."""
    world = known_world()

    page = console.get("/", params={"site": "acme"}).text

    pins = {pin: known for (site, pin), known in world.pins.items() if site == "acme"}
    assert value(page, "Pins") == str(len(pins))
    people = {known.person_id for known in pins.values()} - {None}
    assert value(page, "Pinners") == str(len(people))


def test_the_overview_agrees_with_the_books(console: TestClient) -> None:
    """Credited and unattributed are net sales, to the micro."""
    net = known_world().net_micros["acme"]

    rows = console.get("/rows/overview_sales.csv", params={"site": "acme"}).text.splitlines()[1:]

    for row in rows:
        _, _, _, total, credited, unattributed = row.split(",")
        assert round(float(total) * 1e6) == net
        assert round((float(credited) + float(unattributed)) * 1e6) == net


@pytest.mark.parametrize("path", [entry.path for entry in PAGES if not entry.key])
def test_every_figure_leads_to_its_rows(console: TestClient, path: str) -> None:
    """A number that nobody can look into is a number that nobody believes."""
    figures = re.findall(r'<dd class="value">\s*(<\w+)', console.get(path).text)

    assert set(figures) <= {"<a"}


def test_of_days_without_pins_the_page_says_what_to_do(console: TestClient) -> None:
    """An empty chart would look like a fault."""
    answer = console.get("/", params={"since": "2001-01-01", "until": "2001-01-02"})

    assert answer.status_code == 200
    assert "No pins in these days." in answer.text


def test_a_script_in_a_name_stays_a_name(console: TestClient) -> None:
    """A product's name comes from wherever the shop got it."""
    for entry in PAGES:
        if not entry.key:
            page = console.get(entry.path).text
            assert "<script>alert" not in page, entry.path
    assert "&lt;script&gt;alert(&#39;pinned&#39;)&lt;/script&gt;" in console.get("/products").text


def test_no_page_has_scripts_or_styles_of_its_own(console: TestClient) -> None:
    """The policy would drop them: a chart without colours, a button without effect."""
    inline = re.compile(
        r"<script(?![^>]* (?:src|type=\"application/json\"))|\sstyle=|\son\w+=|<style"
    )

    for entry in PAGES:
        if not entry.key:
            assert not inline.search(console.get(entry.path).text), entry.path


@pytest.mark.parametrize(
    "search", ["' OR 1=1 --", "%'; DROP VIEW current_pins; --", "\\'", ":site"]
)
def test_sql_in_an_address_stays_a_value(console: TestClient, search: str) -> None:
    """What is looked for is looked for, and nothing is run."""
    page = console.get("/products", params={"search": search})
    sql = console.get("/rows/products.sql", params={"search": search}).text

    assert page.status_code == 200
    assert "No product has" in page.text
    assert search.replace("'", "''") in sql


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("credited_micros", "Credited"),
        ("is_self", "Self"),
        ("item_id", "Product"),
        ("credited_per_1000_views_micros", "Credited per 1000 views"),
    ],
)
def test_columns_are_named_for_people(column: str, label: str) -> None:
    """The names of the views are for who writes SQL."""
    assert label_of(column) == label


@pytest.mark.parametrize(
    ("currency", "text"), [("JPY", "JPY 1,235"), ("GBP", "GBP 1,234.57"), ("KWD", "KWD 1,234.568")]
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, text: str) -> None:
    """A mail shows the report without scripts: hundredths of a yen are nobody's money."""
    assert plain_text(1_234_567_800, "money", currency) == text


def test_no_two_columns_of_a_table_share_a_name() -> None:
    """An amount in micros stood under In, and a reader asked in what."""
    for question in QUESTIONS.values():
        labels = [label_of(column) for column in question.columns]
        assert len(set(labels)) == len(labels), question.name


@pytest.mark.parametrize("path", ["/?since=tomorrow", "/pinner", "/pinner?pinner=nobody", "/none"])
def test_what_is_refused_has_a_way_out(console: TestClient, path: str) -> None:
    """An old link in a mail must not end in a corner."""
    answer = console.get(path)

    assert answer.status_code in {400, 404}
    assert '<a href="/">' in answer.text


def micros(console: TestClient, question: str, column: str, **chosen: str) -> int:
    """The sum of a column of money over all rows of a question."""
    told = console.get(f"/rows/{question}.csv", params={"site": "acme", **chosen}).text
    rows = csv.DictReader(io.StringIO(told.lstrip("\ufeff")))
    return sum(round(Decimal(row[column]) * 1_000_000) for row in rows)


@pytest.mark.parametrize("model", MODELS)
def test_products_add_up_to_what_was_credited(console: TestClient, model: str) -> None:
    """Under any model; else a merchandiser asks where the rest is, and nobody knows."""
    by_product = micros(console, "products", "credited", model=model)

    assert by_product == micros(console, "overview_days", "credited") / len(MODELS) != 0
    assert by_product == micros(console, "products", "direct", model=model) + micros(
        console, "products", "assisted", model=model
    )


def test_the_interval_is_of_the_sum_that_is_shown(console: TestClient) -> None:
    """An interval around another number would be worse than none."""
    assert micros(console, "overview_interval", "credited") == micros(
        console, "overview_sales", "credited"
    )


def test_the_overview_counts_the_visits_that_there_were(console: TestClient) -> None:
    """Robots left out, as the simulator left them out of its truth."""
    wanted = [visit for site, visit in known_world().visits if site == "acme"]

    page = console.get("/", params={"site": "acme"}).text

    assert value(page, "Visits from pins") == str(len(wanted))


def test_of_the_models_the_chosen_one_is_in_colour(console: TestClient) -> None:
    """The line she asked for is the one she sees first."""
    page = console.get("/", params={"site": "acme", "model": "first"}).text

    options = [
        json.loads(found)
        for found in re.findall(r'<script type="application/json">(.*?)</script>', page)
    ]
    colours = {each["name"]: each["color"] for each in options[0]["series"]}
    assert colours == {model: "--accent" if model == "first" else "--grey" for model in MODELS}
