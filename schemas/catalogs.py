"""What other tools may know of the views: dbt's `sources.yml`, and Datasette's metadata.

Descriptions stand once: of answering views in `docs/queries.md`, of tables and their columns in
`schemas/tables.py`. `make docs` writes the committed copies.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.questions import QUESTIONS
from schemas.tables import RESULTS, RUN_COLUMNS, Base

_SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_OF_VIEWS = """\
Answers of PinSphere: the published run. Filter by site_id, and by model where there is one; counts
that need no model repeat for each. Never add up what is called influenced, or overlaps."""
# The page says in one cell what they are together.
_OF_KEYS = {
    name: RESULTS[table].__table__.columns[name].comment
    for name, table in {
        "site_id": "model_credits",
        "model": "model_credits",
        "pinner_id": "pinner_spheres",
        "item_id": "item_daily",
        "item_list_id": "slot_daily",
        "recommender_id": "recommender_daily",
    }.items()
}


class About(NamedTuple):
    """What a view is."""

    says: str  # its grain first
    columns: dict[str, str]  # what each column means


def about_views(page: str) -> dict[str, About]:
    """All views that readers are shown, in the page's order.

    Args:
      page: `docs/queries.md`, which has a section for each view, and in it a table of its columns
        where these are not those of a table.
    """
    return {
        name: About(_plain(text.strip().partition("\n\n")[0]), dict(_columns(name, text)))
        for name, text in _SECTION.findall(page)
    }


def _columns(view: str, text: str) -> Iterator[tuple[str, str]]:
    table = view.removeprefix("current_")
    if table != view:
        yield from _of_table(table)
        return
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    for row in rows:
        names, meaning = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:3])
        for name in re.findall(r"`(\w+)`", names):
            yield name, _OF_KEYS.get(name) or _plain(meaning)


def _of_table(table: str) -> Iterator[tuple[str, str]]:
    """As `current_<table>` has them: see `schemas.views`."""
    columns = [each for each in RESULTS[table].__table__.columns if each.name not in RUN_COLUMNS]
    yield "run_id", "The published run"
    yield from ((each.name, each.comment or "") for each in columns)
    for name in (each.name for each in columns):
        if name.endswith("_micros"):
            yield name.removesuffix("_micros"), f"{name} as a decimal"
    for name in (each.name for each in columns):
        if name.endswith("_at"):
            yield f"{name}_utc", f"{name} as text, UTC"


def _plain(markdown: str) -> str:
    """A text without links, stars and line ends; code keeps its ticks."""
    text = _LINK.sub(r"\1", markdown).replace("**", "").replace(r"\|", "|")
    return " ".join(text.split())


def dbt_sources(page: str) -> str:
    """`sources.yml` of a dbt project that reads the views."""
    lines = ["version: 2", "", "sources:", "  - name: pinsphere"]
    lines += [f"    description: {_quoted(_OF_VIEWS)}", "    schema: public", "    tables:"]
    for name, about in about_views(page).items():
        lines += [f"      - name: {name}", f"        description: {_quoted(about.says)}"]
        lines.append("        columns:")
        for column, meaning in about.columns.items():
            lines.append(f"          - name: {column}")
            lines.append(f"            description: {_quoted(meaning)}")
    return "\n".join(lines) + "\n"


def datasette_metadata(page: str) -> str:
    """Metadata of Datasette: what views and columns are, and the first questions for any site."""
    lines = ["title: PinSphere", "databases:", "  pinsphere:"]
    lines += [f"    description: {_quoted(_OF_VIEWS)}", "    queries:"]
    for number, question in enumerate(QUESTIONS, start=1):
        sql = question.sql.replace("'acme'", ":site")
        lines += [f"      question-{number}:", f"        title: {_quoted(question.title)}"]
        lines += ["        sql: |-", *(f"          {line}" for line in sql.splitlines())]
    lines.append("    tables:")
    for name, about in about_views(page).items():
        lines += [f"      {name}:", f"        description: {_quoted(about.says)}"]
        lines.append("        columns:")
        lines += [f"          {name}: {_quoted(says)}" for name, says in about.columns.items()]
    for table in sorted({*Base.metadata.tables, "alembic_version", "view_digest"}):
        lines += [f"      {table}:", "        hidden: true", "        allow: false"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as YAML takes it: JSON is YAML."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


WRITERS: dict[str, Callable[[str], str]] = {"dbt": dbt_sources, "datasette": datasette_metadata}


def main() -> None:
    """Prints the catalog named on the command line; the page comes in by stdin."""
    sys.stdout.write(WRITERS[sys.argv[1]](sys.stdin.read()))


if __name__ == "__main__":
    main()
