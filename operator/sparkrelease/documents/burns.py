"""How fast the watch saw the error budget burn, by pair of windows."""

from __future__ import annotations

from dataclasses import dataclass

from sparkrelease.api.status import Verdict
from sparkrelease.decide.burnrates import burn_factors, judge_burns
from sparkrelease.documents.record import Decision, Run
from sparkrelease.documents.results import facts_of, judged_in, verdict_of


@dataclass(frozen=True, slots=True)
class Burn:
    """One burn rate at one check; `value` has the rate over each of its windows."""

    rule: str
    metric: str
    verdict: Verdict
    value: str
    said: str


def burns_of(run: Run, decision: Decision) -> tuple[Burn, ...]:
    """The burn rates as a check saw them: the verdicts as they were stored; empty where there was no check of any."""
    judged, metric = judged_in(decision), run.spec.burn_metric
    if judged is None or metric is None:
        return ()
    verdicts, _, readings = judged
    facts = {str(name): facts_of(data) for name, data in readings.items()}
    spans = {name: one for name, one in facts.items() if one is not None}
    found = ((rule, verdict_of(verdicts.get(rule)), said) for rule, said in judge_burns(run.spec, spans).items())
    return tuple(
        Burn(rule, metric, verdict, said.value, said.message) for rule, verdict, said in found if verdict is not None
    )


def burn_limits(run: Run) -> dict[str, str]:
    """The limit of each burn rate the run was to keep, in words."""
    return {rule: f"≤ {factor:g}x" for rule, factor in burn_factors(run.spec).items()}
