"""How much of a sum the greatest few make: Lorenz curve, Gini, and how sure they are.

Members (pinners) share a sum that customers bring. A share of the top and a Gini coefficient
are not additive, so a Poisson bootstrap by customer says how sure they are. It re-ranks, and
whoever is ahead by chance is ahead twice, so its replicates lie above the estimate: their
spread is used, around the estimate, and not their quantiles (docs/adr/0017).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from pipelines.kernels.columns import Floats, Ints
from pipelines.kernels.groups import numbered
from pipelines.kernels.hashing import Hashes, mix
from pipelines.kernels.stretches import reduced, stable_order
from pipelines.kernels.uncertainty import MIN_EFFECTIVE, Interval, gamma_interval

PERCENTS = np.arange(1, 101)
REPLICATES = 200
# Replicates at a time: their weights and sums are to fit the processor's cache.
BLOCK = 8
_AT_ONCE = 2048
_STEP = np.uint64(0x9E3779B97F4A7C15)
# Poisson counts with mean 1 by the 65,536 values of sixteen bits: four of a hash.
_A_HASH = 4
_COUNT = np.searchsorted(
    np.cumsum([math.exp(-1) / math.factorial(n) for n in range(12)]),
    (np.arange(2**16) + 0.5) / 2**16,
).astype(np.uint8)  # looked up a hundred million times: small enough for the nearest cache
_Z = 1.959963984540054
Each = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]


class Rows(NamedTuple):
    """What customers bring to members: each pair once."""

    member: Ints  # [rows] from 0
    customer: Ints  # [rows] from 0
    amount: Ints  # [rows] micros


class Bounds(NamedTuple):
    """How sure the curve and the Gini coefficient are; NaN where there is too little data."""

    money: Interval  # [percents] of what the top percents have, in micros
    share_low: Floats  # [percents] 95 % interval of their share of all sales
    share_high: Floats
    gini_low: float
    gini_high: float


def top_counts(members: int) -> Ints:
    """[percents] how many members the top 1, 2 ... 100 % are, rounded up to whole ones."""
    return -(-members * PERCENTS // 100)


def ranks(value: Ints) -> Ints:
    """[members] place of each by value, greatest first; among equals the earlier member."""
    rank = np.empty(len(value), dtype=np.int64)
    rank[np.argsort(-value, kind="stable")] = np.arange(len(value))
    return rank


def top_sums(value: Ints, rank: Ints) -> Ints:
    """[percents] what the top percents by rank have together."""
    ordered = np.empty_like(value)
    ordered[rank] = value
    return np.cumsum(ordered)[top_counts(len(value)) - 1]


def by_or_through(credit: Rows, own: Ints, buyer: Ints, rank: Ints) -> Ints:
    """[percents] orders that the top percents made or were credited for, no micro twice.

    A credit counts from where its member joins until its buyer does: from there on the whole
    order counts as bought.

    Args:
      credit: what each customer's orders credit to each member.
      own: [members] net value of the member's own orders.
      buyer: [rows of credit] the customer as a member, -1 where she is none.
      rank: [members] place of each.
    """
    joins = np.zeros(len(own) + 1, dtype=np.int64)
    joins[rank] = own
    enters = rank[credit.member]
    leaves = np.where(buyer >= 0, np.maximum(enters, rank[buyer]), len(own))
    np.add.at(joins, enters, credit.amount)
    np.subtract.at(joins, leaves, credit.amount)
    return np.cumsum(joins)[top_counts(len(own)) - 1]


def gini(ascending: Floats, zeros: int = 0) -> Floats:
    """[...] Gini coefficient along the last axis, of values in ascending order.

    0 where all are equal, near 1 where one has everything; NaN where the sum is not positive.

    Args:
      ascending: [..., values] the values.
      zeros: how many more there are that are 0: they move those above them up.
    """
    count = ascending.shape[-1]
    total = ascending.sum(axis=-1)
    usable = total > 0
    spread = (ascending * (2.0 * np.arange(1, count + 1) - count - 1)).sum(axis=-1)
    if zeros:
        is_debt = count and ascending[..., 0].min() < 0
        spread += zeros * (np.abs(ascending).sum(axis=-1) if is_debt else total)
    return np.where(usable, spread / (max(count + zeros, 1) * np.where(usable, total, 1.0)), np.nan)


def bounds(
    curves: Sequence[Rows], ranked: Sequence[Ints], unit: Hashes, sales: Ints, each: Each = map
) -> list[Bounds]:
    """How sure it is what the top percents have, by customer; for several things they have.

    Args:
      curves: what each customer brings to each member.
      ranked: [members] place of each by it, at least one.
      unit: [customers] hash that names each customer.
      sales: [customers] net value of her orders: shares are of their sum.
      each: how blocks of replicates are worked off: as by `map`, in their order, but it may be
        several at a time.
    """
    tables = [_table(rows, len(unit)) for rows in curves]
    replicates = resample(tables, len(ranked[0]), unit, sales, each)
    pairs = zip(curves, ranked, replicates.top, replicates.gini, strict=True)
    return [
        _bounds(rows, rank, top, ginis, replicates.sales, sales) for rows, rank, top, ginis in pairs
    ]


def _bounds(rows: Rows, rank: Ints, top: Floats, ginis: Floats, total: Ints, sales: Ints) -> Bounds:
    money = _money(rows, rank, len(sales))
    enough = money.n_effective >= MIN_EFFECTIVE
    if sales.sum() <= 0 or not enough[-1]:
        nothing = np.full(len(PERCENTS), np.nan)
        return Bounds(money, nothing, nothing, math.nan, math.nan)
    value = np.zeros(len(rank), dtype=np.int64)
    np.add.at(value, rows.member, rows.amount)
    share = top_sums(value, rank) / sales.sum()
    sold = total > 0
    spread = (top[sold] / total[sold, None]).std(axis=0, ddof=1)
    margin = np.where(enough, _Z * spread, np.nan)
    estimate = float(gini(np.sort(value).astype(np.float64)))
    wide = _Z * float(np.nanstd(ginis, ddof=1))
    return Bounds(
        money,
        np.clip(share - margin, 0.0, None),
        np.clip(share + margin, None, 1.0),
        max(estimate - wide, 0.0),
        min(estimate + wide, 1.0),
    )


def _money(rows: Rows, rank: Ints, customers: int) -> Interval:
    """[percents] gamma interval of what the top has, were its members fixed beforehand."""
    order = stable_order(rank[rows.member])
    edges = np.searchsorted(rank[rows.member][order], top_counts(len(rank)))
    # Of few members several percents are the same ones.
    ends, place = np.unique(edges, return_inverse=True)
    amount, found = np.zeros(customers, dtype=np.int64), []
    for low, high in zip((0, *ends[:-1]), ends, strict=True):
        here = order[low:high]
        np.add.at(amount, rows.customer[here], rows.amount[here])
        paid = np.sort(amount[amount != 0])
        paid = paid if len(paid) else np.zeros(1, dtype=np.int64)
        found.append(gamma_interval(paid, np.array([0, len(paid)])))
    return Interval(*(np.concatenate(parts)[place] for parts in zip(*found, strict=True)))


def _table(rows: Rows, customers: int) -> sparse.csr_array:
    """[members with a row, customers] what each customer brings to each member."""
    paid, place = numbered(rows.member)
    shape = (len(paid), customers)
    # Codes of half the size, where there are not more of them: they are read for every replicate.
    code = np.int32 if max(*shape, len(place)) < 2**31 else np.int64
    cells = place.astype(code), rows.customer.astype(code)
    return sparse.csr_array((rows.amount, cells), shape=shape)


class Replicates(NamedTuple):
    """A Poisson bootstrap over customers, in which members are ranked anew each time."""

    top: list[Floats]  # of each table [replicates, percents]: what the top percents have
    gini: list[Floats]  # of each table [replicates]
    sales: Ints  # [replicates]


def resample(
    tables: Sequence[sparse.csr_array], members: int, unit: Hashes, sales: Ints, each: Each = map
) -> Replicates:
    """Draws customers with replacement, so to speak: each counts a random number of times.

    Args:
      tables: [members with anything, customers] micros; the other members have nothing.
      members: number of all.
      unit: [customers] hash that names each.
      sales: [customers] micros.
      each: see `bounds`.
    """
    counts = top_counts(members)

    def block(number: int) -> tuple[list[Floats], list[Floats], Ints]:
        weights = poisson_weights(unit, number)
        top, ginis = [], []
        for table in tables:
            # Integers, so that no order of rows changes a bit.
            sums = _turned(table @ weights)
            sums.sort(axis=1)
            zeros = members - table.shape[0]
            top.append(_of_top(sums, zeros, counts).astype(np.float64))
            ginis.append(gini(sums.astype(np.float64), zeros))
        return top, ginis, sales @ weights

    tops, ginis, total = zip(*each(block, range(REPLICATES // BLOCK)), strict=True)
    return Replicates(
        [np.concatenate(parts) for parts in zip(*tops, strict=True)],
        [np.concatenate(parts) for parts in zip(*ginis, strict=True)],
        np.concatenate(total),
    )


def _turned(values: Ints) -> Ints:
    """The transpose, laid out anew: some rows at a time, as many as fit the processor's cache."""
    turned = np.empty(values.shape[::-1], dtype=np.int64)
    for low in range(0, len(values), _AT_ONCE):
        turned[:, low : low + _AT_ONCE] = values[low : low + _AT_ONCE].T
    return turned


