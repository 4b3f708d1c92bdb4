"""Pages to HTML, by the templates: the same blocks for the web and for the report."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console.blocks import Page
from console.choices import Choices
from console.contents import PAGES, QUESTIONS, TARGETS
from console.published import Published
from console.values import label_of, shown
from schemas.models import MODELS

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


class Links(Protocol):
    """Where links lead; an empty text is no link. `behind` says what is behind a figure."""

    behind: str

    def rows(self, question: str) -> str:
        """To the rows behind a figure."""

    def export(self, question: str, suffix: str) -> str:
        """To a file of these rows."""

    def thing(self, kind: str, value: Any) -> str:
        """To the page of a pinner, a pin, a product."""

    def here(self, **changes: Any) -> str:
        """To this page with other choices."""


@dataclass(frozen=True)
class WebLinks(Links):
    """Links of the console: all of them carry the reader's choices."""

    choices: Choices
    behind: str = "Rows behind it"

    def rows(self, question: str) -> str:
        """The page with the rows."""
        return f"/rows/{question}?{self.choices.query()}"

    def export(self, question: str, suffix: str) -> str:
        """The file with the rows."""
        return f"/rows/{question}.{suffix}?{self.choices.query()}"

    def thing(self, kind: str, value: Any) -> str:
        """The thing's page, if there is one for its kind."""
        if kind not in TARGETS or value is None:
            return ""
        path, key = TARGETS[kind]
        return f"{path}?{self.choices.elsewhere().query(**{key: value})}"

    def here(self, **changes: Any) -> str:
        """This page, whichever it is, with other choices."""
        return f"?{self.choices.query(**changes)}"


@functools.cache
def environment() -> Environment:
    """The templates: everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        asset=asset,
        label_of=label_of,
        models=MODELS,
        pages=PAGES,
        questions=QUESTIONS,
        shown=shown,
    )
    return made


@functools.cache
def asset(name: str) -> str:
    """The address of a static file; another content has another address."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def render_page(page: Page, choices: Choices, published: Published, path: str) -> str:
    """A page of the console."""
    return render(
        "page.html",
        {
            "page": page,
            "choices": choices,
            "currency": choices.currency,
            "published": published,
            "path": path,
            "links": WebLinks(choices),
        },
    )


def render_problem(title: str, text: str, way_out: str = "") -> str:
    """A page that says what is wrong, and what to do."""
    return render("problem.html", {"title": title, "text": text, "way_out": way_out, "path": ""})


def render_sign_in(text: str = "", continue_at: str = "") -> str:
    """The page that asks for the token, or that leads on once it was right."""
    context = {"text": text, "continue_at": continue_at, "path": ""}
    return render("sign_in.html", context)


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template with its names filled in."""
    return environment().get_template(template).render(context)
