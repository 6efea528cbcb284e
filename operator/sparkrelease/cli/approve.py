"""Signing: one ReleaseApproval for the run that is under way, then what is still missing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.adapters.kubernetes.evidence import RELEASE_LABEL, RUN_LABEL, label_value
from sparkrelease.api.approval import ApprovedRelease, Decision, Override, ReleaseApprovalSpec
from sparkrelease.api.objects import (
    API_VERSION,
    APPROVAL_KIND,
    RELEASE_KIND,
    ParsedApproval,
    ParsedRelease,
    read_approval,
)
from sparkrelease.api.status import Run
from sparkrelease.cli.ask import Show
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.look import find_release, look_at
from sparkrelease.cli.render.approvals import render_signed, render_tally
from sparkrelease.decide.approvals import Ballot, Scope, Tally, approval_of, count, wanted_before, wanted_of
from sparkrelease.decide.facts import Approval
from sparkrelease.decide.resolve import ResolvedSpec

RUN_POLICY = "sparkrelease-approval-run"
"""Name of the admission policy that refuses a signature for another run than the one under way."""

BEHIND, LOOK_EVERY = 5.0, 0.25
"""Seconds for which the policy may not know a run that has just begun, and between two tries meanwhile."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a person wants to sign. `stage` and `run` are found when they are not given."""

    decision: Decision
    comment: str = ""
    stage: str | None = None
    items: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    run: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """What would be signed: release, run, and the stage (empty for the go/no-go)."""

    release: ParsedRelease
    spec: ResolvedSpec
    run: str
    stage: str


def sign(cluster: ClusterDoor, name: str, wish: Signature, show: Show) -> None:
    """Signs, and shows what is missing after it. CliError when there is nothing to sign, or it cannot be signed."""
    place = _place(cluster, name, wish)
    user, groups = cluster.identity()
    body = _body(place, wish, user, _groups_asked_for(place.spec, groups))
    stored = read_approval(_created(cluster, name, place, body))
    if not isinstance(stored, ParsedApproval):
        raise CliError(ExitCode.REFUSED, stored.message)
    mine = approval_of(stored)
    show(render_signed(mine, f"{cluster.namespace}/{name}"))
    if wish.decision is Decision.NO_GO:
        return
    votes = _ballot(place, _signed(cluster, name, mine))
    refused = next((one for one in votes.refused if one.approval.name == mine.name), None)
    show(render_tally(_tally(place, votes)))
    if refused is not None:
        raise CliError(ExitCode.BAD, f"your signature does not count: {refused.problem.message}")


def _created(cluster: ClusterDoor, name: str, place: _Place, body: Mapping[str, object]) -> Mapping[str, object]:
    """The object as it was stored.

    The API server compares it with what it has last heard of the release, which may be older than what it answers:
    while the run is the one under way, a refusal for that is tried again.
    """
    deadline = time.monotonic() + BEHIND
    while True:
        try:
            return cluster.create_approval(body)
        except CliError as error:
            if RUN_POLICY not in str(error) or time.monotonic() >= deadline or not _still_runs(cluster, name, place):
                raise
        time.sleep(LOOK_EVERY)


def _still_runs(cluster: ClusterDoor, name: str, place: _Place) -> bool:
    release = find_release(cluster, name)
    run = release.status.run
    return run is not None and _is_under_way(run) and (release.uid, run.id) == (place.release.uid, place.run)


# ---------------------------------------------------------------- what is to be signed


def _place(cluster: ClusterDoor, name: str, wish: Signature) -> _Place:
    release = find_release(cluster, name)
    run = release.status.run
    view = look_at(cluster, release)
    if view.spec is None:
        raise CliError(ExitCode.BAD, view.note)
    if wish.run is None and (run is None or run.end is not None):
        raise CliError(ExitCode.BAD, f"no run of {name} is under way; nothing waits for a signature")
    stage = _stage(view.spec, release, wish)
    if wish.decision is Decision.GO and not wish.overrides:
        _check_asked_for(view.spec, stage, wish.items)
    return _Place(release, view.spec, wish.run or (run.id if run is not None else ""), stage)


