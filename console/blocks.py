"""What a page is made of. Each kind of block has one template, in `templates/blocks/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from markupsafe import Markup

from console.questions import Ask, Row

WHOLE = "Over all days there are, whatever days are chosen."
"""What is said where days cannot be chosen."""
Band = tuple[float | None, float | None]


@dataclass(frozen=True)
class Figure:
    """One number; `value`, `low`, `high` and `band` are in the unit of its kind (money: micros).

    Args:
      label: what it is, in a few words.
      value: None where there is no answer.
      kind: of KINDS.
      low: low end of its 95 % interval; None and None: no interval is shown.
      high: high end.
      note: what must be known before it is used, such as "overlapping: do not add".
      question: whose rows are behind it.
      band: least and greatest over the models.
    """

    label: str
    value: Any
    kind: str = "count"
    low: float | None = None
    high: float | None = None
    note: str = ""
    question: str = ""
    band: Band | None = None


@dataclass(frozen=True)
class Figures:
    """Numbers side by side."""

    figures: Sequence[Figure]
    title: str = ""
    template: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Chart:
    """A picture drawn by ECharts in the browser, from the rows of a question.

    In `option`, a text that begins with `--` is a colour of the style sheet (`--accent`), and
    `=money`, `=count`, `=share` or `=day` in the place of a formatter formats so, for the reader's
    language. `height` is in pixels.
    """

    title: str
    option: dict[str, Any]
    question: str
    note: str = ""
    height: int = 320
    template: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Table:
    """Rows of a question, all of its columns unless some are named; sortable."""

    title: str
    rows: Sequence[Row]
    question: str
    note: str = ""
    columns: Sequence[str] = ()
    template: ClassVar[str] = "table"

    @classmethod
    def top(
        cls,
        ask: Ask,
        question: str,
        title: str,
        most: int,
        note: str = "",
        columns: Sequence[str] = (),
    ) -> "Table":
        """The first rows of an answer that may be long; all are behind the table's link."""
        rows = ask.first(question, most + 1)
        if len(rows) > most:
            note = f"The first {most}; all are behind the link. {note}"
        return cls(title, rows[:most], question, note, columns)


@dataclass(frozen=True)
class Listing:
    """A part of a question's rows that the server finds and orders: too many for one page.

    Args:
      title: what they are.
      rows: those of this page.
      question: whose rows; it takes `search`, `sort` and `order`.
      sort: the column they are ordered by.
      order: `asc` or `desc`.
      sortable: the columns they can be ordered by.
      page: which part, from 1.
      pages: how many parts there are.
      found: rows of all parts.
      note: what must be known before they are used.
    """

    title: str
    rows: Sequence[Row]
    question: str
    sort: str
    order: str
    sortable: Sequence[str]
    page: int
    pages: int
    found: int
    note: str = ""
    template: ClassVar[str] = "listing"


@dataclass(frozen=True)
class Picture:
    """A drawing made on the server, with words for those who do not see it.

    `svg` is markup: whatever came from outside was escaped when it was made.
    """

    title: str
    svg: Markup
    description: str
    question: str
    note: str = ""
    template: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Empty:
    """Nothing to show, and what to do about it."""

    what: str
    what_to_do: str
    template: ClassVar[str] = "empty"


Block = Figures | Chart | Table | Listing | Picture | Empty


@dataclass(frozen=True)
class Page:
    """A title and blocks, from top to bottom."""

    title: str
    blocks: Sequence[Block]
    note: str = ""
