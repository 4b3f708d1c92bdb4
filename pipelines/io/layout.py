"""Which columns a kind of given file has, and which of its own names stand for them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """The columns that are read from a kind of file.

    `columns`: own name -> other names it is known by elsewhere, tried in this order.
    `required`: given the own names that a file has, groups of names of which it needs one each.
    """

    columns: Mapping[str, Sequence[str]]
    required: Callable[[Collection[str]], Iterator[tuple[str, ...]]]

    def candidates(self, mapping: Mapping[str, str]) -> dict[str, list[str]]:
        """Own column -> names that the file may have for it, best first.

        Raises:
          UsageError: the mapping names an own column that there is not.
        """
        for own in mapping:
            if own not in self.columns:
                raise UsageError(
                    f"unknown column {own!r} in the mapping; known: {', '.join(self.columns)}"
                )
        return {
            own: [mapping[own]] if own in mapping else [own, *others]
            for own, others in self.columns.items()
        }

    def choose(
        self, there: Collection[str], mapping: Mapping[str, str], name: str
    ) -> dict[str, str]:
        """Own column -> the file's column.

        Args:
          there: the columns of the file.
          mapping: own column -> the file's, as its user says.
          name: the file's, for messages.

        Raises:
          UsageError: names what is missing, and lists what is there.
        """
        listed = ", ".join(there)
        candidates = self.candidates(mapping)
        for own, column in mapping.items():
            if column not in there:
                raise UsageError(f"{name} has no column {column!r} for {own}; it has: {listed}")
        chosen = {
            own: next(column for column in names if column in there)
            for own, names in candidates.items()
            if any(column in there for column in names)
        }
        for names in self.required(chosen):
            if any(own in chosen for own in names):
                continue
            if len(names) == 1:
                raise UsageError(
                    f"{name} has no column {names[0]!r}; it has: {listed}."
                    f" Name the right one with: --map {names[0]}=COLUMN"
                )
            neither = " nor ".join(map(repr, names))
            raise UsageError(f"{name} has neither {neither}; it has: {listed}")
        return chosen
