"""Whether a figure left its usual course: a share, a stream of events, a pinner's reach.

Each compares the newest days with those before, and says nothing where there is too little.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from pipelines.kernels.columns import Bools, Floats, Ints

RECENT_DAYS, USUAL_DAYS = 7, 28  # whole weeks, so that no day of the week weighs more
LIMIT = 3.0  # standard errors, as on any control chart
_MIN_TOTAL, _MIN_DAYS = 100, 14
_HOURS_A_DAY = 24


class Shift(NamedTuple):
    """A share in the newest days, against the days before."""

    recent: float
    usual: float
    standard_errors: float  # between them, as many as chance rarely makes; above 0 for a rise

    @property
    def difference(self) -> float:
        """How much it rose."""
        return self.recent - self.usual


def shift_of(count: Ints, total: Ints, is_recent: Bools) -> Shift | None:
    """Compares a share of the newest days with that of the days before.

    Days differ by more than chance among their counts: what Pearson's statistic of the days
    before has beyond its degrees of freedom widens the standard error (Laney's p' chart).

    Args:
      count: [days] of `total`, those that have it.
      total: [days] a day without any is no day.
      is_recent: [days] the newest ones.

    Returns:
      None when less than 100 are on either side, or on less than 14 days before.
    """
    there = total > 0
    count, total, is_recent = count[there], total[there], is_recent[there]
    old, old_total = count[~is_recent], total[~is_recent]
    n_recent, n_usual = int(total[is_recent].sum()), int(old_total.sum())
    if min(n_recent, n_usual) < _MIN_TOTAL or len(old) < _MIN_DAYS:
        return None
    recent, usual = float(count[is_recent].sum()) / n_recent, float(old.sum()) / n_usual
    dispersion = 1.0
    if 0 < usual < 1:
        excess = (old - old_total * usual) ** 2 / (old_total * usual * (1 - usual))
        dispersion = max(1.0, float(excess.sum()) / (len(old) - 1))
    share = float(count.sum()) / (n_recent + n_usual)
    error = float(np.sqrt(dispersion * share * (1 - share) * (1 / n_recent + 1 / n_usual)))
    return Shift(recent, usual, (recent - usual) / error if error > 0 else 0.0)


class Silence(NamedTuple):
    """How long a stream has been silent, and what came at other times."""

    hours: int
    least: int | None
    """Events that came in as many hours at the same time of day, on the poorest of the days
    before; None when fewer than 14 of these days are known."""


def silence_of(events: Ints) -> Silence:
    """Compares a stream's silence up to now with the same hours of up to 28 days before.

    Args:
      events: [hours] by hour, from the first one in which anything came to the last whole one.
    """
    heard = np.flatnonzero(events)
    hours = len(events) - 1 - int(heard[-1]) if len(heard) else len(events)
    sums = np.concatenate(([0], np.cumsum(events)))
    first_day = max(1, -(-hours // _HOURS_A_DAY))  # days that the silence itself does not touch
    ends = len(events) - _HOURS_A_DAY * np.arange(first_day, first_day + USUAL_DAYS)
    ends = ends[ends - hours >= 0]
    if len(ends) < _MIN_DAYS:
        return Silence(hours, None)
    return Silence(hours, int((sums[ends] - sums[ends - hours]).min()))


def growth_chances(recent: Ints, usual: Ints, all_recent: int, all_usual: int) -> Floats:
    """How likely each pinner's new people are that many by chance, given all of both times.

    The conditional test of two Poisson counts (Przyborowski and Wilenski 1940), one-sided. Of her
    people the newest days would have the part that they have of the days, or of all other
    pinners' people where that is more: in a good week everybody grows.

    Args:
      recent: [pinners] people reached in the newest days.
      usual: [pinners] people reached in the days before.
      all_recent: the same over all pinners, those that are not asked about included.
      all_usual: likewise.
    """
    others = np.maximum(all_recent + all_usual - recent - usual, 1)
    share = np.maximum((all_recent - recent) / others, RECENT_DAYS / (RECENT_DAYS + USUAL_DAYS))
    chances: Floats = special.bdtrc(recent - 1.0, (recent + usual).astype(np.int64), share)
    return np.where(recent > 0, chances, 1.0)
