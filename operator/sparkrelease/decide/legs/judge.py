"""One leg, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.comparison import sequential
from sparkrelease.decide.facts import Role
from sparkrelease.decide.legs.burn import burn_rate
from sparkrelease.decide.legs.lens import Lens
from sparkrelease.decide.legs.limits import growth, threshold, vs_baseline, vs_stable
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.legs.trends import trend
from sparkrelease.decide.rules import Judgement

_TURNED = {Verdict.PASS: (Verdict.FAIL, Reason.OVER_LIMIT), Verdict.FAIL: (Verdict.PASS, Reason.WITHIN_LIMIT)}


def judge_leg(lens: Lens, sight: Sight) -> Judgement:
    """Fail when the leg's condition holds, Pass when it does not, otherwise why it cannot be said.

    `not` exchanges Pass and Fail alone: what is not known stays unknown.
    """
    leg = lens.leg
    judgement = _BY_KIND[leg.kind](lens, sight)
    if not leg.not_ or judgement.verdict not in _TURNED:
        return judgement
    verdict, reason = _TURNED[judgement.verdict]
    return judgement._replace(verdict=verdict, reason=reason)


def _sequential(lens: Lens, sight: Sight) -> Judgement:
    """Canary against stable; while traffic walks back both run the same, and there is nothing to compare."""
    if sight.role is Role.STABLE:
        return lens.unsure(Reason.NOT_ACTIVE, "", "is not compared while traffic walks back")
    return sequential(sight.d, lens.trigger, lens.place, lens.leg)


_BY_KIND: Mapping[LegKind, Callable[[Lens, Sight], Judgement]] = {
    LegKind.THRESHOLD: threshold,
    LegKind.VS_STABLE: vs_stable,
    LegKind.VS_BASELINE: vs_baseline,
    LegKind.GROWTH: growth,
    LegKind.TREND: trend,
    LegKind.BURN_RATE: burn_rate,
    LegKind.SEQUENTIAL: _sequential,
}
