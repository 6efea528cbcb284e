"""`plan`: every query a release will cause, and what each answers now.

The queries are not listed from the rules: the operator's own measuring is made to follow the release and to ask what it
asks before a run, at every tick and at a gate, and everything it sends is written down. So nothing is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import OperatorConfig, RoleLabels
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.exits import ExitCode
from sparkrelease.cli.sent import Answered, Purpose, Sent, SentRecorder
from sparkrelease.decide.asks import counted_tests, histories_of
from sparkrelease.decide.budget import budget_asks
from sparkrelease.decide.facts import Finding, Missing
from sparkrelease.decide.flagging import flag_query
from sparkrelease.decide.grouping import Group, Place, Sorted, sort_answer
from sparkrelease.decide.promql import SERIES, up_query
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.selectors import read_selector
from sparkrelease.decide.series import Answer, RangeAnswer
from sparkrelease.decide.templates import POD_LABELS, filled, matchers_of
from sparkrelease.decide.watching import asks_of_check, pause_of
from sparkrelease.decide.windows import exact_query, last_end, window_template
from sparkrelease.engine.besides import UP_PAUSE, history_pause
from sparkrelease.engine.draining import PAUSE as DRAINING_PAUSE
from sparkrelease.engine.flagged import PAUSE as FLAG_PAUSE
from sparkrelease.engine.measure import SHARE_PAUSE, Measurements
from sparkrelease.engine.needs import Need, needs_of, own_scope, places
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.metrics import MetricSource

POINTS = "points"
"""Part of an answer to a range query: how many points the Service has in it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, and its last answer; None where no server was asked."""

    promql: str
    at: datetime
    purpose: Purpose
    metric: str
    rules: tuple[str, ...]
    every: timedelta | None
    """Pause between two of them; None for one that is asked once."""
    answer: Sorted | Missing | None
    stage: timedelta | None = None
    """How long the stage is at whose end a gate asks it."""
    limits: tuple[float, ...] = ()
    """Of the rules that read it off a histogram."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Everything a release will have asked. `url` is empty where no server was asked; `sides` are stable and canary."""

    release: ObjectKey
    version: str
    server: str
    url: str
    sides: tuple[Place, Place]
    units: Mapping[str, str]
    queries: tuple[Asked, ...]
    findings: tuple[Finding, ...]
    """What preflight says; of queries that cannot be written alone where no server was asked."""

    @property
    def away(self) -> Missing | None:
        """Why nothing was answered; None where something was."""
        answers = [asked.answer for asked in self.queries]
        away = [one for one in answers if isinstance(one, Missing) and one.reason is Reason.PROMETHEUS_UNREACHABLE]
        return away[0] if away and len(away) == len(answers) else None

    @property
    def code(self) -> ExitCode:
        """BAD when a query would keep the run from starting, UNREACHABLE when the server does not answer at all."""
        if self.away is not None:
            return ExitCode.UNREACHABLE
        return ExitCode.BAD if any(finding.fatal for finding in self.findings) else ExitCode.FINE


# ---------------------------------------------------------------- asking


def plan_release(key: ObjectKey, spec: ResolvedSpec, config: OperatorConfig, *, ask: bool) -> Planned:
    """Lets the operator's measuring follow the release for a moment. `ask`: whether the server is really asked."""
    source = PrometheusSource(config.servers) if ask else None
    try:
        return asyncio.run(_plan(key, spec, config, source))
    finally:
        if source is not None:
            source.close()


async def _plan(key: ObjectKey, spec: ResolvedSpec, config: OperatorConfig, source: MetricSource | None) -> Planned:
    now = datetime.now(UTC).replace(microsecond=0)  # a gate looks over whole seconds: the stage as it is declared
    recorder = SentRecorder(source, now)
    measuring = Measurements(recorder, config)
    server = config.servers[spec.prometheus]
    needs = needs_of(key, spec, server)
    findings = await measuring.preflight(key, spec, now)
    recorder.purpose = Purpose.BASELINE
    await measuring.baselines(key, spec, now)
    recorder.purpose = Purpose.READING
    measuring.follow(key, spec)
    since = {n.metric.name: last_end(now, n.metric.every, server.lag) - n.metric.every for n in needs if n.windowed}
    measuring.windows(key, since)
    await measuring.tick(now)
    measuring.drop(key)
    recorder.purpose = Purpose.DRAINING
    measuring.drain(key, spec, now)
    await measuring.tick(now)
    await recorder.idle()
    measuring.drop(key)
    recorder.purpose = Purpose.GATE
    for length in sorted({stage.duration for stage in spec.stages}):
        recorder.stage = length
        await measuring.gate(key, spec, length, now)
    recorder.stage = None
    recorder.purpose = Purpose.WATCH
    if spec.watch is not None:
        await measuring.spans(key, spec, asks_of_check(spec, pause_of(spec.watch), spec.watch.duration), now)
    recorder.purpose = Purpose.BUDGET
    await measuring.spans(key, spec, budget_asks(spec), now)
    known = _Known(key, spec, config, needs)
    queries = [known.told(sent, at, answer) for sent, (at, answer) in recorder.sent.items()]
    unwritable = tuple(
        Finding(f"metrics/{need.metric.name}", need.read_by_rules, need.template)
        for need in needs
        if isinstance(need.template, Problem)
    )
    return Planned(
        release=key,
        version=spec.version,
        server=spec.prometheus,
        url=server.url if source is not None else "",
        sides=places(key, spec),
        units={metric.name: metric.unit or "" for metric in spec.metrics},
        queries=tuple(sorted(queries, key=lambda one: (list(Purpose).index(one.purpose), one.metric))),
        findings=findings if source is not None else unwritable,
    )


