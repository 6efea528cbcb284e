"""Whether a feature flag is in force: what the application's own gauge says, pod by pod."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.flags import LADDER, value_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing, Route, Verification
from sparkrelease.decide.promql import HIGH, LOW, NEWEST, joined
from sparkrelease.decide.selectors import Selector
from sparkrelease.decide.templates import POD_LABELS, Scope, by_of, matchers_of

_MOST_NAMED = 3
"""Pods named in one sentence."""

_NOISE = 1e-6


@dataclass(frozen=True, slots=True)
class Shown:
    """What the series of one pod say: lowest and highest value, and when the oldest of them was scraped (Unix time)."""

    low: float
    high: float
    newest: float

    def agrees(self, share: float) -> bool:
        """Whether all of them show this share."""
        return abs(self.low - share) < _NOISE and abs(self.high - share) < _NOISE


@dataclass(frozen=True, slots=True)
class FlagSeen:
    """The gauge by pod, at one instant; or why nobody can say."""

    at: datetime
    pods: Mapping[str, Shown]
    missing: Missing | None = None


def flag_query(gauge: Selector, namespaces: Iterable[str]) -> str:
    """The gauge of every pod: its extremes, should it have several series, and how old they are."""
    text, by = gauge.text(*matchers_of(POD_LABELS, Scope(tuple(sorted(set(namespaces)))))), by_of(POD_LABELS)
    parts = [
        (LOW, f"min by ({by}) ({text})"),
        (HIGH, f"max by ({by}) ({text})"),
        (NEWEST, f"min by ({by}) (timestamp({text}))"),
    ]
    return joined(parts)


def in_force(route: Route, ready: frozenset[str], seen: FlagSeen | None, since: datetime | None) -> Route:
    """The route with the gauge's word: Verified when every ready pod of canary shows the value, scraped after `since`.

    Where the value was set again since, it is the time of that write that counts. Pods that are not ready serve nobody.
    No answer is not an answer: then it is pending, and says why.
    """
    weight = route.canary_weight
    if weight is None or route.problem is not None:
        return route
    value = value_of(weight) or f"{weight / 100:g}"
    if seen is None:
        return route
    since = max((at for at in (since, route.written_at) if at is not None), default=None)
    if seen.missing is not None:
        return _pending(route, f"nobody can say whether {value} is in force: {seen.missing.message}")
    if not ready:
        return _pending(route, f"canary has no ready pod that could show {value}")
    told = {pod: _why_not(seen.pods.get(pod), weight / 100, since) for pod in sorted(ready)}
    wrong = [f"{pod} {why}" for pod, why in told.items() if why]
    if not wrong:
        return dataclasses.replace(
            route, verification=Verification.VERIFIED, reason=Reason.WEIGHT_VERIFIED, message=f"all pods show {value}"
        )
    named = "; ".join(wrong[:_MOST_NAMED])
    return _pending(route, f"{len(ready) - len(wrong)} of {len(ready)} ready pods show {value}: {named}")


def _why_not(shown: Shown | None, share: float, since: datetime | None) -> str:
    """What a pod shows instead; empty when it shows the share."""
    if shown is None:
        return "shows nothing"
    if not (math.isfinite(shown.low) and math.isfinite(shown.high)):
        return "shows no number"
    if not shown.agrees(share):
        other = shown.low if abs(shown.low - share) >= _NOISE else shown.high
        return f"shows {LADDER.get(round(100 * other, 3), f'{other:g}')}"
    if since is not None and shown.newest < since.timestamp():
        return "was last scraped before the change"
    return ""


def _pending(route: Route, message: str) -> Route:
    return dataclasses.replace(
        route, verification=Verification.PENDING, reason=Reason.FLAG_PENDING, message=message[:256]
    )
