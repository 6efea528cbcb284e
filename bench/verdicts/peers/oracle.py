"""What can be known at all: Wald's sequential test by somebody who knows what good and bad look like.

The oracle sees the same scrapes as everybody and acts as late. Wald's bound needs no scrapes: the expected number of
canary requests until a test of that error probability can tell the two apart.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ALPHA = 0.01
"""How likely the oracle may roll a healthy release back."""


def log_ratios(good: Floats, bad: Floats) -> Floats:
    """What one request of each kind says for bad against good (log likelihood ratio)."""
    floor = 1e-300
    return np.log(np.maximum(bad, floor)) - np.log(np.maximum(good, floor))


def first_sure(counts: Floats, good: Floats, bad: Floats, *, alpha: float = ALPHA) -> npt.NDArray[np.int64]:
    """For each run the first scrape at which it is sure; the number of scrapes where it never is.

    Args:
        counts: requests by scrape, run and kind.
        good: chances of the kinds when all is well.
        bad: chances of the kinds when it is not.
        alpha: error probability.
    """
    evidence = np.cumsum(counts @ log_ratios(good, bad), axis=0)
    sure = evidence >= math.log(1 / alpha)
    first: npt.NDArray[np.int64] = np.where(sure.any(axis=0), sure.argmax(axis=0), counts.shape[0])
    return first


def divergence(bad: Floats, good: Floats) -> float:
    """Kullback-Leibler divergence: what a request of a bad canary says on average."""
    used = bad > 0
    return float(np.sum(bad[used] * (np.log(bad[used]) - np.log(good[used]))))


def wald(bad: Floats, good: Floats, *, alpha: float = ALPHA) -> float:
    """Expected canary requests until sure, at least."""
    return math.log(1 / alpha) / divergence(bad, good)


def with_margin(bad: float, base: float, margin: float, alpha: float) -> float:
    """Expected canary requests until any test is sure that tolerates `margin` times stable's rate, which it knows.

    Rare events: a request says `bad * ln(bad / (margin * base)) - (bad - margin * base)` on average; infinite for a
    canary within the margin.
    """
    allowed = margin * base
    if bad <= allowed:
        return math.inf
    return math.log(1 / alpha) / (bad * math.log(bad / allowed) - (bad - allowed))
