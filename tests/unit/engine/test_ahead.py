"""Which of two decisions are one."""

from __future__ import annotations

from sparkrelease.decide.evidence import Entry
from sparkrelease.engine.ahead import begin_alike


def entry(kind: str, entries: int | None = None, **data: object) -> Entry:
    inputs = {} if entries is None else {"inputs": {"entries": entries, "zlib": "-"}}
    return Entry(1, "2026-11-28T09:00:00Z", "shop/web", "v2-1", kind, "text", {**data, **inputs}, "", "")


def test_a_decision_made_again_is_known_by_its_kinds() -> None:
    stored = [entry("GatePassed", 2), entry("StageEntered")]
    assert begin_alike(stored, [*stored, entry("NoData", 1)])
    assert not begin_alike(stored, [entry("NoData", 1), *stored])
    assert not begin_alike(stored, [stored[0], entry("Promoted")])
    assert not begin_alike(stored, stored[:1])


def test_the_beginning_of_a_longer_decision_is_another_one() -> None:
    stored = [entry("Mitigating", 1)]
    assert not begin_alike(stored, [entry("Mitigating", 2), entry("TriggerHolds")])


def test_of_a_long_decision_the_last_part_may_not_have_been_stored() -> None:
    stored = [entry("TriggerFired", 2)]
    assert begin_alike(stored, [entry("TriggerFired", 2), entry("RolledBack")])


def test_a_start_with_another_spec_is_another_one() -> None:
    stored = [entry("RunStarted", 1, specDigest="sha256:a")]
    assert begin_alike(stored, [entry("RunStarted", 1, specDigest="sha256:a")])
    assert not begin_alike(stored, [entry("RunStarted", 1, specDigest="sha256:b")])
