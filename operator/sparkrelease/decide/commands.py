"""What people ask by command: each is taken once, recorded, and never valid for another run."""

from __future__ import annotations

import zlib

from sparkrelease.api.command import Command, Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import CommandStatus, Pause, RefusedVersion, Run
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.managed import copied, is_managed, is_refused
from sparkrelease.decide.regress import go_on_from_here
from sparkrelease.decide.rollback import going_back, roll_back
from sparkrelease.decide.runs import same_pods_as_ended_run, stable_changed
from sparkrelease.decide.settle import left_behind, promote
from sparkrelease.decide.signing import awaits_go, record_skipped, unsigned_ahead
from sparkrelease.decide.stages import current_stage, enter_stage
from sparkrelease.decide.watching import start_watch, watching


def take_command(d: Draft) -> None:
    """Takes the command of the annotation, if it is a new one. What cannot be done is recorded as refused."""
    if d.facts.command_problem is not None:
        _refuse_unreadable(d, d.facts.command_problem)
        return
    command = d.facts.command
    if command is None or (d.status.command is not None and d.status.command.nonce == command.nonce):
        return
    refusal = _refusal(d, command)
    if refusal is None:
        _DO[command.verb](d, command)
    result = f"refused: {refusal}" if refusal else "taken"
    d.put(
        command=CommandStatus(
            nonce=command.nonce,
            verb=command.verb.value,
            user=command.user,
            reason=command.reason,
            at=d.now,
            result=result[:256],
        )
    )
    text = f"{command.verb.value} by {command.user or 'unknown'}: {command.reason or 'no reason given'} ({result})"
    reason = Reason.INVALID_COMMAND if refusal else Reason.COMMAND_TAKEN
    d.event(reason, text, warning=refusal is not None)
    if d.status.run is not None:
        d.entry(reason, text, _recorded(command))


def _recorded(command: Command) -> dict[str, object]:
    """The command for evidence; what belongs to a rollback is there when it was said."""
    unsaid = {name for name in ("stage", "restore_point") if not getattr(command, name)}
    return command.model_dump(mode="json", by_alias=True, exclude=unsaid)


def _refuse_unreadable(d: Draft, problem: str) -> None:
    """Says once that the annotation cannot be read; the nonce of the record stands for its text."""
    nonce = f"unreadable-{zlib.crc32(problem.encode()):08x}"
    if d.status.command is not None and d.status.command.nonce == nonce:
        return
    d.put(command=CommandStatus(nonce=nonce, verb="", at=d.now, result=f"refused: {problem}"[:256]))
    d.event(Reason.INVALID_COMMAND, f"sparkrelease.dev/command: {problem}", warning=True)


def _refusal(d: Draft, command: Command) -> str | None:
    """Why the command cannot be done now; None when it can."""
    current = d.status.run.id if d.status.run else ""
    if command.run and command.run != current:
        return f"it is for run {command.run}, the present one is {current or 'none'}"
    refusal = _CHECKS[command.verb](d)
    if refusal is None and command.verb is Verb.PROMOTE:
        refusal = unsigned_ahead(d, full=command.full)
    return refusal


def _no_run_to_roll_back(d: Draft) -> str | None:
    if copied(d):
        return "stable has the promoted pod template already; release another one"
    return None if d.run is not None and not going_back(d) else "no run is under way"


def _nothing_to_retry(d: Draft) -> str | None:
    if any(_is_refused(d, r) for r in d.status.refused) or same_pods_as_ended_run(d):
        return None
    if left_behind(d) is not None or _against_another_stable(d):
        return None
    return f"{d.facts.wanted_version} was not rolled back"


def _nothing_to_settle(d: Draft) -> str | None:
    promoted = (d.run is not None and d.run.promoted_at is not None) or left_behind(d) is not None
    return None if promoted else "nothing is promoted and unsettled"


def _nothing_to_promote(d: Draft) -> str | None:
    if d.run is None or d.run.promoted_at is not None or going_back(d):
        return "no stage is under way"
    if d.paused:
        return "the release is paused"
    if d.facts.frozen_problem is not None:
        return d.facts.frozen_problem.message
    stage = d.status.stage
    at_last = stage is None or stage.index >= len(d.spec.stages)
    rises = not at_last or d.status.weight.desired < d.spec.stages[-1].weight
    return _no_raise_now(d, d.run) if rises and not d.run.dry else None


