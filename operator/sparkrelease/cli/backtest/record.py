"""Keeps what a backtest sees of rules, decisions and readings, in bounded space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sparkrelease.api.comparison import ComparisonTest
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict, SparkReleaseStatus, Verdict
from sparkrelease.cli.backtest.outcome import Ending, Incident, Line, RuleSeen, Told, Trial, Trials
from sparkrelease.decide.facts import MetricFacts
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate.moved import shown
from sparkrelease.simulate.service import Traffic, service_of

PARTS = 600
"""Points of a line in the chart; of each part of the history the highest value is kept."""

MOST_TOLD = 2000

_COURSE = frozenset(
    {
        Reason.RUN_STARTED,
        Reason.STAGE_ENTERED,
        Reason.GATE_PASSED,
        Reason.PROMOTED,
        Reason.CHECKPOINT,
        Reason.ROLLED_BACK,
    }
)
"""Entries of a release that goes its way."""

_GATES = frozenset({Reason.GATE_PASSED, Reason.GATE_FAILED, Reason.GATE_INCONCLUSIVE})


class Recorder:
    """Notes of one backtest. A rule's verdict that did not change is counted and not kept."""

    def __init__(
        self, spec: ResolvedSpec, begin: datetime, end: datetime, step: timedelta, incidents: Sequence[Incident] = ()
    ) -> None:
        self.trials = Trials(step, incidents)
        self.told: list[Told] = []
        self.untold = 0
        """Decisions beyond MOST_TOLD."""
        self._begin, self._step = begin, step
        self._part = max((end - begin) / PARTS, step)
        self._waits = {trigger.name: trigger.for_ for trigger in spec.triggers}
        triggers = [RuleSeen(one.name, "trigger", one.action.value) for one in spec.triggers]
        thresholds = [RuleSeen(one.name, "threshold", "gate") for one in spec.thresholds]
        tests = [RuleSeen(f"comparison/{t.metric}", "comparison", "rollback") for t in _tests(spec)]
        self.rules = {(one.kind, one.name): one for one in (*triggers, *thresholds, *tests)}
        self._drawn = {name: shown(model) for name, model in service_of(spec, Traffic()).every.items()}
        self._highest: dict[str, dict[int, float]] = {metric.name: {} for metric in spec.metrics}

    # ------------------------------------------------------------ noting

    def note_entries(self, entries: Sequence[EntryDraft], now: datetime) -> None:
        """Gates that were judged, and decisions that are not the usual course of a release."""
        for entry in entries:
            verdicts = entry.data.get("verdicts")
            if isinstance(verdicts, Mapping) and entry.kind in _GATES:
                self._note_gate(verdicts, entry, now)
            if entry.kind in _COURSE:
                continue
            if len(self.told) < MOST_TOLD:
                self.told.append(Told(now, entry.kind.value, entry.message))
            else:
                self.untold += 1

    def _note_gate(self, verdicts: Mapping[str, object], entry: EntryDraft, now: datetime) -> None:
        for name, verdict in verdicts.items():
            seen = self.rules.get(("threshold", name))
            if seen is None:
                continue
            told = next((one for one in Verdict if one.value == verdict), Verdict.ERROR)
            seen.looks[told] += 1
            if told is Verdict.FAIL:
                seen.act(seen.begin(now, entry.message), now, entry.message)
                seen.rollbacks += 1

    def note_status(self, status: SparkReleaseStatus, now: datetime) -> None:
        """What every rule says now. A gate that waits for more requests has not been judged yet."""
        for verdict in status.verdicts:
            seen = self.rules.get((verdict.kind, verdict.rule))
            if seen is None or verdict.kind == "threshold":
                continue
            seen.looks[verdict.verdict] += 1
            if verdict.verdict is Verdict.FAIL:
                self._note_true(seen, verdict, now)

    def _note_true(self, seen: RuleSeen, verdict: RuleVerdict, now: datetime) -> None:
        last = seen.last
        if last is None or now - last.end > self._step:
            last = seen.begin(now, verdict.message)
        seen.stay(last, now)
        since = verdict.since or now
        if last.acted_at is None and now - since >= self._waits.get(seen.name, timedelta(0)):
            seen.act(last, now, verdict.message)

    def note_readings(self, readings: Mapping[str, MetricFacts], now: datetime) -> None:
        """Canary's value of every metric."""
        part = (now - self._begin) // self._part
        for name, facts in readings.items():
            drawn = self._drawn.get(name)
            # Without a limit of a rule there is no edge that anybody asked about.
            value = None if drawn is None or (drawn.edge and not drawn.limits) else drawn.number(facts.canary)
            if value is not None:
                known = self._highest[name].get(part)
                self._highest[name][part] = value if known is None else max(known, value)

    def note_trial(self, trial: Trial) -> None:
        """A release has ended; a rollback is the deed of its rule, too."""
        self.trials.note(trial)
        for seen in self.rules.values() if trial.ending is Ending.ROLLED_BACK else ():
            if seen.name == trial.rule and seen.kind != "threshold":
                seen.rollbacks += 1

    # ------------------------------------------------------------ telling

    def lines(self) -> tuple[Line, ...]:
        """The metrics that have a value, those of rules first."""
        found = []
        begin, each = self._begin.timestamp(), self._part.total_seconds()
        for name, parts in self._highest.items():
            points = tuple((begin + (part + 0.5) * each, value) for part, value in sorted(parts.items()))
            if points:
                drawn = self._drawn[name]
                what = drawn.title.removeprefix(f"{name}: ") if drawn.edge else ""
                found.append(Line(name, drawn.unit, points, drawn.limits, what))
        return tuple(found)


def _tests(spec: ResolvedSpec) -> Sequence[ComparisonTest]:
    return spec.comparison.tests if spec.comparison is not None else ()
