"""Room for every branch of a tree, by its number of leaves: what both pictures begin with."""

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """The leaves of a branch, as a stretch of all the leaves of its tree."""

    start: int
    leaves: int

    @property
    def middle(self) -> float:
        """Where its mark belongs."""
        return self.start + self.leaves / 2


def leaf_spans(parent: Sequence[int]) -> list[Span]:
    """Shares the leaves out: every branch lies within its parent's, beside its siblings.

    Two passes instead of a recursion, which a chain of some thousand links would break.

    Args:
      parent: [branches] place of the parent, which comes before its children; -1 for none.
        Siblings lie in the order they come in.

    Returns:
      [branches] spans; those without a parent lie beside each other from 0 on.
    """
    leaves = [0] * len(parent)
    for place in reversed(range(len(parent))):
        leaves[place] = max(leaves[place], 1)
        if parent[place] >= 0:
            leaves[parent[place]] += leaves[place]
    spans: list[Span] = []
    free: list[int] = []  # where the next child of each branch begins
    free_of_roots = 0
    for place, above in enumerate(parent):
        start = free_of_roots if above < 0 else free[above]
        spans.append(Span(start, leaves[place]))
        free.append(start)
        if above < 0:
            free_of_roots += leaves[place]
        else:
            free[above] += leaves[place]
    return spans
