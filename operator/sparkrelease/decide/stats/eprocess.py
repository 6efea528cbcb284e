"""The always-valid test: whether canary's share of bad events is more than `margin` times stable's.

Each disjoint window is a stratum of its own, with n requests and b bad ones per role. If canary's share were r times
stable's, whatever that is now, its part of the bad events would be `r*w / (r*w + 1 - w)`, `w = n_c / (n_c + n_s)`.
The logarithm of the likelihood of r against the margin is summed over windows:

    L(r) += f * (b_c * ln(r/margin) - (b_c + b_s) * ln((r*w + 1 - w) / (margin*w + 1 - w)))

Take f = 1 and independent requests whose shares obey p_c <= margin * p_s within each window. With a = r/margin and
b = (margin*w + 1 - w)/(r*w + 1 - w), the mean of exp(increment) is (1 + p_c*(a*b - 1))^n_c * (1 + p_s*(b - 1))^n_s,
which is at most exp(n_c*p_c*(a*b - 1) + n_s*p_s*(b - 1)), which is at most 1: for every margin and weight, and for
every level of p_s, moving or not. So every mixture of exp(L(r)) over r > margin and over beginnings is an e-process,
and by Ville's inequality it ever reaches k on a healthy release with a probability of at most 1/k, however often it is
looked at.

Requests of real services are not independent: shares wobble from minute to minute. The shrink
f = 1/(1 + 2*s2*m*w*(1 - w)), with m bad events a minute and s2 the relative variance seen before the run, is what the
increment would be worth were the wobble normal. That is a heuristic, not a theorem; f is 1 where the baseline shows
no wobble.

Most of the mixture begins with the run, the rest at the later stages, so that good evidence of early stages cannot
hide a late defect. What began earlier is `carried` into the stage as one weight per alternative, which makes the
state's size independent of the number of stages.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

MULTIPLES = (
    *(0.05, 0.1, 1 / 6, 0.25, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0),
    *(1.1, 1.2, 4 / 3, 1.6, 2.0, 2.5, 3.2, 4.0, 5.5, 8.0, 11.0, 16.0, 40.0, 150.0),
)
"""Ratios looked at, in multiples of the margin: ends of the confidence interval fall on these."""

ALTERNATIVES = tuple(MULTIPLES.index(m) for m in (1.2, 1.6, 2.5, 4.0, 8.0, 16.0, 40.0, 150.0))
"""Places of the ratios that are mixed into the test; few, because each one costs the others part of the evidence."""

FAILING = (0.25, 0.5, 1.5, 1.5, 1.0, 1.0, 1.2, 0.6)
"""Weights of the alternatives where bad requests are rare and a version that is worse is often so many times over."""

SLOW = (0.2, 0.3, 0.25, 0.12, 0.07, 0.04, 0.015, 0.005)
"""Weights where events are slow ones: of a common share there can never be many times as much."""

TALLIES = 4
"""Bad events of canary and of stable, and the two sums of the Mantel-Haenszel ratio."""

_PLACES = tuple(TALLIES + place for place in ALTERNATIVES)

FIRST = 0.8
"""Weight of the beginning that is the run's own: most bad versions are bad from the start. It costs a late defect one
bad event or two more than an even share would."""

_MOST_LOG = 600.0
_LEAST_CHANCE = 1e-280
"""Chances below this are no longer exact, and so no ground to reject anything."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """What a margin is tested against; the same for every window."""

    margin: float
    ratios: tuple[float, ...]
    logs: tuple[float, ...]
    """Of ratio / margin."""
    beyond: tuple[float, ...]
    """ratio - margin."""
    prior: tuple[float, ...]
    """Logarithm of the weight of each alternative."""


@lru_cache(maxsize=64)
def hypotheses(margin: float, weights: tuple[float, ...] = FAILING) -> Hypotheses:
    """The ratios for this margin, the alternatives mixed by these weights."""
    return Hypotheses(
        margin,
        tuple(margin * m for m in MULTIPLES),
        tuple(math.log(m) for m in MULTIPLES),
        tuple(margin * m - margin for m in MULTIPLES),
        tuple(math.log(weight / sum(weights)) for weight in weights),
    )


class Channel(NamedTuple):
    """One question a test asks: bad events, or events slower than one edge of a histogram.

    `stage` and `before` are sums over the stage under way and over the run before it: the tallies, then L per ratio.
    `carried` is ln of the weight of each alternative at the stage's start. All are float32: rounding is part of the
    algorithm, so that what is read back from a status goes on exactly as if nothing had happened.
    """

    edge: float
    carried: array[float]
    stage: array[float]
    before: array[float]

    @property
    def run(self) -> array[float]:
        """Sums over the whole run."""
        return _added(self.before, self.stage)


def _nothing() -> array[float]:
    return array("f", bytes(4 * (TALLIES + len(MULTIPLES))))


def _added(one: array[float], other: array[float]) -> array[float]:
    return array("f", [a + b for a, b in zip(one, other, strict=True)])


def channel(h: Hypotheses, edge: float = 0.0) -> Channel:
    """A channel at the start of a run."""
    return Channel(edge, array("f", [p + math.log(FIRST) for p in h.prior]), _nothing(), _nothing())


def begin_again(ch: Channel, h: Hypotheses, weight: float) -> Channel:
    """The channel at the start of another stage, from which `weight` of the mixture begins."""
    logs = [ch.stage[TALLIES + place] for place in ALTERNATIVES]
    new = math.log(weight)
    carried = [_log_sum([c + moved, p + new]) for c, moved, p in zip(ch.carried, logs, h.prior, strict=True)]
    return Channel(ch.edge, array("f", carried), _nothing(), ch.run)


def later_weight(begun: int, stages: int) -> float:
    """Weight of one beginning after the first; 0 when as many stages have begun as were planned.

    One more than the stages is planned for: the time after the promotion.
    """
    return (1 - FIRST) / stages if begun <= stages else 0.0


def idle_weight(begun: int, stages: int) -> float:
    """Weight of the beginnings that are still to come."""
    return max((1 - FIRST) * (stages + 1 - begun) / stages, 0.0)


class Stratum(NamedTuple):
    """What all channels of one window share.

    `weight` is canary's part of the requests, `wobble` what each bad event takes from the evidence, and `factors`
    hold ln((ratio*w + 1 - w) / (margin*w + 1 - w)).
    """

    weight: float
    wobble: float
    factors: tuple[float, ...]


def stratum(h: Hypotheses, canary: float, stable: float, spread_a_minute: float) -> Stratum:
    """For a window with this many requests per role, both more than none.

    `spread_a_minute` is the relative variance beyond chance times the number of such windows a minute has.
    """
    w = canary / (canary + stable)
    scale = w / (h.margin * w + 1 - w)
    log1p = math.log1p
    factors = tuple([log1p(beyond * scale) for beyond in h.beyond])
    return Stratum(w, 2 * spread_a_minute * w * (1 - w), factors)


def observe(ch: Channel, h: Hypotheses, seen: Stratum, canary: float, stable: float) -> Channel:
    """Adds the bad events of one window."""
    w, bad = seen.weight, canary + stable
    if bad <= 0:
        return ch
    f = 1 / (1 + seen.wobble * bad)
    mine, all_ = f * canary, f * bad
    was = ch.stage.tolist()
    tallies = [was[0] + canary, was[1] + stable, was[2] + canary * (1 - w), was[3] + stable * w]
    logs = [old + mine * up - all_ * down for old, up, down in zip(was[TALLIES:], h.logs, seen.factors, strict=True)]
    return Channel(ch.edge, ch.carried, array("f", tallies + logs), ch.before)


def log_evidence(ch: Channel, idle: float) -> float:
    """Logarithm of the e-value; `idle` is the weight of the beginnings still to come."""
    stage = ch.stage
    found = [c + stage[place] for c, place in zip(ch.carried, _PLACES, strict=True)]
    if idle > 0:
        found.append(math.log(idle))
    return _log_sum(found)


def mixed(h: Hypotheses, sums: array[float]) -> float:
    """Logarithm of the mixture over alternatives of these sums alone."""
    return _log_sum([p + sums[TALLIES + place] for p, place in zip(h.prior, ALTERNATIVES, strict=True)])


def ratio(sums: array[float]) -> float | None:
    """Canary's share of bad events over stable's, each window compared with itself (Mantel-Haenszel); None unknown."""
    return sums[2] / sums[3] if sums[3] > 0 else None


def interval(h: Hypotheses, sums: array[float], log_limit: float) -> tuple[float | None, float | None]:
    """The ratios that the same test does not reject: one-sided from below and from above, each at the limit.

    The ends lie on the grid, outwards; None where the interval is open.
    """
    logs = sums[TALLIES:].tolist()
    most = max(logs)
    exp = math.exp
    chances = [exp(log - most) for log in logs]
    limit = math.exp(min(log_limit, _MOST_LOG))
    high, low = _first_rejected(chances, limit), _first_rejected(chances[::-1], limit)
    return (None if low is None else h.ratios[-1 - low], None if high is None else h.ratios[high])


def _first_rejected(chances: list[float], limit: float) -> int | None:
    """The first place that is rejected in favour of the even mixture of the places before it."""
    before = 0.0
    for place, chance in enumerate(chances):
        if before > _LEAST_CHANCE and before >= limit * place * chance:
            return place
        before += chance
    return None


def _log_sum(logs: list[float]) -> float:
    most, exp = max(logs), math.exp
    return most + math.log(sum([exp(x - most) for x in logs]))
