"""Stages of the relationship with each pinner, month by month (docs/relationships.md).

Months are numbers that grow by one (`calendar.months_of`). Whatever may still happen is left
out: the last months of a pinner are those in which she is being forgotten.
"""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.calendar import month_begins, months_of
from pipelines.kernels.columns import Bools, Ints

STRANGER, FLING, FLEETING, CASUAL, TEAMMATE = range(5)
NEW = -1  # where a pinner comes from in the month of her first pin
_DAY_MS = 86_400_000
_VALUE_MS = 90 * _DAY_MS
# 90 days reach back over the ends of four months: a February, and an hour of summer time.
_MONTHS_OF_VALUE = 4
_MORE_MONTHS = 2**17  # than there are: up to the year 9999
MICROS_OF_SQUARES = 10_000  # amounts are squared in hundredths of the currency unit


class Rule(NamedTuple):
    """What a stage asks; all of it must hold."""

    recency_months: int  # at most
    active_months: int  # and of these at least
    depth: int
    reciprocity: int
    purchases: int


class Rules(NamedTuple):
    """The thresholds of a site."""

    look_back_months: int
    burst_ms: int
    casual: Rule
    teammate: Rule


class Acts(NamedTuple):
    """Acts of whole people, in any order. All [acts]."""

    person: Ints  # from 0
    at: Ints
    month: Ints
    rung: Ints  # 1 to 4; 0 for what is no engagement
    is_own: Bools  # hers, not another's with her
    is_pin: Bools
    is_purchase: Bools


class Returns(NamedTuple):
    """How often somebody came back, by person and month; in any order, in parts. All [returns]."""

    person: Ints  # as of acts
    month: Ints
    to_her: Ints
    by_her: Ints  # to somebody whom she had reached


class Scores(NamedTuple):
    """What a stage rests on, as it is at the end of a month. All [person-months]."""

    recency_months: Ints  # since the last one with an own act
    active_months: Ints  # of the look-back, with an own act
    depth: Ints  # highest rung of the look-back
    reciprocity: Ints  # directions, of two, in which somebody came back in the look-back
    purchases: Ints  # in the look-back


class PersonMonths(NamedTuple):
    """Stages at the ends of months: of each pinner from her first pin until she is forgotten.

    Sorted by person and month, without gaps. All [person-months].
    """

    person: Ints
    month: Ints
    stage: Ints
    scores: Scores


class Values(NamedTuple):
    """What came of a pinner in the 90 days after a month. All [rows], nothing where no row is."""

    row: Ints  # her month among the person-months; -1: she was forgotten before
    month: Ints
    credited: Ints  # micros of others' orders, credited to her
    own: Ints  # micros of her own orders


def stage_months(acts: Acts, returns: Returns, rules: Rules) -> PersonMonths:
    """The stage of each pinner at the end of each month, and the scores behind it.

    Args:
      acts: of whole people.
      returns: of the same people, or of some of them: of whoever has acts.
      rules: the site's.
    """
    people = int(acts.person.max(initial=-1)) + 1
    never = np.iinfo(np.int64).max
    first_pin, first_at, first_month = (np.full(people, never) for _ in range(3))
    np.minimum.at(first_pin, acts.person[acts.is_pin], acts.month[acts.is_pin])
    own = acts.person[acts.is_own]
    np.minimum.at(first_at, own, acts.at[acts.is_own])
    for each in (acts, returns):
        np.minimum.at(first_month, each.person, each.month)
    last_month = np.full(people, -1)
    np.maximum.at(last_month, own, acts.month[acts.is_own])
    # Cells: her months from the first that any look-back needs to that in which all is forgotten.
    begin = np.maximum(first_month, first_pin - rules.look_back_months + 1)
    length = np.where(first_pin < never, last_month + rules.look_back_months - begin + 1, 0)
    start = np.cumsum(length) - length
    person = np.repeat(np.arange(people), length)
    index = np.arange(len(person))
    month = begin[person] + index - start[person]

    def cells_of(whose: Ints, months: Ints) -> Ints:
        """[rows] cell of a month of somebody's, -1 where she has none."""
        place = months - begin[whose]
        is_within = (place >= 0) & (place < length[whose])
        return np.where(is_within, start[whose] + place, -1)

    low = np.maximum(index - rules.look_back_months + 1, start[person])

    def looked_back(amount: Ints) -> Ints:
        """[cells] sums over the look-back that ends with each."""
        total = np.concatenate(([0], np.cumsum(amount)))
        return np.asarray(total[1:] - total[low])

    cell = cells_of(acts.person, acts.month)
    is_within = cell >= 0

    def counted(chosen: Bools) -> Ints:
        """[cells] acts of a kind."""
        return np.bincount(cell[chosen & is_within], minlength=len(index))

    active = counted(acts.is_own) > 0
    last_active = np.maximum.accumulate(np.where(active, index, 0))
    last_at = np.zeros(len(index), dtype=np.int64)
    np.maximum.at(last_at, cell[acts.is_own & is_within], acts.at[acts.is_own & is_within])
    depth = np.zeros(len(index), dtype=np.int64)
    for rung in range(1, 5):
        depth[looked_back(counted(acts.rung == rung)) > 0] = rung
    of_return = cells_of(returns.person, returns.month)
    is_in = of_return >= 0
    ways = np.zeros((2, len(index)), dtype=np.int64)
    for way, times in zip(ways, (returns.to_her, returns.by_her), strict=True):
        np.add.at(way, of_return[is_in], times[is_in])
    scores = Scores(
        index - last_active,
        looked_back(active.astype(np.int64)),
        depth,
        np.count_nonzero([looked_back(way) for way in ways], axis=0),
        looked_back(counted(acts.is_purchase)),
    )
    is_burst = last_at[last_active] - first_at[person] <= rules.burst_ms
    stage = np.select(
        [
            scores.active_months == 0,
            _holds(rules.teammate, scores),
            _holds(rules.casual, scores),
            is_burst,
        ],
        [STRANGER, TEAMMATE, CASUAL, FLING],
        default=FLEETING,
    )
    shown = month >= first_pin[person]
    return PersonMonths(
        person[shown], month[shown], stage[shown], Scores(*(score[shown] for score in scores))
    )


