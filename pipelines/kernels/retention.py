"""Who comes back: people by the month they entered a population, and how fast they are lost."""

import math
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Bools, Floats, Ints
from pipelines.kernels.uncertainty import MIN_EFFECTIVE

# Populations, in the order of the acts by which people enter them.
POPULATIONS = ("pinners", "reached", "customers")
NEVER = 2**62
_Z = 1.959963984540054


class Fit(NamedTuple):
    """A constant monthly hazard of being lost, and what it rests on."""

    people: int
    lost: int
    person_months: int
    hazard: float  # NaN without a month to be lost in
    low: float  # 95 % interval; NaN below 30 people: too little data
    high: float


def entries(pinned_at: Ints, landed_at: Ints, ordered_at: Ints) -> tuple[Ints, Ints, Ints]:
    """[people] when each entered each population, NEVER where she did not.

    Only what was before decides: pinners by their first pin; people reached by their first
    landing from a pin, unless they had pinned before; customers by their first order, unless
    they had pinned or landed before. Times are of each one's first such act, NEVER without.
    """
    reached = np.where(landed_at < pinned_at, landed_at, NEVER)
    is_other = (ordered_at < pinned_at) & (ordered_at < landed_at)
    return pinned_at, reached, np.where(is_other, ordered_at, NEVER)


def fit_hazard(first: Ints, last: Ints, people: Ints, newest: int, lapse: int) -> Fit:
    """The maximum likelihood hazard of right-censored lifetimes in months.

    Whoever does nothing for `lapse` whole months up to the newest is lost, in the month after
    her last act. That can be told up to the month `lapse` before the newest: whoever did
    something after it was still there then. Each month in which one could have been lost is a
    trial, so the hazard is losses per trial, and its interval Wilson's.

    Args:
      first: [groups] month in which they begin to be watched, counted from any origin.
      last: [groups] month of their last act.
      people: [groups] how many share both.
      newest: month of the newest act of all; not over yet.
      lapse: whole months of silence after which one is lost, at least 1.
    """
    told = newest - 1 - lapse
    seen = first <= told
    first, last, people = first[seen], last[seen], people[seen]
    lost = int(people[last <= told].sum())
    trials = int((people * (np.minimum(last, told) - first + 1)).sum())
    count = int(people.sum())
    if not trials:
        return Fit(count, lost, trials, math.nan, math.nan, math.nan)
    low, high = (float(end[0]) for end in wilson(np.array([lost]), np.array([trials])))
    if count < MIN_EFFECTIVE:
        low = high = math.nan
    return Fit(count, lost, trials, lost / trials, low, high)


def half_life(hazard: float) -> float:
    """Months until half are lost; NaN where nobody is lost, 0 where all are at once."""
    if math.isnan(hazard) or hazard <= 0:
        return math.nan
    return math.log(0.5) / math.log1p(-hazard) if hazard < 1 else 0.0


def yearly_loss(hazard: float) -> float:
    """Part lost within twelve months; "half in five years" is 0.129."""
    return float(1 - (1 - hazard) ** 12)


def wilson(successes: Ints, trials: Ints) -> tuple[Floats, Floats]:
    """[rates] 95 % interval of a rate, which unlike others is honest near 0 and 1.

    Args:
      successes: [rates] 0 to trials.
      trials: [rates] at least 1.
    """
    rate, square = successes / trials, _Z**2
    middle = (successes + square / 2) / (trials + square)
    margin = _Z * np.sqrt(trials * rate * (1 - rate) + square / 4) / (trials + square)
    low = np.where(successes == 0, 0.0, middle - margin)
    return low, np.where(successes == trials, 1.0, middle + margin)


def first_of(person: Ints, at: Ints, chosen: Bools, people: int) -> Ints:
    """[people] earliest time of the chosen acts of each; NEVER without any."""
    first = np.full(people, NEVER, dtype=np.int64)
    np.minimum.at(first, person[chosen], at[chosen])
    return first
