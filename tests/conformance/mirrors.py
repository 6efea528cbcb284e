"""What is asked beside the suite of a provider that copies requests for canary: `Capabilities.mirror`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from conformance.harness import Provider, ProviderHarness, Served
from conformance.suite import ACCEPTED_WITHIN, _accepted, _ready, _snapshot
from conformance.terms import EPOCH, RUN, set_weight
from sparkrelease.decide.facts import RouteMark
from sparkrelease.decide.plan import ReleaseRoute
from sparkrelease.ports.traffic import ApplyOutcome


class MirrorConformance:
    """Derive from it and from `suite.ProviderConformance`."""

    async def test_copies_reach_canary_and_clients_get_stables_answers_alone(self, harness: ProviderHarness) -> None:
        provider = await _mirroring(harness)
        await provider.apply(harness.target, set_weight(0, mirror=100), EPOCH)
        await _accepted(harness, provider)
        before = harness.reached_canary()
        assert harness.serve(200) == Served(stable=200, canary=0, failed=0)
        await _until("copies at canary", lambda: harness.reached_canary() >= before + 200)

    async def test_a_mirror_is_seen_and_put_down_with_its_mark(self, harness: ProviderHarness) -> None:
        provider = await _mirroring(harness)
        assert provider.observe(harness.target).mirror == 0
        await provider.apply(harness.target, set_weight(0, mirror=12.5), EPOCH)
        await provider.apply(harness.target, set_weight(0, mirror=40), EPOCH)
        other, _ = harness.provider()
        harness.show(other)
        seen = other.observe(harness.target)
        assert (seen.canary_weight, seen.mirror) == (0, 40)
        assert seen.mark == RouteMark(RUN, EPOCH, 0, "", 40)
        before = _snapshot(harness)
        assert (await other.apply(harness.target, set_weight(0, mirror=40), EPOCH)).outcome is ApplyOutcome.UNCHANGED
        assert _snapshot(harness).content == before.content

    async def test_a_weight_ends_the_mirror_in_the_same_write(self, harness: ProviderHarness) -> None:
        provider = await _mirroring(harness)
        await provider.apply(harness.target, set_weight(0, mirror=100), EPOCH)
        before = _snapshot(harness)
        await provider.apply(harness.target, set_weight(5), EPOCH)
        assert _snapshot(harness).generation == before.generation + 1
        seen = provider.observe(harness.target)
        assert (seen.canary_weight, seen.mirror) == (5, 0)

    async def test_a_rollback_ends_the_copies(self, harness: ProviderHarness) -> None:
        provider = await _mirroring(harness)
        await provider.apply(harness.target, set_weight(0, mirror=100), EPOCH)
        await _accepted(harness, provider)
        await provider.apply(harness.target, set_weight(0, rollback="drift"), EPOCH)
        await _accepted(harness, provider)

        def quiet() -> bool:
            reached = harness.reached_canary()
            harness.serve(20)
            return harness.reached_canary() == reached

        await _until("no copy any more", quiet)
        reached = harness.reached_canary()
        assert harness.serve(200) == Served(stable=200, canary=0, failed=0)
        assert harness.reached_canary() == reached

    async def test_what_others_want_done_with_requests_outlives_a_mirror(self, harness: ProviderHarness) -> None:
        provider = await _mirroring(harness)
        still_there = harness.add_filter()
        harness.show(provider)
        before, original = _snapshot(harness), provider.observe(harness.target).original
        await provider.apply(harness.target, set_weight(0, mirror=100), EPOCH)
        assert still_there()
        await _accepted(harness, provider)
        await provider.apply(harness.target, set_weight(0), EPOCH)
        await provider.apply(harness.target, ReleaseRoute(original), EPOCH)
        assert still_there()
        assert _snapshot(harness).says == before.says
        assert _snapshot(harness).marks == before.marks


async def _mirroring(harness: ProviderHarness) -> Provider:
    """The same of a provider that can copy requests."""
    provider = await _ready(harness)
    if not provider.capabilities().mirror:
        pytest.skip("this provider copies no requests")
    return provider


async def _until(what: str, seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ACCEPTED_WITHIN
    while not seen():
        assert time.monotonic() < deadline, f"{what}: not within {ACCEPTED_WITHIN:g} s"
        await asyncio.sleep(0.05)