def _stage(spec: ResolvedSpec, release: ParsedRelease, wish: Signature) -> str:
    """The stage meant: the one named, else the next one that wants signatures, once the first weight was given."""
    if wish.stage is not None or wish.items:
        return wish.stage or ""
    run, under_way = release.status.run, release.status.stage
    if run is not None and run.promoted_at is not None:
        raise CliError(
            ExitCode.BAD, f"{run.version} is promoted, nothing waits for a signature; rollback takes it back"
        )
    if not _is_under_way(run) or under_way is None:
        checklist = [one for one in wanted_before(spec, 0) if not one.stage]
        return "" if checklist or spec.stages[0].approval is None else spec.stages[0].name
    ahead = [one.stage for index in range(under_way.index, len(spec.stages)) for one in wanted_before(spec, index)]
    if ahead or wish.decision is Decision.NO_GO:
        return ahead[0] if ahead else ""
    raise CliError(ExitCode.BAD, "no stage that is left asks for a signature")


def _is_under_way(run: Run | None) -> bool:
    return run is not None and run.end is None


def _check_asked_for(spec: ResolvedSpec, stage: str, items: Sequence[str]) -> None:
    wanted = wanted_of(spec)
    if stage and not any(one.stage == stage for one in wanted):
        stages = ", ".join(one.stage for one in wanted if one.stage) or "none does"
        raise CliError(ExitCode.USAGE, f"stage {stage} asks for no signature (those that do: {stages})")
    checklist = [one.name for one in wanted if not one.stage]
    if not stage and not checklist:
        raise CliError(ExitCode.BAD, "this release has no checklist; nothing waits for a signature")
    unknown = [item for item in items if item not in checklist]
    if unknown:
        raise CliError(ExitCode.USAGE, f"no item is called {', '.join(unknown)} (there are: {', '.join(checklist)})")


def _groups_asked_for(spec: ResolvedSpec, own: Sequence[str]) -> tuple[str, ...]:
    """Of the person's groups those that somebody asks for: the others are nobody's business."""
    asked = {group for one in wanted_of(spec) for group in one.groups}
    return tuple(group for group in dict.fromkeys(own) if group in asked)


def _body(place: _Place, wish: Signature, user: str, groups: tuple[str, ...]) -> Mapping[str, object]:
    release = place.release
    spec = ReleaseApprovalSpec(
        release=ApprovedRelease(name=release.name, uid=release.uid),
        run=place.run,
        decision=wish.decision,
        approved_by=user,
        groups=groups,
        stage=place.stage or None,
        items=wish.items,
        comment=wish.comment,
        overrides=wish.overrides,
    )
    owner = {"apiVersion": API_VERSION, "kind": RELEASE_KIND, "name": release.name, "uid": release.uid}
    return {
        "apiVersion": API_VERSION,
        "kind": APPROVAL_KIND,
        "metadata": {
            "generateName": f"{release.name}-",
            "namespace": release.namespace,
            "labels": {RELEASE_LABEL: label_value(release.name), RUN_LABEL: label_value(place.run)},
            "ownerReferences": [owner],
        },
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }


# ---------------------------------------------------------------- what is missing


def _signed(cluster: ClusterDoor, name: str, mine: Approval) -> list[Approval]:
    """Every signature for the release, ours among them whether or not the list has it yet.

    Ours came after those that are listed: times are cut to the second, so it is put behind the others of its own.
    """
    found = {}
    for body in cluster.approvals():
        parsed = read_approval(body)
        if isinstance(parsed, ParsedApproval) and parsed.spec.release.name == name:
            found[parsed.name] = approval_of(parsed)
    found[mine.name] = replace(mine, at=mine.at + timedelta(seconds=1))
    return list(found.values())


def _ballot(place: _Place, approvals: Sequence[Approval]) -> Ballot:
    scope = Scope(place.release.uid, place.run, datetime.now(UTC), place.spec.approval_expires)
    mine = [one for one in approvals if one.run == place.run and one.release_uid == place.release.uid]
    return count(place.spec, mine, scope)


def _tally(place: _Place, votes: Ballot) -> Tally:
    stages = [stage.name for stage in place.spec.stages]
    index = stages.index(place.stage) if place.stage in stages else 0
    return votes.of(wanted_before(place.spec, index))
