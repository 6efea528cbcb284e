"""A small world for the rules: one release, an obedient route, pods, metrics, and a clock turned by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.command import Command, Verb
from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.status import Phase, SparkReleaseStatus, Verdict
from sparkrelease.decide.evidence import Entry, Link, link, parse_entry
from sparkrelease.decide.facts import (
    Again,
    Approval,
    Ask,
    Baseline,
    Check,
    Counts,
    Facts,
    Finding,
    History,
    MetricFacts,
    Missing,
    Problem,
    Reading,
    Role,
    Route,
    Settings,
    Share,
    Side,
    SpanAsk,
    Verification,
    Window,
)
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import EntryDraft, EventDraft, Plan, ReleaseRoute, SetWeight
from sparkrelease.decide.resolve import ResolvedSpec, digest, resolve

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FOREIGN = "argocd-controller"
FP1 = frozenset({"fp1"})
FP2 = frozenset({"fp2"})
FP3 = frozenset({"fp3"})


def spec(**changes: object) -> SparkReleaseSpec:
    """A release of three stages of a minute, one threshold and one trigger on errors."""
    body: dict[str, object] = {
        "version": "v2",
        "traffic": {
            "stable": {"service": "shop-stable", "port": 80},
            "canary": {"service": "shop-canary", "port": 80},
            "gatewayAPI": {"route": {"name": "shop", "rule": "main"}},
        },
        "stages": [
            {"name": "one", "weight": 1, "duration": "1m"},
            {"name": "quarter", "weight": 25, "duration": "1m"},
            {"name": "full", "weight": 100, "duration": "1m"},
        ],
        "metrics": [{"name": "http", "bad": "bad_total", "total": "all_total"}],
        "thresholds": [{"name": "errors", "metric": "http", "max": 0.01}],
        "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.05}], "for": "0s"}],
        "settle": {"steps": [50, 0], "interval": "10s"},
    }
    return SparkReleaseSpec.model_validate(body | changes)


HISTORIES = timedelta(minutes=2)


@dataclass(frozen=True)
class Wanted:
    """A spec, what it comes to under an empty policy, and the digest of that: a world asks for them in every round."""

    spec: SparkReleaseSpec
    resolved: ResolvedSpec | None
    digest: str


def wanted_by(spec: SparkReleaseSpec) -> Wanted:
    found = resolve(spec, ReleasePolicySpec())
    return Wanted(spec, None, "") if isinstance(found, Problem) else Wanted(spec, found, digest(found))


@dataclass
class World:
    """Everything outside `decide`, and what it did."""

    spec: SparkReleaseSpec = field(default_factory=spec)
    now: datetime = START
    tick: timedelta = timedelta(seconds=5)
    status: SparkReleaseStatus = field(default_factory=SparkReleaseStatus)
    route: Route = Route(
        exists=True, canary_weight=0.0, generation=1, verification=Verification.VERIFIED, original="{}"
    )
    stable: Side = Side(exists=True, ready=2, fingerprints=frozenset({"fp1"}))
    canary: Side = Side(exists=True, ready=2, fingerprints=frozenset({"fp2"}))
    reading: Reading = Counts(0, 1000)
    stable_reading: Reading = Counts(0, 1000)
    over_stage: Reading | None = None
    """What gates read of canary where it is not the same as at every tick."""
    counted_again: tuple[Again | None, Again | None] = (None, None)
    """How gates counted canary and stable once more."""
    readings: dict[str, tuple[Reading, Reading]] = field(default_factory=dict)
    """By metric, canary's and stable's; others read as `reading` and `stable_reading` say."""
    asked: dict[Ask, tuple[Reading, Reading]] = field(default_factory=dict)
    history: dict[str, History] = field(default_factory=dict)
    windows: dict[str, tuple[Window, ...]] = field(default_factory=dict)
    baselines: dict[str, Baseline] | None = None
    spans: dict[str, tuple[Reading, Reading]] = field(default_factory=dict)
    """By the name of a SpanAsk, canary's and stable's; others read as the metric does at every tick."""
    asked_spans: list[SpanAsk] = field(default_factory=list)
    asked_gates: list[timedelta] = field(default_factory=list)
    """Over which time each gate was asked."""
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """ConfigMaps that mitigations change."""
    settings_work: bool = True
    failed: Settings | None = None
    """What could not be read a moment ago."""
    token: str = ""
    scraped: dict[Role, int] = field(default_factory=dict)
    share: Share | None = None
    preflight: tuple[Finding, ...] = ()
    failing: dict[str, str] = field(default_factory=dict)
    """Items of spec.preflight that fail, with what they say; all others pass."""
    command: Command | None = None
    command_problem: str | None = None
    approvals: tuple[Approval, ...] = ()
    approvals_problem: Problem | None = None
    generation: int = 1
    epoch: int = 1
    deleting: bool = False
    finalizer: bool = False
    evidence_works: bool = True
    route_writable: bool = True
    spec_problem: Problem | None = None
    frozen: ResolvedSpec | None = None
    weights: list[float] = field(default_factory=list)
    entries: list[EntryDraft] = field(default_factory=list)
    chain: list[Link] = field(default_factory=list)
    """Evidence of the present run, or the last one, as it would be stored."""
    events: list[EventDraft] = field(default_factory=list)
    last: Plan | None = None
    kept: Wanted | None = None

    # ------------------------------------------------------------ one round, as the engine does it

    @property
    def wanted(self) -> Wanted:
        if self.kept is None or self.kept.spec is not self.spec:
            self.kept = wanted_by(self.spec)
        return self.kept

    def resolved(self) -> ResolvedSpec | None:
        return self.wanted.resolved

    def facts(self, **more: object) -> Facts:
        metrics = {m.name: self._metric(m.name) for m in self.spec.metrics}
        return Facts(
            namespace="shop",
            name="shop",
            uid="uid-1",
            generation=self.generation,
            tick=self.tick,
            epoch=self.epoch,
            deleting=self.deleting,
            has_finalizer=self.finalizer,
            spec_problem=self.spec_problem,
            resolved_digest=self.wanted.digest,
            wanted_version=self.spec.version,
            paused_by_spec=self.spec.paused,
            command=self.command,
            command_problem=self.command_problem,
            route=self.route,
            share=self.share,
            stable=self.stable,
            canary=self.canary,
            metrics=metrics,
            asked={ask: self._ask(ask, both) for ask, both in self.asked.items()},
            history=self._histories(),
            windows=self.windows,
            scraped=self.scraped,
            approvals=self.approvals,
            approvals_problem=self.approvals_problem,
            settings=more.pop("settings", self.failed),  # type: ignore[arg-type]
            evidence_problem=None if self.evidence_works else Problem(Reason.EVIDENCE_NOT_STORED, "403"),
            **more,  # type: ignore[arg-type]  # names of Facts fields, given by the tests
        )

    def _histories(self) -> dict[str, History]:
        """Asked anew every two minutes, as the engine does at the most."""
        for name, seen in self.history.items():
            if self.now - seen.at >= HISTORIES or self.now < seen.at:
                self.history[name] = replace(seen, at=self.now)
        return dict(self.history)

    def _metric(self, name: str) -> MetricFacts:
        canary, stable = self.readings.get(name, (self.reading, self.stable_reading))
        return MetricFacts(name, self.now, timedelta(minutes=1), canary, stable)

    def _ask(self, ask: Ask, both: tuple[Reading, Reading]) -> MetricFacts:
        return MetricFacts(ask.metric, self.now - ask.back, ask.window, *both)

    def round(self) -> Plan:
        """Decides once (asking for gate or preflight when wanted) and carries the plan out in the documented order."""
        run = self.status.run
        under_way = run is not None and run.end is None
        current = self.frozen if under_way and self.frozen else self.resolved()
        if self.spec_problem is not None and not under_way:
            current = None
        plan = decide(current, self.status, self.facts(), self.now)
        if plan.wants.anything:
            self.asked_gates += [] if plan.wants.gate_over is None else [plan.wants.gate_over]
            gate = {t.name: self._metric(t.metric) for t in self.spec.thresholds}
            if self.over_stage is not None:
                gate = {name: replace(seen, canary=self.over_stage) for name, seen in gate.items()}
            canary, stable = self.counted_again
            gate = {name: replace(seen, canary_again=canary, stable_again=stable) for name, seen in gate.items()}
            looked = {"preflight": self.preflight, "baselines": self.baselines}
            more: dict[str, object] = looked if plan.wants.preflight else {"gate": gate}
            more |= {"checks": self._checks()} if plan.wants.checks else {}
            more |= self._besides(plan)
            plan = decide(current, self.status, self.facts(**more), self.now)
        self.last = plan
        self._carry_out(plan, current)
        return plan

    def _besides(self, plan: Plan) -> dict[str, object]:
        """What is asked once: spans, and what a mitigation would change."""
        more: dict[str, object] = {}
        if plan.wants.spans:
            self.asked_spans += plan.wants.spans
            more["spans"] = {ask.name: self._span(ask) for ask in plan.wants.spans}
        if plan.wants.after:
            more["after"] = {m.name: self._metric(m.name) for m in self.spec.metrics}
        if plan.wants.settings is not None:
            name, keys = plan.wants.settings.config_map, plan.wants.settings.keys
            there = self.settings.get(name)
            values = {key: there[key] for key in keys if key in there} if there is not None else {}
            missing = Problem(Reason.OBJECT_NOT_FOUND, "404") if there is None else None
            seen = Settings(name, "1", values, self.token, missing)
            more["settings"], self.failed = seen, seen if missing is not None else None
        return more

    def _checks(self) -> tuple[Check, ...]:
        """What every item of preflight has come to."""
        said = {item.name: self.failing.get(item.name) for item in self.spec.preflight}
        verdict = {True: Verdict.PASS, False: Verdict.FAIL}
        return tuple(Check(name, False, verdict[text is None], text or "fine") for name, text in said.items())

    def _span(self, ask: SpanAsk) -> MetricFacts:
        usual = self._metric(ask.threshold.metric)
        canary, stable = self.spans.get(ask.name, (usual.canary, usual.stable))
        return replace(usual, window=ask.over, canary=canary, stable=stable)

    def _carry_out(self, plan: Plan, current: ResolvedSpec | None) -> None:
        if not plan.urgent and plan.entries and not self.evidence_works:
            return
        started = any(e.kind is Reason.RUN_STARTED for e in plan.entries)
        if started:
            self.frozen = current
        self.entries += plan.entries
        self._chain(plan)
        self.events += plan.events
        if plan.finalizer is not None:
            self.finalizer = plan.finalizer
        if plan.status != self.status:
            self.status = SparkReleaseStatus.model_validate_json(plan.status.model_dump_json(by_alias=True))
        self._write(plan)
        if plan.change is not None and self.settings_work:
            there = self.settings[plan.change.config_map] | plan.change.values
            self.settings[plan.change.config_map] = {k: v for k, v in there.items() if v is not None}
            self.token = plan.change.token if plan.change.restart else self.token

    def _chain(self, plan: Plan) -> None:
        for draft in plan.entries:
            if draft.kind is Reason.RUN_STARTED:
                self.chain = []
            head, run = self.chain[-1].digest if self.chain else "", plan.status.run
            name = run.id if run is not None else ""
            self.chain.append(link(head, len(self.chain) + 1, at=self.now, release="shop/shop", run=name, draft=draft))

    def stored(self) -> list[Entry]:
        """The evidence of the run, read back."""
        return [entry for entry in (parse_entry(one.line) for one in self.chain) if entry is not None]

    def _write(self, plan: Plan) -> None:
        if not self.route_writable or not self.route.exists:
            return
        match plan.route:
            case SetWeight(canary, mark, mirror):
                self.route = replace(
                    self.route,
                    exists=True,
                    canary_weight=canary,
                    mark=mark,
                    mirror=mirror,
                    manager="",
                    generation=self.route.generation + 1,
                    written_at=self.now,
                )
                self.weights.append(canary)
            case ReleaseRoute(remove=True):
                self.route = Route()
            case ReleaseRoute():
                self.route = replace(self.route, canary_weight=0.0, mark=None, mirror=0.0, manager="")
            case None:
                pass

    # ------------------------------------------------------------ turning the clock

    def run_for(self, seconds: float, *, until: str | None = None) -> None:
        """Turns the clock tick by tick; stops early once the phase is `until`."""
        end = self.now + timedelta(seconds=seconds)
        self.settle_rounds()
        while self.now < end and self.status.phase != until:
            self.now += self.tick
            self.settle_rounds()

    def settle_rounds(self, most: int = 8) -> None:
        """Decides again at the same instant until nothing changes, as an event-driven engine does."""
        for _ in range(most):
            before = (self.status, self.route)
            self.round()
            if (self.status, self.route) == before:
                return

    def reach(self, weight: float) -> None:
        """Turns the clock until the route gives canary this weight."""
        for _ in range(200):
            if self.route.canary_weight == weight:
                return
            self.run_for(self.tick.total_seconds())
        raise AssertionError(f"weight {weight} never reached; {self.status.phase}: {self.why()}")

    # ------------------------------------------------------------ what others do

    def say(self, verb: Verb, **more: object) -> None:
        """A person gives a command."""
        nonce = f"nonce-{len(self.events):04d}-{verb.value}"
        body = {"user": "jane", "verb": verb, "nonce": nonce, "reason": "because"} | more
        self.command = Command.model_validate(body)

    def edit_route(self, weight: float, manager: str = FOREIGN) -> None:
        """Somebody else writes the weights."""
        self.route = replace(self.route, canary_weight=weight, manager=manager, generation=self.route.generation + 1)

    def blind(self, reason: Reason = Reason.PROMETHEUS_UNREACHABLE, *, server: bool = True) -> None:
        """Both roles' data goes missing."""
        self.reading = self.stable_reading = Missing(reason, "gone", server_wide=server)

    # ------------------------------------------------------------ what people see

    def condition(self, kind: ConditionType) -> str | None:
        found = find(self.status.conditions, kind)
        return found.status if found else None

    def why(self) -> str:
        found = find(self.status.conditions, ConditionType.READY)
        return f"{found.reason}: {found.message}" if found else ""

    def reason(self, kind: ConditionType = ConditionType.READY) -> str:
        found = find(self.status.conditions, kind)
        return found.reason if found else ""

    def kinds(self) -> list[Reason]:
        return [e.kind for e in self.entries]


def promoted() -> World:
    """A world in which v2 passed every stage and waits for stable."""
    world = World()
    world.run_for(600, until=Phase.SUCCEEDED)
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    return world


def settled() -> World:
    """A world in which v2 is on stable and serves all traffic."""
    world = promoted()
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(60)
    return world
