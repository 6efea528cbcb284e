"""One leg, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.comparison import sequential
from sparkrelease.decide.facts import Role
from sparkrelease.decide.legs.burn import burn_rate
from sparkrelease.decide.legs.lens import Lens, lenses_of
from sparkrelease.decide.legs.limits import growth, threshold, vs_baseline, vs_stable
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.legs.trends import trend
from sparkrelease.decide.resolve import ResolvedSpec, per_spec
from sparkrelease.decide.rules import Judgement

_TURNED = {Verdict.PASS: (Verdict.FAIL, Reason.OVER_LIMIT), Verdict.FAIL: (Verdict.PASS, Reason.WITHIN_LIMIT)}


Judge = Callable[[Lens, Sight], Judgement]


@per_spec
def judges_of(spec: ResolvedSpec) -> Mapping[str, tuple[tuple[Judge, Lens], ...]]:
    """By trigger, what judges each of its legs: `judge(lens, sight)`.

    Fail when the leg's condition holds, Pass when it does not, otherwise why it cannot be said.
    """
    return {
        name: tuple((_turned if lens.leg.not_ else _BY_KIND[lens.leg.kind], lens) for lens in lenses)
        for name, lenses in lenses_of(spec).items()
    }


def _turned(lens: Lens, sight: Sight) -> Judgement:
    """A leg with `not`, which exchanges Pass and Fail alone: what is not known stays unknown."""
    judgement = _BY_KIND[lens.leg.kind](lens, sight)
    if judgement.verdict not in _TURNED:
        return judgement
    verdict, reason = _TURNED[judgement.verdict]
    return judgement._replace(verdict=verdict, reason=reason)


def _sequential(lens: Lens, sight: Sight) -> Judgement:
    """Canary against stable; while traffic walks back both run the same, and there is nothing to compare."""
    if sight.role is Role.STABLE:
        return lens.unsure(Reason.NOT_ACTIVE, "", "is not compared while traffic walks back")
    return sequential(sight.d, lens.trigger, lens.place, lens.leg)


_BY_KIND: Mapping[LegKind, Judge] = {
    LegKind.THRESHOLD: threshold,
    LegKind.VS_STABLE: vs_stable,
    LegKind.VS_BASELINE: vs_baseline,
    LegKind.GROWTH: growth,
    LegKind.TREND: trend,
    LegKind.BURN_RATE: burn_rate,
    LegKind.SEQUENTIAL: _sequential,
}
