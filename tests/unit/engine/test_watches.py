"""Kopf is a transport: it watches, and writes nothing."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sparkrelease.adapters.kubernetes.credentials import Identity
from sparkrelease.engine.intake import GATEWAYS, KINDS
from sparkrelease.kopf_app import Watches, _settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def watches(deliver=lambda *_: None, **more) -> Watches:  # noqa: ANN001, ANN003 - a stand-in
    return Watches(Identity(), deliver, **more)


def test_every_kind_is_watched_by_an_event_handler_and_by_nothing_that_writes() -> None:
    registry = watches()._handlers()
    watched = {handler.id for handler in registry._watching.get_all_handlers()}
    assert watched == {*KINDS, *GATEWAYS}
    for writing in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(writing.get_all_handlers()) == []


def test_gateways_are_left_out_where_they_may_not_be_watched() -> None:
    registry = watches(gateways=False)._handlers()
    assert {handler.id for handler in registry._watching.get_all_handlers()} == set(KINDS)


def test_no_outage_ends_the_watches_and_nothing_is_posted_or_peered() -> None:
    settings = _settings()
    backoffs = settings.networking.error_backoffs
    for _ in range(2):
        pauses = list(itertools.islice(iter(backoffs), 500))  # type: ignore[arg-type]
        assert len(pauses) == 500
        assert max(pauses) <= 3
    assert settings.posting.enabled is False
    assert settings.peering.standalone is True
    assert settings.scanning.disabled is True
    assert settings.process.ultimate_exiting_timeout is None
    assert settings.watching.inactivity_timeout == 70


async def test_what_is_seen_arrives_in_the_engine_s_loop_in_order() -> None:
    seen: list[tuple[str, str | None, Mapping[str, object]]] = []
    there = watches(lambda *what: seen.append(what))
    there._engine_loop = asyncio.get_running_loop()
    await asyncio.to_thread(there._hand_over, "SparkRelease", None, {"a": 1})
    await asyncio.to_thread(there._hand_over, "SparkRelease", "DELETED", {"a": 1})
    await asyncio.sleep(0)
    assert [(kind, event) for kind, event, _ in seen] == [("SparkRelease", None), ("SparkRelease", "DELETED")]


async def test_what_is_seen_after_the_loop_ended_is_dropped() -> None:
    there = watches()
    loop = asyncio.new_event_loop()
    loop.close()
    there._engine_loop = loop
    there._hand_over("SparkRelease", None, {})
