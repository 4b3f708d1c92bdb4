"""How sure credited revenue is: by customer, never by order (Fay and Feuer 1997)."""

from typing import NamedTuple

import numpy as np
from scipy import special

from pipelines.kernels.columns import Floats, Ints

# Below this many equally weighted customers an interval says nothing.
MIN_EFFECTIVE = 30


class Interval(NamedTuple):
    """A credited sum and its 95 % gamma interval. All [groups]."""

    n_customers: Ints
    n_effective: Floats  # NaN where the sum is not positive
    low: Floats  # NaN where there is too little data
    high: Floats


def gamma_interval(amount: Ints, start: Ints) -> Interval:
    """95 % interval of a weighted Poisson sum over customers.

    With S, Q, M the sum, the sum of squares and the maximum of the customers' amounts:
    low = Q/(2S) chi2_.025(2 S^2/Q), high = (Q+M^2)/(2(S+M)) chi2_.975(2 (S+M)^2/(Q+M^2)).

    Args:
      amount: [customers] credit by customer, in micros; sorted within each group, so that
        float sums are the same however the work was cut.
      start: [groups + 1] customers of group i are start[i]:start[i + 1], at least one each.

    Returns:
      Interval ends in micros.
    """
    if len(start) < 2:
        none = np.zeros(0)
        return Interval(np.zeros(0, dtype=np.int64), none, none, none)
    value = amount.astype(np.float64)
    total = np.add.reduceat(value, start[:-1])
    square = np.add.reduceat(value**2, start[:-1])
    top = np.maximum.reduceat(value, start[:-1])
    usable = (total > 0) & (square > 0)
    total, square, top = (np.where(usable, column, 1.0) for column in (total, square, top))
    effective = total**2 / square
    low, high = np.full((2, len(total)), np.nan)
    # Most keys have few customers, and the quantiles are what takes time.
    enough = usable & (effective >= MIN_EFFECTIVE)
    total, square, top = (column[enough] for column in (total, square, top))
    low[enough] = square / total * special.gammaincinv(effective[enough], 0.025)
    above, spread = total + top, square + top**2
    high[enough] = spread / above * special.gammaincinv(above**2 / spread, 0.975)
    return Interval(np.diff(start).astype(np.int64), np.where(usable, effective, np.nan), low, high)
