"""All that documents tell of a run, worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sparkrelease.api.status import Outcome, TestState, Verdict
from sparkrelease.decide.facts import Finding, MetricFacts
from sparkrelease.documents.burns import Burn, burn_limits
from sparkrelease.documents.people import (
    NOT_PART,
    Checked,
    Signature,
    Signed,
    Spoken,
    checks_of,
    commands_of,
    signatures_of,
    signed_of,
)
from sparkrelease.documents.record import Ending, Run
from sparkrelease.documents.results import Result, limits_of
from sparkrelease.documents.risks import Held, Risk, holds_of, risks_of
from sparkrelease.documents.rollbacks import Rollback, rollback_of
from sparkrelease.documents.visits import Left, Visit, visits_of
from sparkrelease.documents.words import LEFT, MARKS, count, given, span, value

_TITLES = {
    Outcome.SETTLED: "Promoted and settled",
    Outcome.ROLLED_BACK: "Rolled back",
    Outcome.SUPERSEDED: "Superseded",
    Outcome.CANCELLED: "Cancelled",
    Outcome.DELETED: "Deleted",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a template is given."""

    run: Run
    ending: Ending | None
    visits: tuple[Visit, ...]
    rollback: Rollback | None
    commands: tuple[Spoken, ...]
    signatures: tuple[Signature, ...]
    signed: tuple[Signed, ...]
    findings: tuple[Finding, ...]
    checks: tuple[Checked, ...]
    first: Mapping[str, MetricFacts]
    """The first readings of the run."""
    tests: tuple[TestState, ...]
    holds: tuple[Held, ...]
    risks: tuple[Risk, ...]
    not_part: str = NOT_PART

    @property
    def stages(self) -> tuple[Visit, ...]:
        """The stages as they came."""
        return tuple(visit for visit in self.visits if not visit.settling)

    @property
    def looked(self) -> tuple[Visit, ...]:
        """The stages of which something was judged."""
        return tuple(visit for visit in self.stages if visit.results or visit.burns)

    @property
    def settling(self) -> tuple[Visit, ...]:
        """The steps of the way back to stable."""
        return tuple(visit for visit in self.visits if visit.settling)

    @property
    def verdict(self) -> str:
        """The outcome in two or three words."""
        if self.ending is not None:
            dry = self.ending.reason == "DryRun"
            return "Dry run finished" if dry else _TITLES.get(self.ending.outcome, self.ending.outcome.value)
        if self.run.promoted_at is not None:
            return "Promoted"
        return "Rolling back" if self.rollback is not None else "Under way"

    @property
    def tone(self) -> str:
        """`good`, `bad` or `open`."""
        if self.rollback is not None:
            return "bad"
        settled = self.ending is not None and self.ending.outcome is Outcome.SETTLED
        return "good" if settled or (self.ending is None and self.run.promoted_at is not None) else "open"

    @property
    def lasted(self) -> timedelta:
        """From the start to the promotion or the end."""
        end = self.run.promoted_at or (self.ending.at if self.ending is not None else self.run.last_at)
        return end - self.run.started_at

    @property
    def highest(self) -> float:
        """The highest weight canary was to have, in percent."""
        return max((visit.weight for visit in self.stages), default=0.0)

    @property
    def unseen(self) -> str:
        """That canary answered no user, where it was given nothing but copies."""
        shadowed = any(visit.mirror for visit in self.visits)
        return ", before any user saw it" if shadowed and not any(visit.weight for visit in self.visits) else ""

    @property
    def passed(self) -> int:
        """Stages whose gate passed."""
        names = {stage.name for stage in self.run.spec.stages}
        return len({visit.name for visit in self.stages if visit.left is Left.PASSED} & names)

    def files(self, kind: str) -> tuple[Checked, ...]:
        """Checks that looked at files of a kind: `sbom`, `provenance`."""
        return tuple(one for one in self.checks if one.kind == kind)

    def status(self, visit: Visit) -> str:
        """How the stage was left."""
        return LEFT[visit.left]

    def score(self, visit: Visit) -> str:
        """`6/6`; what no gate judged is said to be the last look. Burn rates are told beside."""
        text = self._objectives(visit)
        if not visit.burns:
            return text
        return f"{text}, burn rates {sum(one.verdict is Verdict.PASS for one in visit.burns)}/{len(visit.burns)}"

    def _objectives(self, visit: Visit) -> str:
        if not self.run.spec.thresholds:
            return "none declared"
        if not visit.results:
            return "not judged"
        text = f"{visit.passing}/{len(visit.results)}"
        return f"{text} ({visit.sight})" if visit.sight else text

    def stayed(self, visit: Visit) -> str:
        """How long its weight was asked for."""
        return span(visit.left_at - visit.entered_at) if visit.left_at is not None else "under way"

    def result(self, visit: Visit, threshold: str) -> Result | None:
        """What an objective came to in a stage; None when nothing says."""
        return next((one for one in visit.results if one.threshold == threshold), None)

    @property
    def burn_limits(self) -> Mapping[str, str]:
        """By burn rate of the watch, its limit in words."""
        return burn_limits(self.run)

    def burn(self, visit: Visit, rule: str) -> Burn | None:
        """What a burn rate came to in a stage; None where none was looked at."""
        return next((one for one in visit.burns if one.rule == rule), None)

    def number(self, result: Result, *, stable: bool = False) -> str:
        """The value of an objective as people read it."""
        return value(self.run.spec.metric(result.metric), result.stable if stable else result.number)

    def mark(self, result: Result | Burn) -> str:
        """Mark and word of a verdict."""
        return f"{MARKS[result.verdict]} {result.verdict.value}"

    def symbol(self, result: Result | Burn) -> str:
        """Mark of a verdict; the word stands beside it, for those who hear a page."""
        return MARKS[result.verdict]

    def limit(self, threshold: str) -> str:
        """The limits of an objective in words."""
        rule = next(one for one in self.run.spec.thresholds if one.name == threshold)
        metric = self.run.spec.metric(rule.metric)
        found = [f"{sign} {value(metric, bound)}" for sign, bound in limits_of(self.run, rule)]
        if rule.max_vs_baseline is not None and self.run.baseline(rule.metric) is None:
            found.append(f"≤ {rule.max_vs_baseline:g}x a baseline that is not known")
        return ", ".join(found)

    @property
    def sentence(self) -> str:
        """What happened, in one sentence or two."""
        run, rollback = self.run, self.rollback
        stages = f"{self.passed} of {count(len(run.spec.stages), 'stage')} passed"
        if rollback is not None:
            took = f" in {rollback.seconds:.3g} s" if rollback.seconds is not None else ""
            where = f" in stage {rollback.stage}" if rollback.stage else ""
            return (
                f"{run.version} went back from {given(rollback.from_weight, rollback.from_mirror)} to 0 %{took}{where}"
                f"{self.unseen}: {rollback.message}"
            )
        if run.promoted_at is not None:
            rest = " Stable serves it now." if self.ending is not None else " Stable does not serve it yet."
            return f"{run.version} was promoted after {span(self.lasted)}; {stages}.{rest}"
        if self.ending is not None:
            return f"{self.ending.message}; {stages}."
        return f"{run.version} is under way; {stages} so far."


