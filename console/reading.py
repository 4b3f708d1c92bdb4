"""One look at the published run: what a reader chose, and the pages made of it."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from console.blocks import Empty, Page
from console.choices import ChoiceError, Choices, parse_choices
from console.contents import QUESTIONS, Entry
from console.published import Published, read_published
from console.questions import Ask
from schemas.errors import PinSphereError


class NoRunError(PinSphereError):
    """Nothing is published yet."""


class Reading(NamedTuple):
    """What one request, or one report, sees."""

    published: Published
    choices: Choices
    ask: Ask


def read(connection: Connection, given: Mapping[str, str]) -> Reading:
    """Reads what is published, and parameters against it.

    Raises:
      NoRunError: nothing is published.
      ChoiceError: a parameter breaks its contract.
    """
    published = read_published(connection)
    if published is None:
        raise NoRunError("No run is published yet: pinsphere run makes one.")
    choices = parse_choices(given, published)
    return Reading(published, choices, Ask(connection, QUESTIONS, choices))


def build_page(entry: Entry, choices: Choices, ask: Ask) -> Page:
    """A page, or what to do while there is nothing that it could show.

    Raises:
      ChoiceError: the page is about one thing, and it is not said which.
    """
    if choices.shop.last_day is None:
        nothing = Empty(
            f"No events of {choices.site} yet.",
            f"Put the snippet into the shop's pages (pinsphere snippet --site {choices.site}), or"
            " import orders and events; then: pinsphere run",
        )
        return Page(entry.label, [nothing])
    if entry.key and not getattr(choices, entry.key):
        raise ChoiceError(
            f"{entry.key} is missing: this page is about one {entry.key}, choose it in Pinners"
        )
    return entry.build(ask, choices)
