"""Gates of counters that were reset in the stage: what is asked for them, when, and what is made of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import promql_parser
import pytest

from fakes.metric_source import LAG, RATIO, T0, UNREACHABLE, FakeSource, config, healthy, key, rows, spec
from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Again, Buckets, Counts, MetricFacts, Missing
from sparkrelease.decide.promql import gate_query
from sparkrelease.decide.recount import again_query, stage_query
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.series import Answer
from sparkrelease.decide.templates import EVERYTHING, Template, template_of
from sparkrelease.decide.thresholds import judge_facts
from sparkrelease.engine.measure import Measurements
from sparkrelease.engine.metrics import OperatorMetrics

STAGE = timedelta(minutes=15)
QUIET = {"all seen 0": 2.0, "all now": 2.0}
MARKS = {
    "reset": {"all seen 0": 1.0, "all seen 3": 1.0, "all now": 2.0},
    "vanished": {"all seen 0": 3.0, "all now": 2.0},
    "came back": {"all seen 0": 2.0, "all now": 2.0, "all back": 1.0},
    "native reset": {**QUIET, "native seen 0": 1.0, "native seen 1": 1.0, "native now": 2.0},
    "bad vanished": {**QUIET, "bad seen 0": 1.0},
}
ERRORS = {"name": "errors", "metric": "http", "max": 0.01}
KINDS: Mapping[str, Mapping[str, object]] = {
    "ratio": {"bad": 'requests_total{code="500"}', "total": "requests_total"},
    "two names": {"bad": "errors_total", "total": "requests_total"},
    "classic": {"buckets": "duration_bucket", "quantile": 0.9},
    "native": {"buckets": "duration", "quantile": 0.9},
}


LOST_NOTHING = {"bad": 0.0, "total": 400.0}


def template(kind: str) -> Template:
    made = template_of(Metric.model_validate({"name": "m", **KINDS[kind]}), RoleLabels(), (0.2,), None)
    assert isinstance(made, Template)
    return made


def is_second(promql: str) -> bool:
    return "seen" not in promql and "increase(" in promql


class Restarted(FakeSource):
    """A server on which series of some Services have a mark; all that was counted is `beyond`."""

    def __init__(
        self, marks: Mapping[str, str], beyond: Answer | Missing | None = None, alone: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(self._reply)
        self.marks = marks
        self.beyond = beyond
        self.alone = alone or {"bad": 0, "total": 400}

    def _reply(self, _: str, promql: str, at: datetime) -> Answer | Missing:
        services = ("shop-stable", "shop-canary", "other-stable", "other-canary")
        if is_second(promql):
            every = [row for name in services for row in rows("trading", name, at, {"bad": 200, "total": 2400})]
            return self.beyond if self.beyond is not None else Answer(every)
        found = []
        for name in services:
            found += rows("trading", name, at, {**self.alone, **MARKS.get(self.marks.get(name, ""), QUIET)})
        return Answer(found)

    @property
    def sent(self) -> list[str]:
        return [promql for _, promql, _ in self.queries]


async def gate(source: FakeSource, release: ResolvedSpec | None = None, name: str = "shop") -> MetricFacts:
    wanted = release or spec(name, metrics=[RATIO], thresholds=[ERRORS], triggers=[])
    measuring = Measurements(source, config(), OperatorMetrics())
    return (await measuring.gate(key(name), wanted, STAGE, T0))[wanted.thresholds[0].name]


async def test_a_stage_in_which_nothing_restarts_is_asked_once_and_judged_by_its_difference() -> None:
    source = Restarted({})
    facts = await gate(source)
    assert (facts.canary, facts.canary_again, facts.stable_again) == (Counts(0, 400), None, None)
    assert len(source.sent) == 1


@pytest.mark.parametrize("mark", MARKS)
async def test_what_spoils_a_difference_has_the_stage_counted_again_as_of_the_same_instant(mark: str) -> None:
    source = Restarted({"shop-canary": mark})
    facts = await gate(source)
    assert facts.canary == Counts(0, 400), "the difference stays as it is"
    assert isinstance(facts.canary_again, Again) and facts.canary_again.reading == Counts(200, 2400)
    assert mark.rsplit(maxsplit=1)[-1] in facts.canary_again.why
    assert facts.stable_again is None, "nothing of stable was lost"
    first, second = source.queries
    assert is_second(second[1]) and first[2] == second[2] == T0
    assert 'service=~"shop-canary|shop-stable"' in facts.canary_again.query


async def test_of_many_releases_at_their_gates_those_that_restarted_are_counted_again_by_one_query() -> None:
    source = Restarted({"shop-canary": "reset"})
    measuring = Measurements(source, config(), OperatorMetrics())
    wanted = {name: spec(name, metrics=[RATIO], thresholds=[ERRORS], triggers=[]) for name in ("shop", "other")}
    shop, other = await asyncio.gather(
        *(measuring.gate(key(name), release, STAGE, T0) for name, release in wanted.items())
    )
    assert shop["errors"].canary_again is not None
    assert other["errors"].canary_again is None
    assert len(source.sent) == 2
    assert "other" not in source.sent[1]


async def test_thresholds_of_one_metric_are_counted_again_by_one_query() -> None:
    source = Restarted({"shop-canary": "reset", "shop-stable": "vanished"})
    wanted = spec("shop", metrics=[RATIO], thresholds=[ERRORS, {**ERRORS, "name": "few"}], triggers=[])
    measuring = Measurements(source, config(), OperatorMetrics())
    found = await measuring.gate(key(), wanted, STAGE, T0)
    assert len(source.sent) == 2
    assert found["few"].canary_again == found["errors"].canary_again
    assert found["few"].stable_again is not None


async def test_a_restart_that_lost_nothing_is_not_told() -> None:
    """A reset is looked for a minute before the stage, too."""
    nothing_lost = [row for side in ("stable", "canary") for row in rows("trading", f"shop-{side}", T0, LOST_NOTHING)]
    facts = await gate(Restarted({"shop-canary": "reset"}, Answer(nothing_lost)))
    assert (facts.canary, facts.canary_again) == (Counts(0, 400), None)


@pytest.mark.parametrize("beyond", [UNREACHABLE, Answer([])])
async def test_a_second_question_that_is_not_answered_is_no_pass(beyond: Answer | Missing) -> None:
    facts = await gate(Restarted({"shop-canary": "reset"}, beyond))
    wanted = spec("shop", metrics=[RATIO], thresholds=[ERRORS], triggers=[])
    assert judge_facts(wanted.thresholds[0], wanted.metric("http"), facts).verdict is Verdict.NO_DATA


async def test_a_side_that_has_no_series_now_has_no_data_and_is_not_counted_again() -> None:
    source = Restarted({"shop-canary": "vanished"})
    of_stable, of_canary = {"total": 9.0, **QUIET}, {"all seen 0": 2.0}
    source.reply = lambda _, __, at: Answer(
        [*rows("trading", "shop-stable", at, of_stable), *rows("trading", "shop-canary", at, of_canary)]
    )
    facts = await gate(source)
    assert isinstance(facts.canary, Missing) and facts.canary.reason is Reason.NO_DATA
    assert facts.canary_again is None


async def test_buckets_that_a_reset_made_inconsistent_are_counted_again() -> None:
    source = FakeSource()

    def reply(_: str, promql: str, at: datetime) -> Answer:
        seen = (
            {"le:0.2": 10.0, "le:+Inf": 900.0} if is_second(promql) else {"le:0.2": 30, "le:+Inf": 20, "all seen 1": 1}
        )
        return Answer([row for side in ("stable", "canary") for row in rows("trading", f"shop-{side}", at, seen)])

    source.reply = reply
    latency = {"name": "http", "buckets": "duration_bucket", "quantile": 0.9}
    facts = await gate(source, spec(metrics=[latency], thresholds=[{**ERRORS, "max": 0.2}], triggers=[]))
    assert isinstance(facts.canary, Missing) and facts.canary.reason is Reason.INCONSISTENT_COUNTS
    assert facts.canary_again is not None and facts.canary_again.reading == Buckets({0.2: 10}, 900)


async def test_an_expression_is_asked_as_ever() -> None:
    source = FakeSource(lambda _, promql, at: healthy(promql, at))
    facts = await gate(source, spec(metrics=[LAG], thresholds=[{**ERRORS, "metric": "lag", "max": 9}], triggers=[]))
    assert facts.canary_again is None
    assert len(source.queries) == 1 and "seen" not in source.queries[0][1]


@pytest.mark.parametrize("kind", KINDS)
def test_both_queries_are_promql_and_the_first_counts_as_ever(kind: str) -> None:
    first = stage_query(template(kind), EVERYTHING, STAGE, highest=True, lowest=False)
    for query in (first, again_query(template(kind), EVERYTHING, STAGE)):
        promql_parser.parse(query)
    assert first.startswith(gate_query(template(kind), EVERYTHING, STAGE, highest=True, lowest=False))


def test_errors_that_are_no_part_of_all_events_are_watched_too() -> None:
    for kind, watched in (("ratio", 1), ("two names", 2)):
        query = stage_query(template(kind), EVERYTHING, STAGE, highest=True, lowest=False)
        assert query.count("resets(") == watched