def _of_top(ascending: Ints, zeros: int, counts: Ints) -> Ints:
    """[..., counts] sums of the greatest so many of values, and of so many more that are 0."""
    size = ascending.shape[1]
    top = np.empty((len(ascending), len(counts)), dtype=np.int64)
    for values, found in zip(ascending, top, strict=True):
        above = size - int(np.searchsorted(values, 0))
        # The others' zeros lie between what is above and what is below 0.
        taken = np.minimum(counts, above) + np.maximum(counts - above - zeros, 0)
        more = np.flatnonzero(np.diff(taken, prepend=0))
        # From the last of those taken up to the greatest: what each step takes more.
        steps = reduced(np.add, values, (size - taken[more])[::-1])[::-1]
        found[:] = 0
        found[more] = steps
        np.cumsum(found, out=found)
    return top


def poisson_weights(unit: Hashes, block: int) -> Ints:
    """[units, BLOCK] how often each replicate of a block has each unit: a Poisson(1) count.

    It is read off a hash of (unit, replicate), so whoever sees the unit, in whatever order,
    gives it the same weights.
    """
    weights = np.empty((len(unit), BLOCK), dtype=np.int64)
    first = block * BLOCK // _A_HASH
    salts = mix(np.arange(first, first + BLOCK // _A_HASH, dtype=np.uint64) * _STEP)
    for place, salt in enumerate(salts):
        sixteens = mix(unit ^ salt).astype("<u8").view("<u2").reshape(-1, _A_HASH)
        weights[:, place * _A_HASH : (place + 1) * _A_HASH] = np.take(_COUNT, sixteens)
    return weights
