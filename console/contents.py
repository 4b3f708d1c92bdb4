"""The console's table of contents: every page, and all questions by name."""

from collections.abc import Callable
from typing import NamedTuple

from console.blocks import Page
from console.choices import Choices
from console.pages import (
    cascade,
    overview,
    pinner,
    pinners,
    products,
    quality,
    relationships,
    slots,
)
from console.questions import Ask, Question, join_questions


class Entry(NamedTuple):
    """A page's place.

    A page about one thing, such as a pinner, has a key: the field of Choices that names the thing.
    Without it the page is not linked in the head; `top` finds the thing that the report shows.
    """

    path: str
    label: str
    questions: tuple[Question, ...]
    build: Callable[[Ask, Choices], Page]
    key: str = ""
    top: Callable[[Ask], str | None] | None = None


PAGES = (
    Entry("/", "Overview", overview.QUESTIONS, overview.build),
    Entry("/products", "Products", products.QUESTIONS, products.build),
    Entry("/slots", "Slots and recommenders", slots.QUESTIONS, slots.build),
    Entry("/pinners", "Pinners", pinners.QUESTIONS, pinners.build),
    Entry("/pinner", "One pinner", pinner.QUESTIONS, pinner.build, "pinner", pinner.top),
    Entry("/cascade", "One pin", cascade.QUESTIONS, cascade.build, "pin", cascade.top),
    Entry("/relationships", "Relationships", relationships.QUESTIONS, relationships.build),
    Entry("/quality", "Data quality", quality.QUESTIONS, quality.build),
)
QUESTIONS = join_questions(entry.questions for entry in PAGES)
# Where a link in a table leads: the page, and the field of Choices that the value goes into.
TARGETS = {
    "link_pinner": ("/pinner", "pinner"),
    "link_pin": ("/cascade", "pin"),
    "link_item": ("/products", "search"),
}
