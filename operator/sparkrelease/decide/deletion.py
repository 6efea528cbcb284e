"""Deleting a release: traffic goes to stable first, and a namespace is never kept from going away.

A feature that is settled is on for everybody, and stays on: that is what stable serves.
"""

from __future__ import annotations

from sparkrelease.api.conditions import ConditionType
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import DeletionPolicy
from sparkrelease.api.status import Outcome, Phase
from sparkrelease.decide.draft import Draft, all_on_stable
from sparkrelease.decide.plan import ReleaseRoute
from sparkrelease.decide.runs import end_run, state_at_rest, stays_on


def delete(d: Draft) -> None:
    """One round of a release that is going away."""
    policy = d.spec.deletion_policy
    if d.run is not None:
        promoted = d.run.promoted_at is not None
        text = "deleted before it was settled; traffic goes to stable" if promoted else "deleted during the run"
        _end(d, policy, text)
    route, run = d.facts.route, d.status.run
    if policy is DeletionPolicy.ORPHAN or route.gone or run is None or run.dry:
        d.finalizer = False
        return
    if not route.exists:
        d.wake_at = d.now + d.facts.tick
        return  # nobody could read it yet: it may give canary everything
    ours = route.mark is not None and route.mark.run == run.id
    stays = stays_on(run)
    if ours and not stays and not all_on_stable(route):
        d.aim(0, rollback="deletion")
        d.wake_at = d.now + d.facts.tick
        d.stand(Phase.ROLLING_BACK, "False", Reason.DELETED_DURING_RUN, "traffic goes to stable", reconciling=True)
        return
    if ours or (policy is DeletionPolicy.DELETE and not stays):
        d.route = ReleaseRoute(original=state_at_rest(d.status), remove=policy is DeletionPolicy.DELETE)
        d.urgent = True
    d.finalizer = False


def _end(d: Draft, policy: DeletionPolicy, text: str) -> None:
    if policy is DeletionPolicy.ORPHAN:
        d.put_run(end=Outcome.DELETED)
        d.entry(Reason.DELETED_DURING_RUN, f"{text}; weights stay as they are (Orphan)", {"weight": d.on_route})
        d.event(Reason.DELETED_DURING_RUN, f"{text}; weights stay as they are (Orphan)", warning=True)
        return
    end_run(d, Outcome.DELETED, Reason.DELETED_DURING_RUN, text)
    d.condition(ConditionType.PROGRESSING, "False", Reason.DELETED_DURING_RUN, text)
