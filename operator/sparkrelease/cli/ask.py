"""Commands to the operator: one annotation, written in the one accepted form, then waited for in the status."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import RenderableType

from sparkrelease.api.command import COMMAND_ANNOTATION, Command, Verb, format_command, parse_command
from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.status import CommandStatus, Phase
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.look import find_release, look_at
from sparkrelease.cli.render.asked import render_back, render_rollback_plan, render_sent, render_taken

LOOK_EVERY = 0.25
"""Seconds between two looks at the status."""

TRIES = 10
"""Writes of the annotation before somebody else's constant changes are an error."""

Show = Callable[[RenderableType], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks, before it is known for which run."""

    user: str
    verb: Verb
    reason: str
    full: bool = False
    stage: str = ""
    restore_point: str = ""


class Asker:
    """Sends one command to one release. `timeout` (seconds) bounds everything that is waited for."""

    def __init__(self, cluster: ClusterDoor, name: str, *, timeout: float, show: Show) -> None:
        self._cluster = cluster
        self._name = name
        self._show = show
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout

    def ask(
        self,
        verb: Verb,
        reason: str,
        *,
        full: bool = False,
        stage: str = "",
        restore_point: str = "",
        wait: bool = True,
    ) -> None:
        """Writes the annotation, and waits until the operator took it; CliError when it refused or did not answer."""
        wish = Wish(self._cluster.user(), verb, reason, full=full, stage=stage, restore_point=restore_point)
        command = self._write(wish)
        self._show(render_sent(command, f"{self._cluster.namespace}/{self._name}"))
        if not wait:
            return
        release = self._wait_for(lambda r: _taken(r, command.nonce) is not None, f"take {verb.value}")
        taken = _taken(release, command.nonce)
        if taken is None or taken.result != "taken":
            why = taken.result if taken else "another command came after it"
            raise CliError(ExitCode.BAD, f"{verb.value} was not done: {why}")
        self._show(render_taken(taken))
        if verb is Verb.ROLLBACK:
            self._wait_for_traffic(command.run)

    def rollback_plan(self, reason: str, *, stage: str = "", restore_point: str = "") -> None:
        """Shows what a rollback would do. The API server checks the whole command and keeps nothing."""
        release = find_release(self._cluster, self._name)
        refusal = rollback_refusal(release)
        self._show(render_rollback_plan(look_at(self._cluster, release), datetime.now(UTC), refusal))
        if refusal is not None:
            raise CliError(ExitCode.BAD, "there is nothing to roll back")
        wish = Wish(self._cluster.user(), Verb.ROLLBACK, reason, stage=stage, restore_point=restore_point)
        command = _command(wish, release)
        if not self._cluster.patch_release(self._name, _operations(release, command), dry_run=True):
            raise CliError(ExitCode.TIMED_OUT, "the release changed in the meantime; ask again")

    def _write(self, wish: Wish) -> Command:
        """Writes the annotation for the run that is there at that moment.

        A command that waits to be taken is not overwritten, unless traffic has to go back.
        """
        for _ in range(TRIES):
            release = find_release(self._cluster, self._name)
            if wish.verb is not Verb.ROLLBACK and (waiting := pending_command(release)):
                who = f"{waiting.verb.value} by {waiting.user}"
                release = self._wait_for(lambda r: pending_command(r) is None, f"take {who}, asked before")
            command = _command(wish, release)
            if self._cluster.patch_release(self._name, _operations(release, command)):
                return command
        raise CliError(ExitCode.TIMED_OUT, f"{self._name} changed under each of {TRIES} tries; ask again")

    def _wait_for_traffic(self, run: str) -> None:
        release = self._wait_for(
            lambda r: (
                r.status.rollback is not None
                and (not run or r.status.rollback.run == run)
                and r.status.rollback.traffic_at is not None
            ),
            "move all traffic to stable",
        )
        if release.status.rollback is not None:
            self._show(render_back(release.status.rollback))

    def _wait_for(self, done: Callable[[ParsedRelease], bool], what: str) -> ParsedRelease:
        while True:
            release = find_release(self._cluster, self._name)
            if done(release):
                return release
            if time.monotonic() >= self._deadline:
                text = (
                    f"the operator did not {what} within {self._timeout:g} s; the command stays and may still be taken"
                )
                raise CliError(ExitCode.TIMED_OUT, text)
            time.sleep(LOOK_EVERY)


def pending_command(release: ParsedRelease) -> Command | None:
    """A command in the annotation that the operator has not answered yet; an unreadable one will never be."""
    text = release.annotations.get(COMMAND_ANNOTATION)
    command = parse_command(text) if text is not None else None
    if not isinstance(command, Command) or _taken(release, command.nonce) is not None:
        return None
    return command


def rollback_refusal(release: ParsedRelease) -> str | None:
    """Why the operator would refuse a rollback now; None when it would not."""
    run = release.status.run
    if run is None or run.end is not None:
        return "no run is under way"
    return "it is going back already" if release.status.phase is Phase.ROLLING_BACK else None


def _taken(release: ParsedRelease, nonce: str) -> CommandStatus | None:
    command = release.status.command
    return command if command is not None and command.nonce == nonce else None


def _command(wish: Wish, release: ParsedRelease) -> Command:
    run = release.status.run
    return Command(
        user=wish.user,
        verb=wish.verb,
        run=run.id if run else "",
        nonce=secrets.token_hex(8),
        reason=wish.reason,
        full=wish.full,
        stage=wish.stage,
        restore_point=wish.restore_point,
    )


def _operations(release: ParsedRelease, command: Command) -> list[object]:
    """JSON patch that sets the annotation, if this is still the release and the run that were read.

    Whatever is not urgent also wants the object unchanged, so that nobody else's command is overwritten unseen. The old
    annotation itself cannot be tested: the API server compares text as it happens to be escaped.
    """
    tests = {"/metadata/uid": release.uid}
    if command.run:
        tests["/status/run/id"] = command.run
    if command.verb is not Verb.ROLLBACK:
        tests["/metadata/resourceVersion"] = release.resource_version
    operations: list[object] = [{"op": "test", "path": path, "value": value} for path, value in tests.items()]
    if not release.annotations:
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    path = f"/metadata/annotations/{COMMAND_ANNOTATION.replace('~', '~0').replace('/', '~1')}"
    return [*operations, {"op": "add", "path": path, "value": format_command(command)}]