def view_of(run: Run) -> View:
    """Works everything out."""
    visits = visits_of(run)
    return View(
        run=run,
        ending=run.ending,
        visits=visits,
        rollback=rollback_of(run),
        commands=commands_of(run),
        signatures=signatures_of(run),
        signed=signed_of(run),
        findings=_findings(run),
        checks=checks_of(run),
        first=_first(run),
        tests=_tests(run),
        holds=holds_of(run),
        risks=risks_of(run, visits),
    )


def _findings(run: Run) -> tuple[Finding, ...]:
    """What the last checks before the first weight found without keeping it from that."""
    for decision in reversed(run.decisions):
        if decision.inputs is not None and decision.inputs.facts.preflight is not None:
            return decision.inputs.facts.preflight
    return ()


def _first(run: Run) -> Mapping[str, MetricFacts]:
    """What the first decision that had readings had read."""
    for decision in run.decisions:
        if decision.inputs is not None and decision.inputs.facts.metrics:
            return decision.inputs.facts.metrics
    return {}


def _tests(run: Run) -> tuple[TestState, ...]:
    """What the comparisons had accumulated when evidence last kept it."""
    for decision in reversed(run.decisions):
        if decision.inputs is not None and decision.inputs.status.tests:
            return decision.inputs.status.tests
    return ()