def _holds(rule: Rule, scores: Scores) -> Bools:
    """[cells] whether the scores are what a stage asks."""
    return np.asarray(
        (scores.recency_months <= rule.recency_months)
        & (scores.active_months >= rule.active_months)
        & (scores.depth >= rule.depth)
        & (scores.reciprocity >= rule.reciprocity)
        & (scores.purchases >= rule.purchases)
    )


def stages_before(months: PersonMonths) -> Ints:
    """[person-months] the stage a month earlier, NEW in the month of the first pin."""
    before = np.roll(months.stage, 1)
    before[_firsts(months)] = NEW
    return before


def last_months(months: PersonMonths) -> Bools:
    """[person-months] whether it is her last: she is forgotten from then on."""
    return np.roll(_firsts(months), -1)


def _firsts(months: PersonMonths) -> Bools:
    first = np.ones(len(months.person), dtype=np.bool_)
    first[1:] = months.person[1:] != months.person[:-1]
    return first


def value_months(
    months: PersonMonths, person: Ints, at: Ints, amount: Ints, is_own: Bools, time_zone: str
) -> Values:
    """What pinners brought in the 90 days after each month: its end included, 90 days later not.

    Args:
      months: the stages of the people.
      person: [acts] codes as in the months'; not in any order.
      at: [acts] times of orders and credits.
      amount: [acts] micros.
      is_own: [acts] an own order, else credit of another's.
      time_zone: the shop's, in which months end.
    """
    first = np.flatnonzero(_firsts(months))
    count = int(max(person.max(initial=-1), months.person.max(initial=-1))) + 1
    begin, start, length = (np.zeros(count, dtype=np.int64) for _ in range(3))
    begin[months.person[first]] = months.month[first]
    start[months.person[first]] = first
    length[months.person[first]] = np.diff(np.append(first, len(months.person)))
    back = np.arange(_MONTHS_OF_VALUE)[:, None]
    after = months_of(at, time_zone) - back  # begins when the month of which this is the value ends
    is_due = at - month_begins(after.ravel(), time_zone).reshape(after.shape) < _VALUE_MS
    is_due &= (length[person] > 0) & (after > begin[person])
    act = np.nonzero(is_due)[1]
    key, place = np.unique(person[act] * _MORE_MONTHS + after[is_due] - 1, return_inverse=True)
    own, credited = (np.zeros(len(key), dtype=np.int64) for _ in range(2))
    np.add.at(own, place[is_own[act]], amount[act[is_own[act]]])
    np.add.at(credited, place[~is_own[act]], amount[act[~is_own[act]]])
    has_any = (own != 0) | (credited != 0)
    own, credited = own[has_any], credited[has_any]
    whose, month = np.divmod(key[has_any], _MORE_MONTHS)
    offset = month - begin[whose]
    return Values(np.where(offset < length[whose], start[whose] + offset, -1), month, credited, own)


def value_spans(at: Ints, time_zone: str) -> Ints:
    """[rows] the earliest moment that is in the same months' 90 days, and in the same month.

    What falls between two such moments can be added up, and told at the first of them.

    Args:
      at: [rows] times of orders.
      time_zone: the shop's.
    """
    month = months_of(at, time_zone)
    span = month_begins(month, time_zone)
    for back in range(1, _MONTHS_OF_VALUE):
        end = ends_of_value(month - back - 1, time_zone)
        span = np.where(end <= at, np.maximum(span, end), span)
    return span


def ends_of_value(months: Ints, time_zone: str) -> Ints:
    """[months] when the 90 days after each are over."""
    return month_begins(months + 1, time_zone) + _VALUE_MS


def squares(micros: Ints) -> tuple[Ints, Ints]:
    """[rows] squares of amounts in hundredths, as two parts that can be summed exactly.

    A square is high x 2^40 + low: sums of millions of them stay within int64, where the sum of
    a few plain squares of large amounts does not.
    """
    hundredths = np.abs(micros) // MICROS_OF_SQUARES
    high, low = hundredths >> 20, hundredths & (2**20 - 1)
    rest = ((2 * high * low) << 20) + low * low
    return high * high + (rest >> 40), rest & (2**40 - 1)
