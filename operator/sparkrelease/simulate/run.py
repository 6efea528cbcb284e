"""One simulated run: the real `decide`, round after round, with a clock turned by hand and traffic that obeys it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.status import Outcome, SparkReleaseStatus
from sparkrelease.decide.facts import Baseline, Facts, MetricFacts, Route, Side, Verification
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan, ReleaseRoute, SetWeight, Wants
from sparkrelease.decide.resolve import ResolvedSpec, digest
from sparkrelease.simulate.chance import Chance, Seeded
from sparkrelease.simulate.moved import moved_by
from sparkrelease.simulate.observe import Observer, Seen
from sparkrelease.simulate.outcome import Ending, Hold, Passed, Point, Result, Story
from sparkrelease.simulate.scenario import Scenario
from sparkrelease.simulate.service import Traffic, service_of
from sparkrelease.simulate.stream import MINUTE, Stream

BEGIN = datetime(2026, 1, 5, 11, 0, tzinfo=UTC)
"""When every simulated service comes up: a Monday, so that rules for working days are looked at."""

BEFORE = timedelta(hours=1)
"""How long stable serves alone before the run, for its baselines."""

_LAST = timedelta(minutes=5)
"""Before the run it is scraped once a minute, and in the end as often as later."""

_ROUNDS = 8
"""Decisions at one instant, as many as a round of the engine has."""

_PATIENCE = 3
"""Times the declared stages' time after which a run that was neither promoted nor rolled back is held."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tried on what. `lag`: scrapes that pass between a decision and the first request that follows it."""

    spec: ResolvedSpec
    scenario: Scenario
    traffic: Traffic = field(default_factory=Traffic)
    lag: int = 1


