"""Kayenta's judge (NetflixACAJudge with MannWhitneyClassifier, tolerance 0.25, confidence 0.98).

Points of canary and of control, one a minute, are compared as two samples. A metric is High when the lower end of the
confidence interval of the Hodges-Lehmann shift lies above a quarter of the shift itself. The interval is that of the
normal approximation, read off the ordered pairwise differences.
"""

from __future__ import annotations

from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.25
CONFIDENCE = 0.98
EVERY = 300.0
"""Seconds between two judgements."""

POINT = 60.0
"""Seconds a point stands for."""


class Class(StrEnum):
    """How a metric is classified. Only an increase is bad here, so Low is not told apart from Pass."""

    PASS = "Pass"
    HIGH = "High"
    NO_DATA = "Nodata"


def classify(canary: Floats, control: Floats, *, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE) -> Class:
    """Classifies one metric. NaN points are removed first, as the judge does by default."""
    canary, control = canary[~np.isnan(canary)], control[~np.isnan(control)]
    if canary.size == 0 or control.size == 0:
        return Class.NO_DATA
    if np.array_equal(np.sort(canary), np.sort(control)) or np.unique(np.concatenate([canary, control])).size == 1:
        return Class.PASS
    estimate, low = shift(canary, control, confidence)
    return Class.HIGH if low > tolerance * abs(estimate) else Class.PASS


def shift(canary: Floats, control: Floats, confidence: float) -> tuple[float, float]:
    """Hodges-Lehmann estimate of canary above control, and the lower end of its two-sided confidence interval."""
    differences = np.sort(np.subtract.outer(canary, control), axis=None)
    m, n = canary.size, control.size
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    place = int(np.floor(m * n / 2 - z * np.sqrt(m * n * (m + n + 1) / 12)))
    low = float(differences[place]) if place >= 0 else float("-inf")
    return float(np.median(differences)), low
