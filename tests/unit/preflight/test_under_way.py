"""The engine with items: each is begun once, nothing is waited for in a round, what was made is removed."""

from __future__ import annotations

import asyncio

import pytest

from fakes.preflight import FakeRunner, FakeSource
from fakes.rig import NAMESPACE, Rig
from fakes.signing import sign
from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Check, Missing
from sparkrelease.decide.native import histogram_of
from sparkrelease.decide.preflight.answers import Unanswered
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.series import Answer, Row, row_of
from sparkrelease.engine import checks as module
from sparkrelease.engine.checks import Checks
from sparkrelease.ports.cluster import ObjectKey
from unit.decide.world import START, World, spec

ITEMS = [{"name": "api", "http": "http://web-canary/x"}, {"name": "slow", "job": "check"}]
KEY = ObjectKey("shop", "shop")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 0.01)


async def test_a_slow_item_keeps_no_round_and_its_end_wakes_the_release() -> None:
    rig = Rig()
    slow = rig.runner.hold("slow")
    key = rig.release(preflight=ITEMS)
    await rig.start()
    await rig.seconds(3)
    status = rig.status(key)
    assert (status.phase, rig.route().weight) == (Phase.PREFLIGHT, 0)
    assert status.preflight is not None and status.preflight.progress == "1/2"
    assert len(rig.runner.ran) == 2
    slow.set()
    await rig.until(lambda: rig.route().weight == 10)
    assert len(rig.runner.ran) == 2, "no item is begun twice"
    attempt = rig.runner.ran[0][0]
    assert rig.runner.cleaned == [attempt], "what was made is removed when the run has begun"


async def test_a_failed_item_blocks_and_the_next_attempt_has_another_name() -> None:
    rig = Rig()
    rig.runner.answers["api"] = Unanswered(Verdict.ERROR, "no such Service")
    key = rig.release(preflight=ITEMS)
    await rig.start()
    await rig.seconds(2)
    assert rig.status(key).phase is Phase.BLOCKED
    assert rig.route().weight == 0
    assert len(rig.runner.cleaned) == 1
    del rig.runner.answers["api"]
    await rig.until(lambda: rig.route().weight == 10)
    assert len({attempt for attempt, _ in rig.runner.ran}) == 2


async def test_a_restarted_operator_asks_under_the_same_name() -> None:
    rig = Rig()
    rig.runner.hold("slow")
    rig.release(preflight=ITEMS)
    await rig.start()
    await rig.seconds(1)
    await rig.restart()
    await rig.seconds(1)
    assert len(rig.runner.ran) == 4
    assert len({attempt for attempt, _ in rig.runner.ran}) == 1


async def test_a_release_that_is_deleted_takes_its_items_along() -> None:
    rig = Rig()
    rig.runner.hold("slow")
    key = rig.release(preflight=ITEMS)
    await rig.start()
    await rig.seconds(1)
    rig.engine.store.remove(key)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(rig.runner.cleaned) == 1
    assert key.namespace == NAMESPACE


# ---------------------------------------------------------------- one item


def resolved(*items: object, policy: bool = False) -> ResolvedSpec:
    found = World(spec=spec(preflight=list(items))).resolved()
    assert found is not None
    return found.model_copy(update={"policy_preflight": tuple(i.name for i in found.preflight)}) if policy else found


async def ended(checks: Checks, found: ResolvedSpec) -> Check:
    while True:
        (check,) = await checks.look(KEY, "uid", found, "a.1")
        if check.verdict is not None:
            return check
        await asyncio.sleep(0.001)


def checks_of(source: FakeSource, runner: FakeRunner | None = None) -> Checks:
    servers = {"default": MetricsServer(url="http://prometheus")}
    return Checks(runner or FakeRunner(), source, servers, lambda: START)


QUERY = {"name": "q", "promql": "sum(up)", "expect": ["value == 1"]}


async def test_a_releases_query_is_kept_to_its_namespace_and_a_policys_is_not() -> None:
    source = FakeSource()
    assert (await ended(checks_of(source), resolved(QUERY))).verdict is Verdict.PASS
    assert (await ended(checks_of(source), resolved(QUERY, policy=True))).verdict is Verdict.PASS
    assert 'namespace="shop"' in source.asked[0]
    assert source.asked[1].strip() == "sum(up)"


@pytest.mark.parametrize(
    ("query", "answer", "verdict"),
    [
        ('sum(up{namespace="other"})', Answer([Row({}, 1.0)]), Verdict.ERROR),
        ("sum(", Answer([Row({}, 1.0)]), Verdict.ERROR),
        ("sum(up)", Missing(Reason.INVALID_QUERY, "no"), Verdict.ERROR),
        ("sum(up)", Missing(Reason.PROMETHEUS_UNREACHABLE, "no"), Verdict.NO_DATA),
        ("sum(up)", Answer([]), Verdict.NO_DATA),
        ("sum(up)", Answer([Row({}, 1.0)] * 1001), Verdict.ERROR),
        ("sum(up)", Answer([Row({}, 1.0)], left_out="some series"), Verdict.NO_DATA),
        ("sum(up)", Answer([row_of({}, histogram_of(1, []))]), Verdict.FAIL),
        ("sum(up)", Answer([Row({}, 0.0)]), Verdict.FAIL),
    ],
)
async def test_a_query_without_a_good_answer_is_no_pass(query: str, answer: Answer | Missing, verdict: Verdict) -> None:
    source = FakeSource(answer)
    assert (await ended(checks_of(source), resolved({**QUERY, "promql": query}))).verdict is verdict


async def test_an_item_that_takes_too_long_is_ended() -> None:
    runner = FakeRunner()
    runner.hold("slow")
    check = await ended(checks_of(FakeSource(), runner), resolved({"name": "slow", "job": "x", "timeout": "20ms"}))
    assert (check.verdict, check.message) == (Verdict.NO_DATA, "not done within 20ms")


async def test_an_error_of_the_operator_itself_is_no_pass() -> None:
    class Broken(FakeRunner):
        async def run(self, subject: object, item: object) -> Unanswered:
            raise KeyError("bug")

    check = await ended(checks_of(FakeSource(), Broken()), resolved({"name": "a", "job": "x"}))  # type: ignore[arg-type]  # its run is narrower
    assert (check.verdict, "KeyError" in check.message) == (Verdict.ERROR, True)


async def test_after_the_last_signature_every_item_is_begun_once_more() -> None:
    rig = Rig()
    key = rig.release(preflight=ITEMS, checklist=[{"name": "backups"}])
    await rig.start()
    await rig.until(lambda: rig.status(key).phase is Phase.AWAITING_APPROVAL)
    assert len(rig.runner.ran) == 2
    slow = rig.runner.hold("slow")
    sign(rig.cluster, key, "jane")
    await rig.seconds(3)
    assert (rig.status(key).phase, rig.route().weight) == (Phase.PREFLIGHT, 0)
    slow.set()
    await rig.until(lambda: rig.route().weight == 10)
    assert [item for _, item in rig.runner.ran] == ["api", "slow"] * 2
    first, again = dict.fromkeys(attempt for attempt, _ in rig.runner.ran)
    assert rig.runner.cleaned == [first, again], "what either made is removed"
