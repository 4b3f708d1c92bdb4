"""Reproduction numbers: how many re-pins by others a pin brings, shrunk, with intervals.

Most people have one to three pins, so the raw mean of one pinner says little. Children of a
pin are taken as Poisson, the rates of pinners as gamma distributed; the gamma is fitted on all
of them, and each one's mean is drawn towards it the more, the fewer pins she has.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaincinv, gammaln

from pipelines.kernels.columns import Floats, Ints
from pipelines.kernels.groups import numbered

# Half a child in all: what is left to say where there was none.
_NO_CHILD = 0.5
# Few pinners must not fit a prior that is certain: its shape is of the order of 1.
_SHAPE_SPREAD = 2.0
_LOG_BOUNDS = ((-9.0, 9.0), (-14.0, 14.0))


class Prior(NamedTuple):
    """A gamma distribution of rates: mean shape / rate."""

    shape: float
    rate: float


class Rates(NamedTuple):
    """Children a pin. All [pinners]."""

    mean: Floats
    low: Floats  # 95 % interval
    high: Floats


def fit_prior(children: Ints, pins: Ints) -> Prior:
    """The gamma prior under which these counts are likeliest.

    Args:
      children: [pinners] re-pins by others of her mature pins.
      pins: [pinners] her mature pins; who has none says nothing.
    """
    told = pins > 0
    width = int(pins.max(initial=0)) + 1
    pairs, times = np.unique(children[told] * width + pins[told], return_counts=True)
    k, m = (part.astype(np.float64) for part in np.divmod(pairs, width))
    if not k.sum():
        return Prior(_NO_CHILD, max(float((m * times).sum()), 1.0))

    def surprise(logs: Floats) -> float:
        # Negative binomial: a Poisson count of a gamma rate.
        shape, mean = np.exp(logs)
        rate = shape / mean
        likelihood = (
            gammaln(shape + k)
            - gammaln(shape)
            + shape * np.log(rate / (rate + m))
            - k * np.log(rate + m)
        )
        return float((logs[0] / _SHAPE_SPREAD) ** 2 / 2 - (likelihood * times).sum())

    mean = (k * times).sum() / (m * times).sum()
    begin = np.array([0.0, np.log(mean)])
    shape, mean = np.exp(minimize(surprise, begin, method="L-BFGS-B", bounds=_LOG_BOUNDS).x)
    return Prior(float(shape), float(shape / mean))


def reproduction_rates(prior: Prior, children: Ints, pins: Ints) -> Rates:
    """Each pinner's rate after her counts: (a + children) / (b + pins), with its interval."""
    shape, rate = prior.shape + children, prior.rate + pins
    # Many pinners, but few different numbers of children.
    counts, place = numbered(children)
    low, high = (gammaincinv(prior.shape + counts, tail)[place] / rate for tail in (0.025, 0.975))
    return Rates(shape / rate, low, high)