def simulate(setting: Setting, seed: int, *, chance: Chance | None = None, story: bool = False) -> Result:
    """Tries a release once. The same setting and seed give the same result, to the byte."""
    return _Run(setting, seed, chance or Seeded(seed), story=story).result()


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs with seeds from `first` on, for one process; of the first one the `story` may be kept."""

    setting: Setting
    first: int
    runs: int
    story: bool = False


def simulate_batch(batch: Batch) -> tuple[Result, ...]:
    """The runs one after the other. Which process makes them changes nothing in them."""
    return tuple(
        simulate(batch.setting, batch.first + number, story=batch.story and number == 0) for number in range(batch.runs)
    )


class _Run:
    """A release, its stream, and what the operator did."""

    def __init__(self, setting: Setting, seed: int, chance: Chance, *, story: bool) -> None:
        self._spec = setting.spec.stages_alone().model_copy(update={"paused": False})
        self._seed = seed
        self._lag = setting.lag
        self._tick = setting.traffic.scrape
        self._stages = sum((stage.duration for stage in self._spec.stages), timedelta(0))
        self._digest = digest(self._spec)
        service = service_of(self._spec, setting.traffic)
        moved = moved_by(setting.scenario, service)
        begin = (BEGIN + BEFORE).timestamp()
        self._stream = Stream(service, setting.scenario, setting.traffic, chance, begin=begin, stages=self._stages)
        self._observer = Observer(self._spec, self._stream)
        self._now = BEGIN + BEFORE
        self._status = SparkReleaseStatus()
        self._route = Route(
            exists=True, canary_weight=0.0, generation=1, verification=Verification.VERIFIED, original="{}"
        )
        self._in_force: list[tuple[float, float]] = [(0.0, 0.0)] * (self._lag + 1)
        """Weights and mirrors on their way to the requests, those in force first."""
        self._ended = False
        self._story = Story(moved) if story else None
        self._held = timedelta(0)
        self._rolled_back_at: datetime | None = None

    # ------------------------------------------------------------ the whole

    def result(self) -> Result:
        """Turns the clock until the run ends."""
        self._serve_before()
        self._decide()
        run = self._status.run
        if run is None:
            return self._refused()
        started, limit = run.started_at, self._now + _PATIENCE * self._stages
        while not self._over() and self._now < limit:
            self._turn(started)
        self._drain()
        return self._told(started)

    def _serve_before(self) -> None:
        """Stable alone: what baselines and the first windows look back on."""
        stream, end = self._stream, self._now.timestamp()
        stream.now = BEGIN.timestamp()
        stream.advance(stream.now, 0.0)
        tick = self._tick.total_seconds()
        close = end - max(_LAST.total_seconds(), tick)
        while stream.now < end - 1e-6:
            stream.advance(min(stream.now + (MINUTE if stream.now < close - 1e-6 else tick), end), 0.0)

    def _turn(self, started: datetime) -> None:
        """One scrape: requests at the weight in force, then what the operator makes of them."""
        self._in_force = [*self._in_force[1:], (self._route.canary_weight or 0.0, self._route.mirror or 0.0)]
        self._now += self._tick
        self._stream.advance(self._now.timestamp(), *self._in_force[0])
        if self._story is not None:
            self._note_point(self._story, started)
        self._decide()
        if self._story is not None:
            self._note_decision(self._story, started)

    def _drain(self) -> None:
        """Requests that still follow the weight before the rollback."""
        if self._rolled_back_at is None:
            return
        end = self._now
        for weight, mirror in self._in_force[1:]:
            end += self._tick
            self._stream.advance(end.timestamp(), weight, mirror)

    def _over(self) -> bool:
        run = self._status.run
        return run is None or run.end is not None or run.promoted_at is not None

    # ------------------------------------------------------------ deciding, as the engine does

    def _decide(self) -> None:
        """Decides until nothing is left to do at this instant, answering what a plan asks for."""
        seen = self._observer.look(self._status, self._now)
        wants = Wants()
        for _ in range(_ROUNDS):
            plan = decide(self._spec, self._status, self._facts(seen, wants), self._now)
            asks = plan.wants != Wants() and plan.wants != wants
            wants = plan.wants if asks else Wants()
            self._status = plan.status
            self._obey(plan)
            if not asks and plan.route is None and not plan.entries:
                break
        run = self._status.run
        if run is not None and run.end is Outcome.ROLLED_BACK and self._rolled_back_at is None:
            self._rolled_back_at = self._now
        self._held += self._tick if self._holding() else timedelta(0)

    def _holding(self) -> bool:
        """Whether nothing may be raised now."""
        said = find(self._status.conditions, ConditionType.PROGRESSING)
        return said is not None and said.status == "False" and not self._over()

    def _facts(self, seen: Seen, wants: Wants) -> Facts:
        gate: Mapping[str, MetricFacts] | None = None
        baselines: Mapping[str, Baseline] | None = None
        if wants.gate_over is not None:
            gate = self._observer.gate(wants.gate_over, self._now)
        if wants.preflight:
            baselines = self._observer.baselines(self._now)
        return Facts(
            namespace="simulated",
            name="simulated",
            uid=f"seed-{self._seed}",
            generation=1,
            tick=self._tick,
            epoch=1,
            has_finalizer=True,
            resolved_digest=self._digest,
            wanted_version=self._spec.version,
            route=self._route,
            stable=_STABLE,
            canary=_CANARY,
            metrics=seen.metrics,
            asked=seen.asked,
            windows=seen.windows,
            history=seen.history,
            baselines=baselines,
            gate=gate,
            preflight=() if wants.preflight else None,
        )

    def _obey(self, plan: Plan) -> None:
        match plan.route:
            case SetWeight(canary, mark, mirror):
                self._route = replace(
                    self._route,
                    canary_weight=canary,
                    mark=mark,
                    mirror=mirror,
                    generation=self._route.generation + 1,
                    written_at=self._now,
                )
            case ReleaseRoute():
                self._route = replace(self._route, canary_weight=0.0, mark=None, mirror=0.0)
            case None:
                pass

    # ------------------------------------------------------------ telling

    def _note_point(self, story: Story, started: datetime) -> None:
        canary, stable = (None, None) if story.moved is None else self._observer.shown(story.moved, self._now)
        story.points.append(Point((self._now - started).total_seconds(), self._in_force[0][0], canary, stable))

    def _note_decision(self, story: Story, started: datetime) -> None:
        at = (self._now - started).total_seconds()
        stage, weight = self._status.stage, self._status.weight.desired
        if stage is not None:
            last = story.stages[-1] if story.stages else None
            if last is not None and (last.name, last.weight) == (stage.name, weight):
                story.stages[-1] = replace(last, left=at)
            else:
                entered = last.left if last is not None else 0.0
                story.stages.append(Passed(stage.name, weight, entered, at))
        said = find(self._status.conditions, ConditionType.PROGRESSING)
        if said is None or not self._holding():
            return
        last_hold = story.holds[-1] if story.holds else None
        begin = at - self._tick.total_seconds()
        if last_hold is not None and last_hold.reason == said.reason and last_hold.end >= begin:
            story.holds[-1] = replace(last_hold, end=at)
        else:
            story.holds.append(Hold(begin, at, said.reason, said.message))

    def _told(self, started: datetime) -> Result:
        run, rollback, stream = self._status.run, self._status.rollback, self._stream
        harm = max(0.0, stream.bad_from - started.timestamp())
        ending = Ending.HELD
        if run is not None and run.promoted_at is not None:
            ending = Ending.PROMOTED
        elif self._rolled_back_at is not None:
            ending = Ending.ROLLED_BACK
        after = None
        if self._rolled_back_at is not None:
            since_harm = self._rolled_back_at - started - timedelta(seconds=harm)
            after = max(since_harm, timedelta(0))
        going_back = rollback is not None and ending is Ending.ROLLED_BACK
        return Result(
            seed=self._seed,
            ending=ending,
            started=started,
            lasted=self._now - started,
            after=after,
            rule=rollback.trigger if rollback is not None and going_back else "",
            sentence=rollback.message if rollback is not None and going_back else "",
            stage=rollback.stage if rollback is not None and going_back else "",
            requests=stream.served.requests,
            failed=stream.served.failed,
            slow=stream.served.slow,
            held=self._held,
            harm_from=harm,
            story=self._story,
        )

    def _refused(self) -> Result:
        said = find(self._status.conditions, ConditionType.READY)
        sentence = said.message if said is not None else ""
        zero = timedelta(0)
        return Result(self._seed, Ending.REFUSED, None, zero, None, "", sentence, "", 0, 0, zero, 0.0, self._story)


_STABLE = Side(exists=True, ready=3, fingerprints=frozenset({"stable"}))
_CANARY = Side(exists=True, ready=3, fingerprints=frozenset({"canary"}))
