"""`pinsphere report`: the console's pages as one file that needs no network and prints well."""

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from console.blocks import Block, Chart, Figures, Page
from console.choices import Choices
from console.contents import PAGES, QUESTIONS
from console.database import Database
from console.exports import sql_text
from console.questions import Ask
from console.reading import build_page, read
from console.rendering import STATIC, Links, render
from schemas.durable import DurableFolder
from schemas.home import Home


@dataclass(frozen=True)
class ReportLinks(Links):
    """Links within the file: from a figure to the SQL that made it."""

    behind: str = "SQL behind it"

    def rows(self, question: str) -> str:
        """To the question, at the end of the file."""
        return f"#{question}"

    def export(self, _question: str, _suffix: str) -> str:
        """Nowhere: a file has no other files."""
        return ""

    def thing(self, _kind: str, _value: Any) -> str:
        """Nowhere: it has no pages about each pinner."""
        return ""

    def here(self, **_changes: Any) -> str:
        """Nowhere: its choices were made when it was written."""
        return ""


class Section(NamedTuple):
    """A page of the report, and what it was asked with."""

    page: Page
    choices: Choices


def write_report(home: Home, path: Path, given: Mapping[str, str]) -> int:
    """Writes the report of the published run; gives its size in bytes.

    Args:
      home: whose database is read.
      path: file to write, whole or not at all.
      given: what was chosen, as in the console's addresses.

    Raises:
      SettingsError: the database cannot be read.
      NoRunError: nothing is published.
      ChoiceError: a choice breaks its contract.
    """
    with contextlib.closing(Database(home)) as database, database.snapshot() as connection:
        content = render_report(connection, given).encode()
    with DurableFolder(path.parent) as folder:
        return folder.place(path, lambda file: file.write(content))


def render_report(connection: Connection, given: Mapping[str, str]) -> str:
    """The report as HTML: every page, and of the pages about one thing that about the top one."""
    published, choices, ask = read(connection, given)
    sections = []
    for entry in PAGES:
        if not entry.key:
            sections.append(Section(build_page(entry, choices, ask), choices))
        elif entry.top and choices.shop.last_day and (thing := entry.top(ask)):
            about = choices.but(**{entry.key: thing})
            page = build_page(entry, about, Ask(connection, QUESTIONS, about))
            sections.append(Section(page, about))
    style = (STATIC / "console.css").read_text()
    scripts = [(STATIC / "console.js").read_text()]
    if any(isinstance(block, Chart) for section in sections for block in section.page.blocks):
        scripts.insert(0, (STATIC / "vendor" / "echarts.min.js").read_text())
    return render(
        "report.html",
        {
            "choices": choices,
            "currency": choices.currency,
            "links": ReportLinks(),
            "path": "",
            "policy": _policy(style, scripts),
            "published": published,
            "scripts": scripts,
            "sections": sections,
            "sources": _sources(sections),
            "style": style,
        },
    )


def _policy(style: str, scripts: list[str]) -> str:
    """What the file may do: run these very texts, and fetch nothing."""
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _sources(sections: list[Section]) -> dict[str, str]:
    """The SQL behind each block, by question."""
    return {
        name: sql_text(QUESTIONS[name], section.choices.parameters)
        for section in sections
        for block in section.page.blocks
        for name in _asked(block)
    }


def _asked(block: Block) -> list[str]:
    if isinstance(block, Figures):
        return [figure.question for figure in block.figures if figure.question]
    question = getattr(block, "question", "")
    return [question] if question else []