def _no_raise_now(d: Draft, run: Run) -> str | None:
    """A promotion skips gates; what keeps any weight from rising keeps this one too."""
    if d.facts.stable.ready < run.capacity_floor:
        return "stable has fewer ready endpoints than at the start of the run"
    unread = next((side.problem for side in (d.facts.canary, d.facts.stable) if side.problem is not None), None)
    changed = unread.message if unread is not None else stable_changed(d)
    if changed is not None:
        return changed
    if not d.facts.canary.rolled_out:
        return "canary's pods are not all ready"
    if d.status.contested is not None and d.status.contested.since is not None:
        return "somebody else keeps changing the weights"
    return None


def _nothing_to_resume(d: Draft) -> str | None:
    if d.status.pause is not None or (d.run is not None and d.run.regressed):
        return None
    return "spec.paused is set in the object" if d.facts.paused_by_spec else "it is not paused by command"


def _always(_: Draft) -> str | None:
    return None


def _rollback(d: Draft, command: Command) -> None:
    message = f"asked by {command.user or 'unknown'}: {command.reason or 'no reason given'}"
    if command.restore_point:
        message += f"; database restore point: {command.restore_point}"
    roll_back(d, "command", Reason.ROLLBACK_REQUESTED, message)


def _pause(d: Draft, command: Command) -> None:
    d.put(pause=Pause(user=command.user, reason=command.reason, at=d.now))


def _resume(d: Draft, _: Command) -> None:
    d.put(pause=None)
    go_on_from_here(d)


def _retry(d: Draft, _: Command) -> None:
    d.put(refused=tuple(r for r in d.status.refused if not _is_refused(d, r)))
    if left_behind(d) is not None:
        d.put_run(settle_forced=True)
    elif _against_another_stable(d):
        d.put_run(stable_fingerprint="")
    if same_pods_as_ended_run(d):
        d.put_run(canary_fingerprint="")


def _against_another_stable(d: Draft) -> bool:
    """Whether the run under way is held because stable is not what it was; a retry begins it anew."""
    return stable_changed(d) is not None and not going_back(d) and not awaits_go(d)


def _is_refused(d: Draft, refused: RefusedVersion) -> bool:
    same_pods = not is_managed(d) and refused.fingerprint == d.facts.canary.fingerprint
    return is_refused(d, refused) or same_pods


def _settle(d: Draft, _: Command) -> None:
    d.put_run(settle_forced=True, settle_held=False)


def _promote(d: Draft, command: Command) -> None:
    stage = current_stage(d)
    status = d.status.stage
    if stage is None or status is None:
        return
    last = len(d.spec.stages)
    skipped = "all remaining gates" if command.full else "the watch" if watching(d) else f"gate {stage.name}"
    d.entry(Reason.GATE_SKIPPED, f"{skipped} skipped by {command.user or 'unknown'}: {command.reason}")
    d.event(Reason.GATE_SKIPPED, f"{skipped} skipped by {command.user or 'unknown'}: {command.reason}", warning=True)
    record_skipped(d, full=command.full)
    d.put_run(regressed=False)
    if command.full and status.index < last:
        enter_stage(d, last - 1)
    elif status.index < last:
        enter_stage(d, status.index)
    if status.index >= last and d.spec.watch is not None and not (command.full or watching(d) or d.spec.dry_run):
        start_watch(d)
    elif command.full or status.index >= last:
        promote(d, f"promoted by {command.user or 'unknown'}: {command.reason}")


_DO = {
    Verb.ROLLBACK: _rollback,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.RETRY: _retry,
    Verb.SETTLE: _settle,
    Verb.PROMOTE: _promote,
}

_CHECKS = {
    Verb.ROLLBACK: _no_run_to_roll_back,
    Verb.PAUSE: _always,
    Verb.RESUME: _nothing_to_resume,
    Verb.RETRY: _nothing_to_retry,
    Verb.SETTLE: _nothing_to_settle,
    Verb.PROMOTE: _nothing_to_promote,
}
