"""The conformance suite of traffic providers: what the engine relies on, asked of a real cluster."""

from __future__ import annotations

import asyncio
import time

import pytest

from conformance.harness import FOREIGN_MANAGER, Provider, ProviderHarness, Served, Snapshot
from conformance.terms import AT_REST, EPOCH, RUN, in_band, set_weight
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Route, RouteMark, Verification
from sparkrelease.decide.plan import ReleaseRoute
from sparkrelease.ports.traffic import Acceptance, ApplyOutcome

REQUESTS = 3000
MANY_REQUESTS = 10_000
"""Enough to tell 1 % from 0.5 % and 1.5 %."""
ACCEPTED_WITHIN = 20.0
"""Seconds a gateway may take for a route."""


class ProviderConformance:
    """Derive, and add a fixture `harness`. `some` is a weight between nothing and half that the provider can give."""

    some = 25.0

    # ------------------------------------------------------------ what is written

    @pytest.mark.parametrize("canary", [0.1, 1, 12.5, 50, 100, 0])
    async def test_a_weight_is_written_out_in_every_rule_and_sums_to_the_whole(
        self, harness: ProviderHarness, canary: float
    ) -> None:
        provider = await _ready(harness)
        _skip_what_it_cannot_give(provider, canary)
        await provider.apply(harness.target, set_weight(50), EPOCH)
        await provider.apply(harness.target, set_weight(canary), EPOCH)
        route = _snapshot(harness)
        assert route.explicit
        assert set(route.weights) == {(100 - canary, canary)}
        seen = provider.observe(harness.target)
        assert (seen.canary_weight, seen.problem, seen.manager) == (canary, None, "")

    async def test_all_rules_change_in_one_write(self, harness: ProviderHarness) -> None:
        provider, lane = harness.provider()
        await _prepare(harness, provider)
        lane.writes.clear()
        before = _snapshot(harness)
        assert (await provider.apply(harness.target, set_weight(self.some), EPOCH)).outcome is ApplyOutcome.CHANGED
        assert len(lane.writes) == 1
        after = _snapshot(harness)
        assert after.generation > before.generation
        assert (after.generation == before.generation + 1) or not harness.counts_changes

    async def test_a_weight_applied_twice_is_written_once(self, harness: ProviderHarness) -> None:
        provider, lane = harness.provider()
        await _prepare(harness, provider)
        first = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        before = _snapshot(harness)
        lane.writes.clear()
        second = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        assert (first.outcome, second.outcome) == (ApplyOutcome.CHANGED, ApplyOutcome.UNCHANGED)
        assert lane.writes == []
        assert _snapshot(harness).content == before.content

    async def test_an_answer_tells_what_was_written_and_when(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        answer = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        assert answer.route is not None
        assert answer.route.canary_weight == self.some
        assert answer.route.generation == _snapshot(harness).generation
        assert answer.route.written_at == answer.at

    async def test_a_restarted_operator_reads_run_epoch_weight_and_rollback_from_the_route(
        self, harness: ProviderHarness
    ) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        await provider.apply(harness.target, set_weight(0, rollback="http-5xx"), EPOCH)
        other, _ = harness.provider()
        harness.show(other)
        assert other.observe(harness.target).mark == RouteMark(RUN, EPOCH, 0, "http-5xx")

    # ------------------------------------------------------------ what clients get

    @pytest.mark.parametrize("canary", [1, 5, 25, 50, 100])
    async def test_clients_get_the_split(self, harness: ProviderHarness, canary: float) -> None:
        provider = await _ready(harness)
        _skip_what_it_cannot_give(provider, canary)
        await provider.apply(harness.target, set_weight(canary), EPOCH)
        await _accepted(harness, provider)
        served = harness.serve(REQUESTS if canary > 1 else MANY_REQUESTS)
        assert served.failed == 0
        assert in_band(served, canary), served

    async def test_weights_up_and_down_lose_no_request(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await _accepted(harness, provider)
        traffic = harness.start_traffic(rps=200)
        for canary in (1, 50, 100, 0) * 5:
            await provider.apply(harness.target, set_weight(canary), EPOCH)
            traffic.answered(10)
        served = traffic.stop()
        assert served.failed == 0
        assert served.canary > 0

    async def test_a_rollback_takes_the_canary_from_clients(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(100), EPOCH)
        await _accepted(harness, provider)
        await provider.apply(harness.target, set_weight(0, rollback="http-5xx"), EPOCH)
        await _accepted(harness, provider)
        assert harness.serve(200) == Served(stable=200, canary=0, failed=0)

    async def test_a_provider_that_cannot_mirror_says_so_before_the_run(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        if provider.capabilities().mirror:
            found = await provider.preflight(harness.target, (100.0,))
            assert [finding for finding in found if finding.fatal] == []
            return
        reasons = {f.problem.reason for f in await provider.preflight(harness.target, (100.0,)) if f.fatal}
        assert reasons == {Reason.MIRROR_UNSUPPORTED}

    # ------------------------------------------------------------ others who write

    async def test_a_status_write_between_look_and_write_does_no_harm(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        before = _snapshot(harness)
        harness.touch_status()
        assert _snapshot(harness).version != before.version
        assert (await provider.apply(harness.target, set_weight(1), EPOCH)).outcome is ApplyOutcome.CHANGED

    async def test_an_edit_of_another_rule_is_a_conflict_once_and_survives(self, harness: ProviderHarness) -> None:
        if not harness.has_other_rule:
            pytest.skip("every rule of this route is managed: there is nothing else to edit")
        provider = await _ready(harness)
        still_there = harness.edit_other_rule()
        assert (await provider.apply(harness.target, set_weight(1), EPOCH)).outcome is ApplyOutcome.CONFLICT
        assert (await provider.apply(harness.target, set_weight(1), EPOCH)).outcome is ApplyOutcome.CHANGED
        assert still_there()

    async def test_a_revert_is_seen_with_its_author_and_set_again(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        harness.write_weights(0)
        harness.show(provider)
        seen = provider.observe(harness.target)
        assert (seen.canary_weight, seen.manager, seen.written_at) == (0, FOREIGN_MANAGER, None)
        assert seen.mark is not None
        assert seen.mark.weight == self.some
        assert (await provider.apply(harness.target, set_weight(self.some), EPOCH)).outcome is ApplyOutcome.CHANGED
        assert set(_snapshot(harness).weights) == {(100 - self.some, self.some)}

    async def test_a_revert_at_the_moment_of_a_write_is_a_conflict_and_stands(self, harness: ProviderHarness) -> None:
        provider, lane = harness.provider()
        await _prepare(harness, provider)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)

        async def revert() -> None:
            harness.write_weights(0)

        lane.before_write = revert
        assert (await provider.apply(harness.target, set_weight(50), EPOCH)).outcome is ApplyOutcome.CONFLICT
        assert set(_snapshot(harness).weights) == {(100, 0)}

    # ------------------------------------------------------------ leaders

    async def test_an_older_epoch_is_fenced(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        before = _snapshot(harness)
        for action in (set_weight(50), set_weight(0, rollback="x"), ReleaseRoute()):
            assert (await provider.apply(harness.target, action, EPOCH - 1)).outcome is ApplyOutcome.FENCED
        assert (await provider.stamp(harness.target, EPOCH - 1)).outcome is ApplyOutcome.FENCED
        assert _snapshot(harness).content == before.content

    async def test_a_stamp_changes_the_epoch_and_nothing_else(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        before = _snapshot(harness)
        assert (await provider.stamp(harness.target, EPOCH + 1)).outcome is ApplyOutcome.CHANGED
        after = _snapshot(harness)
        assert after.says == before.says
        assert after.generation == before.generation or not harness.counts_changes
        assert after.marks != before.marks
        mark = provider.observe(harness.target).mark
        assert mark == RouteMark(RUN, EPOCH + 1, self.some)
        assert (await provider.stamp(harness.target, EPOCH + 1)).outcome is ApplyOutcome.UNCHANGED

    async def test_a_leader_that_slept_through_a_stamp_moves_nothing(self, harness: ProviderHarness) -> None:
        old = await _ready(harness)
        await old.apply(harness.target, set_weight(self.some), EPOCH)
        new, _ = harness.provider()
        harness.show(new)
        assert (await new.stamp(harness.target, EPOCH + 1)).outcome is ApplyOutcome.CHANGED
        before = _snapshot(harness)
        for action in (set_weight(50), set_weight(0), ReleaseRoute(), ReleaseRoute(remove=True)):
            assert (await old.apply(harness.target, action, EPOCH)).outcome is ApplyOutcome.FENCED
        assert _snapshot(harness).content == before.content

    async def test_a_leader_frozen_with_a_write_in_its_hand_moves_nothing(self, harness: ProviderHarness) -> None:
        old, lane = harness.provider()
        await _prepare(harness, old)
        await old.apply(harness.target, set_weight(self.some), EPOCH)
        new, _ = harness.provider()
        harness.show(new)
        lane.before_write = lambda: new.stamp(harness.target, EPOCH + 1)
        assert (await old.apply(harness.target, set_weight(50), EPOCH)).outcome is ApplyOutcome.FENCED
        assert set(_snapshot(harness).weights) == {(100 - self.some, self.some)}

    # ------------------------------------------------------------ replies

    async def test_a_lost_reply_fails_and_its_retry_finds_all_done(self, harness: ProviderHarness) -> None:
        provider, lane = harness.provider()
        await _prepare(harness, provider)
        lane.lose_replies = 1
        lost = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        assert lost.outcome is ApplyOutcome.FAILED
        assert lost.problem is not None
        assert lost.problem.reason is Reason.ROUTE_WRITE_FAILED
        assert provider.observe(harness.target).write_problem == lost.problem
        before = _snapshot(harness)
        assert set(before.weights) == {(100 - self.some, self.some)}
        again = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        assert again.outcome is ApplyOutcome.UNCHANGED
        assert provider.observe(harness.target).write_problem is None
        assert _snapshot(harness).generation == before.generation

    # ------------------------------------------------------------ verification

    async def test_a_weight_is_not_verified_before_the_gateway_took_it(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        if provider.capabilities().acceptance is Acceptance.NONE:
            pytest.skip("this provider has no way to learn whether a weight was taken")
        await _accepted(harness, provider)
        with harness.gateway_asleep():
            await provider.apply(harness.target, set_weight(self.some), EPOCH)
            seen = await _refreshed(harness, provider)
            assert seen.canary_weight == self.some
            assert (seen.verification, seen.reason) == (Verification.PENDING, Reason.ROUTE_PENDING)
            assert seen.message
        await _accepted(harness, provider)

    # ------------------------------------------------------------ the end

    async def test_release_puts_everything_back(self, harness: ProviderHarness) -> None:
        provider, lane = harness.provider()
        await _prepare(harness, provider)
        before = _snapshot(harness)
        original = provider.observe(harness.target).original
        assert (original is None) == harness.target.owned
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        await provider.apply(harness.target, set_weight(0), EPOCH)
        answer = await provider.apply(harness.target, ReleaseRoute(original), EPOCH)
        assert answer.outcome is ApplyOutcome.CHANGED
        after = _snapshot(harness)
        assert after.says == before.says
        assert after.marks == before.marks
        assert provider.observe(harness.target).mark is None
        lane.writes.clear()
        again = await provider.apply(harness.target, ReleaseRoute(original), EPOCH)
        assert again.outcome is ApplyOutcome.UNCHANGED
        assert lane.writes == []

    async def test_only_an_owned_route_is_ever_removed(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(0), EPOCH)
        answer = await provider.apply(harness.target, ReleaseRoute(remove=True), EPOCH)
        assert answer.outcome is ApplyOutcome.CHANGED
        assert (harness.snapshot() is None) == harness.target.owned

    async def test_a_route_that_somebody_deleted_comes_back_for_a_weight_alone_and_only_an_owned_one(
        self, harness: ProviderHarness
    ) -> None:
        provider = await _ready(harness)
        await provider.apply(harness.target, set_weight(self.some), EPOCH)
        harness.drop_route()
        assert (await provider.refresh(harness.target)).exists is False
        assert (await provider.apply(harness.target, ReleaseRoute(), EPOCH)).outcome is ApplyOutcome.UNCHANGED
        assert harness.snapshot() is None
        answer = await provider.apply(harness.target, set_weight(self.some), EPOCH)
        if harness.target.owned:
            assert answer.outcome is ApplyOutcome.CHANGED
            await _accepted(harness, provider)
            assert in_band(harness.serve(300), self.some)
        else:
            assert answer.problem is not None
            assert answer.problem.reason is Reason.ROUTE_NOT_FOUND
            assert harness.snapshot() is None

    async def test_adopting_a_live_route_loses_no_request(self, harness: ProviderHarness) -> None:
        if not harness.target.owned:
            pytest.skip("a referenced route is never adopted")
        provider, _ = harness.provider()
        harness.put_route()
        traffic = harness.start_traffic(rps=300)
        traffic.answered(100)
        harness.show(provider)
        assert provider.observe(harness.target).canary_weight is None
        answer = await provider.apply(harness.target, AT_REST, EPOCH)
        assert answer.outcome is ApplyOutcome.CHANGED
        await _accepted(harness, provider)
        traffic.answered(300)
        served = traffic.stop()
        assert (served.failed, served.canary) == (0, 0)
        assert provider.observe(harness.target).canary_weight == 0
        assert _snapshot(harness).marks == {}

    # ------------------------------------------------------------ preflight

    async def test_preflight_finds_nothing_wrong_with_a_good_route_and_writes_nothing(
        self, harness: ProviderHarness
    ) -> None:
        provider, _ = harness.provider()
        assert harness.target.owned or [f.problem.reason for f in await provider.preflight(harness.target)] == [
            Reason.ROUTE_NOT_FOUND
        ]
        await _prepare(harness, provider)
        before = _snapshot(harness)
        assert [finding for finding in await provider.preflight(harness.target) if finding.fatal] == []
        assert _snapshot(harness).content == before.content

    async def test_preflight_finds_a_missing_service(self, harness: ProviderHarness) -> None:
        provider = await _ready(harness)
        with harness.drop_canary_service():
            findings = await provider.preflight(harness.target)
        assert Reason.SERVICE_NOT_FOUND in {finding.problem.reason for finding in findings if finding.fatal}

    async def test_preflight_finds_that_it_may_not_write(self, harness: ProviderHarness) -> None:
        await _ready(harness)
        stranger = harness.stranger()
        harness.show(stranger)
        (finding,) = [finding for finding in await stranger.preflight(harness.target) if finding.fatal]
        assert finding.problem.reason is Reason.ROUTE_WRITE_FAILED
        answer = await stranger.apply(harness.target, set_weight(1), EPOCH)
        assert answer.outcome is ApplyOutcome.FAILED
        assert set(_snapshot(harness).weights) == {(100, 0)}


# ---------------------------------------------------------------- steps


def _skip_what_it_cannot_give(provider: Provider, canary: float) -> None:
    able = provider.capabilities()
    if able.weights is not None and canary not in able.weights:
        pytest.skip(f"this provider gives the weights {able.weights} alone")
    if canary % 1 and able.granularity > 0.1:
        pytest.skip(f"this provider gives no weight finer than {able.granularity:g} %")


async def _ready(harness: ProviderHarness) -> Provider:
    """A provider before its first weight: the route is there, all on stable."""
    provider, _ = harness.provider()
    await _prepare(harness, provider)
    return provider


async def _prepare(harness: ProviderHarness, provider: Provider) -> None:
    if harness.target.owned:
        answer = await provider.apply(harness.target, AT_REST, EPOCH)
        assert answer.outcome is ApplyOutcome.CHANGED, answer
    else:
        harness.put_route()
    await _accepted(harness, provider)


async def _accepted(harness: ProviderHarness, provider: Provider) -> None:
    """Waits until the gateway took the route as it is, where the provider can tell."""
    if provider.capabilities().acceptance is Acceptance.NONE:
        await _refreshed(harness, provider)
        return

    deadline = time.monotonic() + ACCEPTED_WITHIN
    while (seen := await _refreshed(harness, provider)).verification is not Verification.VERIFIED:
        assert time.monotonic() < deadline, f"not accepted within {ACCEPTED_WITHIN:g} s: {seen.message}"
        await asyncio.sleep(0.05)


async def _refreshed(harness: ProviderHarness, provider: Provider) -> Route:
    harness.show(provider)
    return await provider.refresh(harness.target)


def _snapshot(harness: ProviderHarness) -> Snapshot:
    route = harness.snapshot()
    assert route is not None
    return route
