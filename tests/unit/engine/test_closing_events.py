"""The end of each run is told, with the head of its own evidence, however alike and however soon the ends are."""

from __future__ import annotations

from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.reasons import Reason
from sparkrelease.ports.cluster import ObjectKey

LONG = [{"name": "ten", "weight": 10, "duration": "60s"}, {"name": "full", "weight": 100, "duration": "60s"}]


async def waiting() -> tuple[Rig, ObjectKey]:
    """A release whose canary runs what stable runs: nothing to release."""
    rig = Rig()
    rig.serve(canary="fp1")
    key = rig.cluster.create(NAMESPACE, "web", spec(version="v1", stages=LONG))
    await rig.start()
    return rig, key


def said(rig: Rig, reason: Reason) -> list[str]:
    return [event.message for _, event in rig.cluster.events if event.reason is reason]


def version_of(rig: Rig, key: ObjectKey) -> str:
    run = rig.status(key).run
    return run.version if run else ""


async def test_each_of_three_runs_taken_back_in_git_is_told_with_the_head_of_its_evidence() -> None:
    rig, key = await waiting()
    for number in range(1, 4):
        rig.cluster.roll_out(NAMESPACE, "web-canary", "fp2")
        rig.cluster.edit(key, version="v2")
        await rig.until(lambda: rig.route().weight == 10)
        assert len(said(rig, Reason.STAGE_ENTERED)) == number, "the same stage of another run is news"
        rig.cluster.edit(key, version="v1")
        rig.cluster.roll_out(NAMESPACE, "web-canary", "fp1")
        await rig.until(lambda: rig.route().weight == 0)
        await rig.seconds(20)
    history = rig.status(key).history
    assert len({entry.run for entry in history}) == 3
    told = said(rig, Reason.CANCELLED)
    assert len(told) == 3, "each end once"
    assert [entry.evidence.head in text for entry, text in zip(reversed(history), told, strict=True)] == [True] * 3


async def test_a_superseded_run_is_told_with_its_own_head_and_not_that_of_the_run_after_it() -> None:
    rig, key = await waiting()
    for number in range(2, 5):
        rig.cluster.edit(key, version=f"v{number}")
        await rig.seconds(2)
        rig.cluster.roll_out(NAMESPACE, "web-canary", f"fp{number}")
        await rig.until(lambda want=f"v{number}": version_of(rig, key) == want and rig.route().weight == 10, 400)
    ended = list(reversed(rig.status(key).history))
    assert [entry.reason for entry in ended] == [Reason.SUPERSEDED] * 2
    told = said(rig, Reason.SUPERSEDED)
    assert [entry.evidence.head in text for entry, text in zip(ended, told, strict=True)] == [True] * 2


async def test_the_same_words_in_one_run_are_handed_over_once_in_five_minutes() -> None:
    rig, key = await waiting()
    rig.cluster.roll_out(NAMESPACE, "web-canary", "fp2")
    rig.cluster.edit(key, version="v2")
    await rig.until(lambda: rig.route().weight == 10)
    release = rig.engine.store.get(key)
    draft = rig.cluster.events[-1][1]
    before = len(rig.cluster.events)
    rig.engine.rounds.reporter.say(release, [draft])
    assert len(rig.cluster.events) == before
    rig.clock.advance(301)
    rig.engine.rounds.reporter.say(release, [draft])
    assert len(rig.cluster.events) == before + 1
