"""Questions: one SELECT over the views each, and all that can be made of its rows."""

import contextlib
import re
from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, text

from console.choices import KEYS, ChoiceError, Choices

Row = dict[str, Any]
# What a column's values are: ids, dates and words are texts, `money` is whole micros, `time` UTC
# milliseconds, `share` a part of 1. A link leads to the page of that thing.
TEXTS = frozenset(("text", "day", "month", "link_pinner", "link_pin", "link_item"))
WHOLES = frozenset(("count", "money", "time"))
FLOATS = frozenset(("number", "share"))
KINDS = TEXTS | WHOLES | FLOATS | {"yes_no"}
PARAMETERS = frozenset(("site", "model", "since", "until", "since_at", "before_at", *KEYS))
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)", re.ASCII)


@dataclass(frozen=True)
class Question:
    """One SELECT over views, the same on SQLite and PostgreSQL.

    Args:
      name: stands in addresses and names of files.
      title: what it asks, for people.
      sql: the SELECT; parameters are written `:site`, see PARAMETERS. No `;` at the end.
      columns: each column of the answer, in its order, with its kind.
      note: what must be known before its numbers are used.
      words: all that a parameter may be, where that is not any text; none is always allowed.
    """

    name: str
    title: str
    sql: str
    columns: Mapping[str, str]
    note: str = ""
    words: Mapping[str, Collection[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what no page could show."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"question {self.name!r}: a name is a-z 0-9 _")
        if unknown := set(self.columns.values()) - KINDS:
            raise ValueError(f"question {self.name}: unknown kinds {sorted(unknown)}")
        if unknown := set(self.parameters) - PARAMETERS:
            raise ValueError(f"question {self.name}: unknown parameters {sorted(unknown)}")

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters it needs."""
        return list(dict.fromkeys(_PARAMETER.findall(self.sql)))

    def check(self, values: Mapping[str, str | int]) -> None:
        """Refuses a parameter that is none of its words.

        Raises:
          ChoiceError: names it, and the words.
        """
        for name, known in self.words.items():
            if values[name] and values[name] not in known:
                raise ChoiceError(f"{name}={values[name]!r} is none; known: {', '.join(known)}")

    def filled(self, values: Mapping[str, str | int]) -> str:
        """The SELECT with literals in the place of parameters, to be run as it is.

        Raises:
          ChoiceError: a parameter is none of its words.
        """
        self.check(values)
        return _PARAMETER.sub(lambda found: _literal(values[found[1]]), self.sql)


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def join_questions(groups: Iterable[Iterable[Question]]) -> dict[str, Question]:
    """All questions by name.

    Raises:
      ValueError: two have one name.
    """
    joined: dict[str, Question] = {}
    for question in (question for group in groups for question in group):
        if question.name in joined:
            raise ValueError(f"two questions are named {question.name!r}")
        joined[question.name] = question
    return joined


class Ask:
    """Asks questions in one snapshot of the database, with a reader's choices."""

    def __init__(
        self, connection: Connection, questions: Mapping[str, Question], choices: Choices
    ) -> None:
        self._connection = connection
        self._questions = questions
        self._parameters = choices.parameters

    def __call__(self, name: str, **more: str) -> list[Row]:
        """All rows of a question's answer; `more` are other values of its parameters."""
        return [row for rows in self.batches(name, 10_000, more) for row in rows]

    def first(self, name: str, count: int, **more: str) -> list[Row]:
        """The first rows of an answer; the others are not read."""
        with contextlib.closing(self.batches(name, count, more)) as batches:
            return next(batches, [])

    def batches(
        self, name: str, size: int, more: Mapping[str, str] = MappingProxyType({})
    ) -> Generator[list[Row]]:
        """The same in batches, for answers that need not fit into memory."""
        question = self._questions[name]
        known = {**self._parameters, **more}
        values = {parameter: known[parameter] for parameter in question.parameters}
        question.check(values)
        answer = self._connection.execute(
            text(question.sql), values, execution_options={"yield_per": size}
        )
        with answer:
            for rows in answer.partitions(size):
                yield [_typed(question, row) for row in rows]


def _typed(question: Question, values: Iterable[Any]) -> Row:
    """A row in the types of its kinds: PostgreSQL sums to decimals, SQLite has no booleans."""
    columns = question.columns.items()
    return {
        name: None if value is None else _value(value, kind)
        for (name, kind), value in zip(columns, values, strict=True)
    }


def _value(value: Any, kind: str) -> Any:
    if kind in TEXTS:
        return str(value)
    if kind in WHOLES:
        return int(value)
    return float(value) if kind in FLOATS else bool(value)
