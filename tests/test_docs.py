"""What the documents promise: their SQL runs, their commands exist, their links lead somewhere."""

import contextlib
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cyclopts.exceptions import CycloptsError
from sqlalchemy import Connection, Engine, text

from pinsphere import VERSION, app
from pipelines.flows.attribute import steps
from pipelines.flows.options import check_options
from pipelines.flows.run import run
from pipelines.flows.setup import add_site
from pipelines.io.audit import audit, told
from pipelines.io.database import open_database
from pipelines.io.import_events import import_events
from pipelines.io.runs import shown_run
from pipelines.transforms.routes import routes
from schemas.dictionary import data_dictionary
from schemas.events import EVENTS
from schemas.home import Home
from schemas.questions import QUESTIONS
from schemas.tables import Base
from schemas.views import view_definitions
from tests import services

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/**/*.md")])
README = (ROOT / "README.md").read_text()
QUERIES = (ROOT / "docs" / "queries.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Made for upgrades, not for merchandisers.
VIEWS = set(view_definitions("sqlite")) - {"view_digest"}
DAY_MS = 86_400_000
MONDAY_MS = 1_793_620_800_000  # 2026-11-02


def fences(markdown: str, *languages: str) -> list[str]:
    """Contents of the fenced blocks in these languages, or of all."""
    return [block for name, block in FENCE.findall(markdown) if not languages or name in languages]


def sql_blocks() -> list[tuple[str, str]]:
    return [(page.name, sql) for page in PAGES for sql in fences(page.read_text(), "sql")]


def section(markdown: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", markdown, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def rows_of(markdown: str) -> Iterator[list[str]]:
    """The cells of each table row."""
    for line in markdown.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def week() -> Iterator[dict[str, object]]:
    """Anna pins a mug; Ben follows, pins on and buys; Cleo follows Ben and buys; Dora just buys.

    Eve and Flora pinned in summer, and Eve again.
    """
    shelf = {"item_list_id": "home_recs", "recommender_id": "cf-v2"}
    mug = {"item_id": "mug", "index": 0, **shelf}
    said: list[tuple[str, int, str | None, dict[str, object]]] = [
        ("pin", -150, "eve", {"pin_id": "pin-e", **mug}),
        ("pin", -150, "flora", {"pin_id": "pin-f", **mug}),
        ("pin", -110, "eve", {"pin_id": "pin-g", **mug}),
        ("view_item_list", 0, "anna", {**shelf, "items": [{"item_id": "mug", "index": 0}]}),
        ("select_item", 0, "anna", mug),
        ("pin", 0, "anna", {"pin_id": "pin-a", **mug}),
        ("pin_visit", 1, "ben", {"pin_id": "pin-a", "token_carrier": "query"}),
        ("pin", 1, "ben", {"pin_id": "pin-b", "parent_pin_id": "pin-a", **mug}),
        ("pin_visit", 2, "cleo", {"pin_id": "pin-b", "token_carrier": "query"}),
        ("identify", 3, "cleo", {"customer_id": "customer-cleo"}),
        ("purchase", 3, "ben", order("o-1", "mug", "customer-ben")),
        ("purchase", 4, "cleo", order("o-2", "lamp", "customer-cleo")),
        ("purchase", 5, "dora", order("o-3", "mug", "customer-dora")),
        ("refund", 6, None, {"refund_id": "r-1", "order_id": "o-2", "amount": "1.00"}),
        ("purchase", 6, "dora", {"order_id": "o-4", "currency": "GBP", "items": []}),
    ]
    for number, (name, day, visitor, fields) in enumerate(said):
        yield {
            "event_id": f"event-{number}",
            "event_name": name,
            "event_time_ms": MONDAY_MS + day * DAY_MS + number,
            **({} if visitor is None else {"visitor_id": visitor}),
            **fields,
        }


def order(order_id: str, item_id: str, customer_id: str) -> dict[str, object]:
    item = {"line_id": "1", "item_id": item_id, "quantity": 2, "price": "12.50"}
    return {
        "order_id": order_id, "currency": "GBP", "customer_id": customer_id, "items": [item],
    }  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", marks=pytest.mark.flow),
        pytest.param("postgresql", marks=pytest.mark.integration),
    ],
)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A database that the real run has filled from a week of events, one of them bad."""
    if request.param == "postgresql" and services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    home = Home(tmp_path_factory.mktemp("shop") / "home")
    add_site(home, "acme", currency="GBP", time_zone="Europe/London")
    file = home.path / "week.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(event) for event in week()))
    with contextlib.ExitStack() as stack:
        if request.param == "postgresql":
            environment = stack.enter_context(pytest.MonkeyPatch.context())
            environment.setenv("DATABASE_URL", stack.enter_context(services.run_postgres()))
        imported = import_events(home, [file], site="acme")
        assert (imported.events, imported.quarantined) == (14, 1)
        run(home, shards=2, code_version=VERSION)
        engine = open_database(home)
        yield engine
        engine.dispose()


@pytest.fixture
def database(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def columns_of(database: Connection, view: str) -> list[str]:
    return list(database.execute(text(f"SELECT * FROM {view} LIMIT 1")).keys())


def test_the_readme_shows_the_five_questions_as_they_are_asked() -> None:
    """A merchandiser copies what the demo ran."""
    assert [sql.strip() for sql in fences(README, "sql")] == [q.sql for q in QUESTIONS]
    assert all(question.title in README for question in QUESTIONS)


def test_the_queries_page_asks_the_five_questions_too() -> None:
    """Two pages with two answers to one question are worse than one."""
    shown = [sql.strip() for sql in fences(section(QUERIES, "The five questions"), "sql")]

    assert shown == [question.sql for question in QUESTIONS]


@pytest.mark.parametrize(
    ("page", "sql"),
    [pytest.param(*block, id=f"{block[0]}-{n}") for n, block in enumerate(sql_blocks())],
)
def test_every_query_in_the_documents_runs_and_answers(
    database: Connection, page: str, sql: str
) -> None:
    """A query that fails, or finds nothing in a shop with sales, teaches mistrust."""
    assert database.execute(text(sql.replace(":", r"\:"))).fetchall(), page


def test_the_week_is_what_the_examples_need(database: Connection) -> None:
    """An example on rows that break an invariant would show nonsense."""
    run = shown_run(database)

    assert run is not None
    assert told(audit(database, run)) == []


def test_every_view_has_its_section(database: Connection) -> None:
    """What is not on the page does not exist for a merchandiser."""
    for view in sorted(VIEWS):
        about = section(QUERIES, view)
        assert view in "".join(fences(about, "sql")), f"{view} has no example"
        if not view.startswith("current_"):
            cells = [row[0] for row in rows_of(about)][2:]
            shown = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
            assert sorted(shown) == sorted(columns_of(database, view)), view


def test_the_queries_page_names_no_view_that_is_not_there() -> None:
    """A view that was renamed leaves no ghost."""
    assert set(re.findall(r"^### (\w+)$", QUERIES, re.MULTILINE)) == VIEWS


def test_the_data_dictionary_is_up_to_date() -> None:
    """`python -m schemas.dictionary > docs/data-dictionary.md` mends it."""
    assert (ROOT / "docs" / "data-dictionary.md").read_text() == data_dictionary()


def test_every_column_has_a_comment() -> None:
    """A column without one is a question to its author."""
    silent = [
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if not column.comment
    ]

    assert not silent


def commands(markdown: str) -> Iterator[list[str]]:
    """Arguments of each `pinsphere ...` line in fenced blocks, shell syntax taken off."""
    for block in fences(markdown):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*pinsphere(?: (.*))?$", line)
            if found:
                words = shlex.split(found[1] or "", comments=True)
                yield list(
                    itertools.takewhile(lambda word: word not in {"|", ">", "&", "&&"}, words)
                )


def test_every_command_shown_is_understood() -> None:
    """A newcomer types what she reads: command, options and arguments must be real."""
    shown = [(page.name, words) for page in PAGES for words in commands(page.read_text())]

    assert {words[0] for page, words in shown if page == "README.md"} >= {"init", "beacon", "run"}
    for page, words in shown:
        try:
            command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            pytest.fail(f"{page}: pinsphere {' '.join(words)}: {error}")
        if command.__name__ == "run":
            check_options(bound.arguments.get("options", ()))


def test_every_command_named_in_passing_exists() -> None:
    """`pinsphere ...` within a sentence names a command as well."""
    for page in PAGES:
        prose = FENCE.sub("", page.read_text())
        for span in re.findall(r"`pinsphere ([^`\n]+)`", prose):
            words = [word for word in span.split() if not re.search("[A-Z|.]", word)]
            chain, _, rest = app.parse_commands(words)
            assert chain, f"{page.name}: pinsphere {span}"
            assert not rest or rest[0].startswith("-"), f"{page.name}: pinsphere {span}"


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    """A reader who clicks finds what she was sent to."""
    for page in PAGES:
        prose = FENCE.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(file.read_text()), f"{page.name}: {target}"


def anchors(markdown: str) -> set[str]:
    """What headings are called in links: lower case, no punctuation, dashes for blanks."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_architecture_names_every_package() -> None:
    """A folder nobody explains is a folder nobody dares to touch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]

    named = set(re.findall(r"`([\w/]+)/`", ARCHITECTURE))

    assert {package.replace(".", "/") for package in packages} <= named


@pytest.mark.flow
def test_the_architecture_tells_what_each_stage_takes_and_by_which_key() -> None:
    """Who adds a dataset must be able to trust the table of stages."""
    wanted: dict[str, dict[str, set[str]]] = {stage: {} for stage in steps({})}
    for name, route in routes().items():
        datasets = wanted[route.stage].setdefault(", ".join(route.keys), set())
        datasets |= {name} - set(EVENTS)

    told = {
        row[0].strip("`"): {
            keys: set(re.findall(r"`(\w+)`", datasets))
            for datasets, keys in re.findall(r"([^()]*)\(([^()]*)\)", row[1])
        }
        for row in rows_of(section(ARCHITECTURE, "The stages"))
    }

    assert {stage: told.get(stage) for stage in wanted} == wanted
