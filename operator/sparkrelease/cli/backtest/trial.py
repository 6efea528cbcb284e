"""Releases one after the other over a past: the real measuring, the real `decide`, and a clock that history turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.status import Outcome as RunOutcome
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.cli.backtest.outcome import Ending, Trial
from sparkrelease.cli.backtest.record import Recorder
from sparkrelease.cli.backtest.rewind import Rewind
from sparkrelease.decide.facts import Baseline, Facts, MetricFacts, Missing, Route, Side, Verification
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan, ReleaseRoute, SetWeight, Wants
from sparkrelease.decide.resolve import ResolvedSpec, digest
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.needs import counted_since
from sparkrelease.ports.cluster import ObjectKey

_ROUNDS = 8
"""Decisions at one instant, as many as a round of the engine has."""

_PATIENCE = 3
"""Times the stages' time after which a release that was neither promoted nor rolled back is given up."""

_STABLE = Side(exists=True, ready=3, fingerprints=frozenset({"stable"}))
_CANARY = Side(exists=True, ready=3, fingerprints=frozenset({"canary"}))
_AT_REST = Route(exists=True, canary_weight=0.0, generation=1, verification=Verification.VERIFIED, original="{}")


@dataclass(frozen=True, slots=True)
class Span:
    """Which past, and how often it is looked at."""

    begin: datetime
    end: datetime
    step: timedelta

    @property
    def looks(self) -> int:
        """Instants looked at."""
        return (self.end - self.begin) // self.step + 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tried on which past, asked of which server."""

    key: ObjectKey
    spec: ResolvedSpec
    config: OperatorConfig
    source: Rewind
    span: Span


async def run_trials(setting: Setting, recorder: Recorder, on_look: Callable[[], None]) -> Missing | None:
    """Tries releases back to back until the past is over; the Missing says why the server could not be asked on."""
    driver, source, span = _Driver(setting, recorder), setting.source, setting.span
    for place in range(span.looks):
        await driver.look(span.begin + place * span.step)
        if source.problem is not None:
            break
        on_look()
    driver.cut_off()
    return source.problem


class _Driver:
    """The release under way."""

    def __init__(self, setting: Setting, recorder: Recorder) -> None:
        self._key, self._spec, self._config = setting.key, setting.spec.stages_alone(), setting.config
        self._source = setting.source
        self._recorder = recorder
        self._measuring = Measurements(setting.source, setting.config)
        self._measuring.follow(setting.key, setting.spec)
        self._digest = digest(self._spec)
        self._limit = _PATIENCE * sum((stage.duration for stage in setting.spec.stages), timedelta(0))
        self._now = setting.span.begin
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._status = SparkReleaseStatus()
        self._route = _AT_REST
        self._begun: datetime | None = None

    # ------------------------------------------------------------ one instant

    async def look(self, now: datetime) -> None:
        """Measures and decides as of then, until there is nothing more to do at that instant."""
        self._now = self._source.now = now
        await self._measuring.tick(now)
        await self._source.idle()
        if self._begun is None:
            self._begun = now
        wants = Wants()
        for _ in range(_ROUNDS):
            plan = decide(self._spec, self._status, await self._facts(wants), now)
            asks = plan.wants != Wants() and plan.wants != wants
            wants = plan.wants if asks else Wants()
            self._status = plan.status
            self._obey(plan)
            self._recorder.note_entries(plan.entries, now)
            if not asks and plan.route is None and not plan.entries:
                break
        self._recorder.note_status(self._status, now)
        self._recorder.note_readings(self._measuring.readings(self._key), now)
        self._end_trial()

    async def _facts(self, wants: Wants) -> Facts:
        measuring, key, spec = self._measuring, self._key, self._spec
        since = counted_since(spec, self._status)
        facts = Facts(
            namespace=key.namespace,
            name=key.name,
            uid="backtest",
            generation=1,
            tick=self._config.tick,
            epoch=1,
            has_finalizer=True,
            resolved_digest=self._digest,
            wanted_version=spec.version,
            route=self._route,
            stable=_STABLE,
            canary=_CANARY,
            metrics=measuring.readings(key),
            asked=measuring.asked_besides(key),
            history=measuring.histories(key),
            windows=measuring.windows(key, since) if since else {},
        )
        if wants.preflight:
            baselines: Mapping[str, Baseline] = await measuring.baselines(key, spec, self._now)
            facts = dataclasses.replace(facts, preflight=(), baselines=baselines)
        if wants.gate_over is not None:
            gate: Mapping[str, MetricFacts] = await measuring.gate(key, spec, wants.gate_over, self._now)
            facts = dataclasses.replace(facts, gate=gate)
        return facts

    def _obey(self, plan: Plan) -> None:
        match plan.route:
            case SetWeight(canary, mark, mirror):
                self._route = dataclasses.replace(
                    self._route,
                    canary_weight=canary,
                    mark=mark,
                    mirror=mirror,
                    generation=self._route.generation + 1,
                    written_at=self._now,
                )
            case ReleaseRoute():
                self._route = dataclasses.replace(self._route, canary_weight=0.0, mark=None, mirror=0.0)
            case None:
                pass

    # ------------------------------------------------------------ ends

    def _end_trial(self) -> None:
        run = self._status.run
        begun = self._begun or self._now
        if run is not None and run.end is RunOutcome.ROLLED_BACK:
            self._close(Ending.ROLLED_BACK)
        elif run is not None and run.promoted_at is not None:
            self._close(Ending.PROMOTED)
        elif self._now - begun >= self._limit:
            self._close(Ending.HELD)

    def cut_off(self) -> None:
        """The past is over."""
        if self._begun is not None:
            self._close(Ending.CUT_OFF)

    def _close(self, ending: Ending) -> None:
        rollback = self._status.rollback if ending is Ending.ROLLED_BACK else None
        said = find(self._status.conditions, ConditionType.READY)
        sentence = rollback.message if rollback is not None else ""
        if ending is Ending.HELD and said is not None:
            sentence = said.message
        rule, stage = (rollback.trigger, rollback.stage) if rollback is not None else ("", "")
        self._recorder.note_trial(Trial(self._begun or self._now, self._now, ending, rule, stage, sentence))
        self._begin_anew()
