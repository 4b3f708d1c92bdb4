"""Who comes back, by hand: each rule from both sides."""

import numpy as np

from pipelines.kernels.meetings import returns

DAY_MS = 86_400_000
ANN, BEN, CLEO = range(3)


def came(*rows: tuple[int, int, int]) -> tuple[list[bool], list[bool]]:
    """Who came back, of rows (guest, host, milliseconds)."""
    guest, host, at = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    to_host, to_reached = returns(guest, host, at)
    return to_host.tolist(), to_reached.tolist()


def test_coming_back_to_her_takes_a_day() -> None:
    """A page loaded twice is one visit."""
    to_host, _ = came((BEN, ANN, DAY_MS), (BEN, ANN, DAY_MS - 1), (BEN, ANN, 0))

    assert to_host == [True, False, False]


def test_a_guest_comes_back_only_to_whom_she_has_reached() -> None:
    """Before, at the same moment, after; and to another."""
    _, to_reached = came(
        (ANN, BEN, 9), (BEN, ANN, 10), (ANN, BEN, 10), (ANN, BEN, 11), (ANN, CLEO, 11)
    )

    assert to_reached == [False, True, False, True, False]


def test_one_way_of_a_pair_is_not_the_other() -> None:
    """Ben's first visit to Ann is no second one of hers to him."""
    to_host, to_reached = came((ANN, BEN, 0), (BEN, ANN, 2 * DAY_MS), (CLEO, BEN, 2 * DAY_MS))

    assert to_host == [False, False, False]
    assert to_reached == [False, True, False]


def test_nobody_comes_back_where_nobody_came() -> None:
    """A shard without meetings is no error."""
    assert came() == ([], [])
