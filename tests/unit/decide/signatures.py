"""Signatures for the tests, and worlds that wait for them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sparkrelease.api.approval import Decision
from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Approval
from sparkrelease.decide.replay import replay
from unit.decide.world import START, World, spec

UID, RUN = "uid-1", "v2-abcdef"


def signature(
    by: str,
    *items: str,
    name: str = "",
    run: str = RUN,
    at: datetime = START,
    decision: Decision = Decision.GO,
    **more: object,
) -> Approval:
    """What somebody signed; called after them unless a name is given."""
    known = {"release_uid": UID, "run": run, "decision": decision, "by": by, "at": at, "items": items}
    return Approval(name=name or f"{by}-{'-'.join(items)}", **{**known, **more})  # type: ignore[arg-type]  # by name


def sign(world: World, by: str, *items: str, **more: object) -> None:
    """Somebody signs for the run under way, now."""
    run = world.status.run
    assert run is not None
    given = {"name": f"a{len(world.approvals)}", "run": run.id, "at": world.now.replace(microsecond=0)}
    world.approvals += (signature(by, *items, **{**given, **more}),)  # type: ignore[arg-type]  # by name


def refuse(world: World, by: str, why: str = "no", **more: object) -> None:
    """Somebody signs NO-GO."""
    sign(world, by, decision=Decision.NO_GO, comment=why, **more)


def wait(world: World, seconds: float) -> None:
    """Time passes until the next round, as for a release that nothing wakes."""
    world.now += timedelta(seconds=seconds)
    world.settle_rounds()


# ---------------------------------------------------------------- worlds that wait

CHECKLIST = [{"name": "backups"}, {"name": "decimals", "required": 2}]
APPROVED_STAGE = [
    {"name": "one", "weight": 1, "duration": "1m"},
    {"name": "half", "weight": 50, "duration": "1m", "approval": {}},
    {"name": "full", "weight": 100, "duration": "1m"},
]


def waiting(**changes: object) -> World:
    """A world whose run waits for its go/no-go."""
    world = World(spec=spec(**{"checklist": CHECKLIST, **changes}))
    world.run_for(30)
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    return world


def at_the_stage(**changes: object) -> World:
    """A world whose gate before `half` has passed, and nobody has signed for it."""
    world = World(spec=spec(**{"stages": APPROVED_STAGE, **changes}))
    world.run_for(300, until=Phase.AWAITING_APPROVAL)
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    return world


def check_replay(world: World) -> None:
    found = replay(world.stored())
    assert (found.difference, found.entries) == (None, len(world.chain))
