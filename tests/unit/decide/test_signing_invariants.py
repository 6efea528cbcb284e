"""Whatever happens, in whatever order, and whoever signs what: no weight without the signatures it needs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.approval import Decision
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Counts
from unit.decide.signatures import signature
from unit.decide.test_invariants import Watcher, events, happen
from unit.decide.world import World, spec

STAGES = [
    {"name": "one", "weight": 1, "duration": "20s"},
    {"name": "half", "weight": 50, "duration": "20s", "approval": {"required": 2, "groups": ["cto"]}},
    {"name": "full", "weight": 100, "duration": "20s"},
]
CHECKLIST = [{"name": "backups"}, {"name": "budget", "groups": ["cto"]}]

signed = st.fixed_dictionaries(
    {
        "by": st.sampled_from(["jane", "bob", "eve"]),
        "groups": st.sampled_from([(), ("cto",), ("cto",)]),
        "stage": st.sampled_from(["", "", "half"]),
        "decision": st.sampled_from([Decision.GO] * 9 + [Decision.NO_GO]),
        "old": st.sampled_from([False, False, False, True]),
    }
)
happenings = st.one_of(
    events,
    st.tuples(st.just("signed"), signed),
    st.tuples(st.just("signed"), signed),
    st.tuples(st.just("unsigned"), st.integers(0, 5)),
)


def waiting() -> World:
    """A release that wants a go/no-go and two signatures for its second stage, and is well."""
    world = World(spec=spec(stages=STAGES, checklist=CHECKLIST, approvalExpires="3m"))
    world.run_for(10)
    return world


def occur(world: World, what: str, value: object) -> None:
    """Signatures come and go; anything else is as for every release."""
    match what, value:
        case "signed", {"old": old, "decision": decision, **rest}:
            run = world.status.run
            name = run.id if run is not None and not old else "v1-000000"
            more = {"name": f"a{len(world.approvals)}-{world.now}", "run": name, "at": world.now}
            world.approvals += (signature(**rest, decision=decision, comment="so", **more),)  # type: ignore[arg-type]
        case "unsigned", int(place):
            world.approvals = world.approvals[:place] + world.approvals[place + 1 :]
        case _:
            happen(world, what, value)


class Signed(Watcher):
    """Checks every weight against the signatures that evidence has for it."""

    def round(self) -> None:
        before = self.world.route.canary_weight
        super().round()
        run, entries = self.world.status.run, self.world.entries
        written = self.world.last
        if (
            run is None
            or written is None
            or written.route is None
            or (self.world.route.canary_weight or 0) <= (before or 0)
        ):
            return
        starts = [place for place, entry in enumerate(entries) if entry.kind is Reason.RUN_STARTED]
        mine = entries[starts[-1] :] if starts else []
        approved = [entry.data.get("stage", "") for entry in mine if entry.kind is Reason.APPROVED]
        assert "" in approved, "a weight without a go"
        if (self.world.route.canary_weight or 0) > 1:
            assert "half" in approved, "a stage that nobody signed"
        assert not any(entry.kind is Reason.NO_GO for entry in mine)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(happenings, max_size=30))
def test_no_history_gives_a_weight_that_nobody_signed(history: list[tuple[str, object]]) -> None:
    world = waiting()
    watcher = Signed(world)
    for what, value in history:
        occur(world, what, value)
        for _ in range(value if what == "wait" and isinstance(value, int) else 2):
            world.now += world.tick
            watcher.round()
            watcher.round()
    watcher.check_replay()


@settings(max_examples=30, deadline=None)
@given(st.lists(happenings, max_size=12))
def test_a_no_go_always_ends_with_all_traffic_on_stable(history: list[tuple[str, object]]) -> None:
    world = waiting()
    for what, value in history:
        occur(world, what, value)
        world.run_for(5)
    world.deleting = False
    world.evidence_works = world.route_writable = True
    world.stable_reading = world.reading = Counts(0, 1000)
    world.now += timedelta(seconds=5)
    run = world.status.run
    if run is None or run.end is not None or run.promoted_at is not None:
        return
    world.approvals += (
        signature("eve", name="last", run=run.id, at=world.now, decision=Decision.NO_GO, comment="stop"),
    )
    world.run_for(60)
    assert world.status.run is not None
    ended = [one for one in world.status.history if one.run == run.id]
    if ended:
        assert ended[0].outcome.value in {"Blocked", "RolledBack", "Superseded", "Cancelled"}
    if world.route.exists and world.route.mark is not None and world.stable.ready:
        assert world.route.canary_weight == 0