# ---------------------------------------------------------------- telling them apart


class _Known:
    """Tells of a query which metric it is about, who reads it, and how often it is asked."""

    def __init__(self, key: ObjectKey, spec: ResolvedSpec, config: OperatorConfig, needs: tuple[Need, ...]) -> None:
        self._spec, self._config, self._needs = spec, config, needs
        self._server = config.servers[spec.prometheus]
        self._scope = own_scope(key, spec)
        flag = spec.traffic.feature_flag
        gauge = read_selector(flag.metric) if flag is not None else ""
        self._flag = "" if isinstance(gauge, str) else flag_query(gauge, [key.namespace])
        self._windows = {
            exact_query(window_template(need.template, need.metric.every), self._scope): need
            for need in needs
            if need.windowed and not isinstance(need.template, Problem)
        }

    def told(self, sent: Sent, at: datetime, answer: Answered) -> Asked:
        """The query with all that is to be said of it."""
        purpose, need, labels = sent.purpose, self._need(sent.promql), self._server.labels
        if purpose is Purpose.READING:
            if sent.promql in self._windows:
                purpose, need = Purpose.WINDOW, self._windows[sent.promql]
            elif sent.ranged:
                purpose = Purpose.HISTORY
            elif sent.promql == up_query(labels, self._scope):
                purpose = Purpose.TARGETS
            elif sent.promql == self._flag:
                purpose, labels = Purpose.FLAG, POD_LABELS
            elif need is None and self._server.share is not None:
                purpose, labels = Purpose.SHARE, self._server.share.labels
        elif purpose is Purpose.DRAINING and self._server.connections is not None:
            labels = self._server.connections.labels
        name = need.metric.name if need is not None else ""
        every = self._every(purpose, need, sent)
        found = _by_service(answer, labels) if isinstance(answer, Answer | RangeAnswer) else answer
        limits = self._limits(need) if purpose is not Purpose.WINDOW else ()
        return Asked(sent.promql, at, purpose, name, self._rules(purpose, name), every, found, sent.stage, limits)

    def _limits(self, need: Need | None) -> tuple[float, ...]:
        return () if need is None or isinstance(need.template, Problem) else need.template.edges

    def _every(self, purpose: Purpose, need: Need | None, sent: Sent) -> timedelta | None:
        """Pause between two of them, as the engine keeps it."""
        tick = self._config.tick
        match purpose:
            case Purpose.WINDOW if need is not None:
                return need.metric.every
            case Purpose.FLAG:
                return max(FLAG_PAUSE, tick)
            case Purpose.SHARE:
                return max(SHARE_PAUSE, tick)
            case Purpose.TARGETS:
                return max(UP_PAUSE, tick)
            case Purpose.DRAINING:
                return max(DRAINING_PAUSE, tick)
            case Purpose.HISTORY if need is not None:
                return history_pause(histories_of(self._spec)[need.metric.name], tick)
            case Purpose.READING if need is not None and (sent.back or sent.promql != need.query):
                return max(need.metric.every, tick)
            case Purpose.READING:
                return tick if need is None else max(need.pause, tick)
            case _:
                return None

    def _need(self, promql: str) -> Need | None:
        """The metric whose selectors or expression the query holds; the longest, should there be several."""
        found = [need for need in self._needs if all(text in promql for text in self._texts(need))]
        return max(found, key=lambda need: sum(map(len, self._texts(need))), default=None)

    def _texts(self, need: Need) -> list[str]:
        template = need.template
        if isinstance(template, Problem):
            return ["\0"]
        if template.value is not None:
            return [filled(template, self._scope)]
        within = matchers_of(template.labels, self._scope)
        selectors = (template.bad, template.total, template.buckets)
        # Without the closing brace: a query may add matchers of its own.
        return [selector.text(*within)[:-1] for selector in selectors if selector is not None]

    def _rules(self, purpose: Purpose, metric: str) -> tuple[str, ...]:
        """Who reads the answer."""
        spec = self._spec
        match purpose:
            case Purpose.READING | Purpose.HISTORY:
                triggers = tuple(t.name for t in spec.triggers if any(leg.metric == metric for leg in t.all))
                return triggers or self._besides_triggers(metric)
            case Purpose.GATE | Purpose.WATCH:
                return tuple(t.name for t in spec.thresholds if t.metric == metric)
            case Purpose.WINDOW:
                return tuple(name for name, counted in counted_tests(spec).items() if counted == metric)
            case _:
                return ()

    def _besides_triggers(self, metric: str) -> tuple[str, ...]:
        """Whose data the reading shows to be there, where no trigger reads it."""
        gates = tuple(f"gate {t.name}" for t in self._spec.thresholds if t.metric == metric)
        return gates or tuple(f"test {name}" for name, of in counted_tests(self._spec).items() if of == metric)


def _by_service(answer: Answer | RangeAnswer, labels: RoleLabels) -> Sorted:
    """An answer's rows by Service; of a range how many series and points there are."""
    if isinstance(answer, Answer):
        return sort_answer(answer, labels)
    groups: dict[Place, Group] = {}
    for one in answer.series:
        place = (one.labels.get(labels.namespace, ""), one.labels.get(labels.service, ""))
        parts = groups.setdefault(place, Group()).parts
        parts[SERIES] = parts.get(SERIES, 0.0) + 1
        parts[POINTS] = parts.get(POINTS, 0.0) + len(one.points) + len(one.histograms)
    return Sorted(groups)
