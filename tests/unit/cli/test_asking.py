"""A command is for the run that is there, is written once, and is waited for; whatever else changes meanwhile."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from sparkrelease.api.command import Command, Verb, format_command
from sparkrelease.api.objects import read_release
from sparkrelease.cli import ask
from sparkrelease.cli.app import app
from sparkrelease.cli.ask import Asker, pending_command, rollback_refusal
from sparkrelease.cli.exits import CliError, ExitCode
from unit.cli.doors import FakeDoor
from unit.cli.samples import body, part

NAME = "trading-api"


class Screen:
    """Keeps what was shown."""

    def __init__(self) -> None:
        self.console = Console(file=io.StringIO(), width=100, highlight=False, markup=False)

    def __call__(self, renderable: RenderableType) -> None:
        self.console.print(renderable)

    @property
    def text(self) -> str:
        file = self.console.file
        assert isinstance(file, io.StringIO)
        return file.getvalue()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "LOOK_EVERY", 0.001)


def asker(door: FakeDoor, screen: Screen | None = None, timeout: float = 0.05) -> Asker:
    return Asker(door, NAME, timeout=timeout, show=screen or Screen())


def refused(door: FakeDoor, verb: Verb, *, wait: bool = True) -> CliError:
    with pytest.raises(CliError) as caught:
        asker(door).ask(verb, "because", wait=wait)
    return caught.value


def test_a_command_names_user_run_reason_and_a_fresh_nonce() -> None:
    door = FakeDoor(body())
    asker(door).ask(Verb.PROMOTE, "looks good", full=True, wait=False)
    command = door.command()
    assert command is not None
    assert len(command.pop("nonce")) == 16
    assert command == {
        "user": "mira@example.com",
        "verb": "promote",
        "run": "v1.4.0-6c1f0a",
        "reason": "looks good",
        "full": True,
    }


def test_a_rollback_says_which_stage_was_seen_and_which_restore_point_goes_with_it() -> None:
    door = FakeDoor(body())
    asker(door).ask(Verb.ROLLBACK, "bad", stage="half", restore_point="pitr 14:00", wait=False)
    command = door.command()
    assert command is not None
    assert (command["stage"], command["restorePoint"]) == ("half", "pitr 14:00")


def test_a_release_without_a_run_can_be_paused_too() -> None:
    door = FakeDoor(body(run=None))
    asker(door).ask(Verb.PAUSE, "", wait=False)
    command = door.command()
    assert command is not None
    assert "run" not in command


def test_a_new_run_between_reading_and_writing_gets_the_command_and_the_old_one_does_not() -> None:
    door = FakeDoor(body())

    def supersede(release: dict[str, Any]) -> None:
        release["status"]["run"] = part("run", id="v1.5.0-0a0a0a")

    door.before_patch = supersede
    asker(door).ask(Verb.ROLLBACK, "bad", wait=False)
    assert door.patches == 2
    command = door.command()
    assert command is not None
    assert command["run"] == "v1.5.0-0a0a0a"


def test_another_release_of_the_same_name_does_not_get_the_command() -> None:
    door = FakeDoor(body())
    uids = iter(["second", "second", "second"])

    def recreate(release: dict[str, Any]) -> None:
        if door.patches == 1:
            release["metadata"]["uid"] = next(uids)

    door.before_patch = recreate
    asker(door).ask(Verb.PAUSE, "", wait=False)
    assert door.patches == 2


@pytest.mark.parametrize("verb", list(Verb))
def test_a_command_given_in_between_is_seen_before_another_one_is_written(verb: Verb) -> None:
    door = FakeDoor(body())
    other = Command(user="jane", verb=Verb.PAUSE, run="v1.4.0-6c1f0a", nonce="0123456789abcdef")

    def jump_in(release: dict[str, Any]) -> None:
        if door.patches == 1:
            release["metadata"]["annotations"] = {"sparkrelease.dev/command": format_command(other)}
            release["metadata"]["resourceVersion"] = "48212"

    door.before_patch = jump_in
    if verb is Verb.ROLLBACK:
        asker(door).ask(verb, "bad", wait=False)
        assert door.patches == 1
    else:
        assert "take pause by jane, asked before" in str(refused(door, verb, wait=False))
        assert (door.command() or {})["user"] == "jane"


def test_a_release_that_changes_under_every_try_ends_the_tries() -> None:
    door = FakeDoor(body())

    def churn(release: dict[str, Any]) -> None:
        release["metadata"]["uid"] = str(door.patches)

    door.before_patch = churn
    problem = refused(door, Verb.PAUSE)
    assert (problem.code, door.patches) == (ExitCode.TIMED_OUT, ask.TRIES)


def test_a_command_is_done_when_the_status_has_its_nonce() -> None:
    door, screen = FakeDoor(body()), Screen()
    looks = []

    def answer_on_the_third_look(_: dict[str, Any]) -> None:
        looks.append(1)
        if len(looks) == 4:
            door.take()

    door.on_look = answer_on_the_third_look
    asker(door, screen, timeout=5).ask(Verb.PAUSE, "")
    assert "pause taken by the operator" in screen.text
    assert len(looks) == 4


def test_the_answer_to_an_older_command_is_not_taken_for_ours() -> None:
    door = FakeDoor(body())
    problem = refused(door, Verb.PAUSE)
    assert problem.code is ExitCode.TIMED_OUT
    assert "did not take pause within 0.05 s" in str(problem)


def test_a_refusal_of_the_operator_is_an_error_with_its_words() -> None:
    door = FakeDoor(body())
    door.on_look = lambda _: door.take("refused: no stage is under way")
    problem = refused(door, Verb.PROMOTE)
    assert (problem.code, "no stage is under way" in str(problem)) == (ExitCode.BAD, True)


def test_a_rollback_is_done_when_all_traffic_is_back_not_before() -> None:
    door = FakeDoor(body())
    record = part("rollback", run="v1.4.0-6c1f0a")
    under_way = {key: value for key, value in record.items() if key not in {"trafficAt", "seconds"}}
    door.on_look = lambda _: door.take(rollback=under_way)
    problem = refused(door, Verb.ROLLBACK)
    assert (problem.code, "move all traffic to stable" in str(problem)) == (ExitCode.TIMED_OUT, True)
    screen = Screen()
    door.on_look = lambda _: door.take(rollback=record)
    asker(door, screen, timeout=5).ask(Verb.ROLLBACK, "bad")
    assert "all traffic is back on stable, 0.38 s after the decision" in screen.text


def test_a_rollback_of_an_earlier_run_is_not_taken_for_this_one() -> None:
    door = FakeDoor(body())
    door.on_look = lambda _: door.take()
    assert refused(door, Verb.ROLLBACK).code is ExitCode.TIMED_OUT


def test_a_command_that_waits_is_let_go_first_and_a_rollback_passes_it() -> None:
    door = FakeDoor(body())
    asker(door).ask(Verb.PAUSE, "", wait=False)
    waiting = door.command()
    assert refused(door, Verb.PROMOTE, wait=False).code is ExitCode.TIMED_OUT
    assert door.command() == waiting
    asker(door).ask(Verb.ROLLBACK, "bad", wait=False)
    command = door.command()
    assert command is not None
    assert command["verb"] == "rollback"


def test_a_command_nobody_can_read_holds_nobody_up() -> None:
    release = body()
    release["metadata"]["annotations"] = {"sparkrelease.dev/command": "rollback!"}
    assert pending_command(read_release(release)) is None
    door = FakeDoor(release)
    asker(door).ask(Verb.PAUSE, "", wait=False)
    command = door.command()
    assert command is not None
    assert command["verb"] == "pause"


def test_a_dry_run_tells_the_route_and_the_weights_and_writes_nothing() -> None:
    door, screen = FakeDoor(body()), Screen()
    asker(door, screen).rollback_plan("just asking")
    assert door.body == body()
    assert door.patches == 1
    for told in ("25 % → 0 %", "75 % → 100 %", "HTTPRoute/trading-api, rule main", "nothing was changed"):
        assert told in screen.text


def test_a_dry_run_has_the_whole_command_checked() -> None:
    door = FakeDoor(body())
    asker(door).rollback_plan("just asking", stage="half", restore_point="pg-2026-11-21")
    told = {"reason": "just asking", "stage": "half", "restorePoint": "pg-2026-11-21"}
    assert {name: door.tried[name] for name in told} == told


def test_the_program_sends_stage_and_restore_point_with_a_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    door = FakeDoor(body())
    monkeypatch.setattr("sparkrelease.cli.app._connect", lambda *_: door)
    words = ["rollback", "trading-api", "--reason", "why", "--stage", "half", "--restore-point", "pg-1", "--dry-run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (door.tried["stage"], door.tried["restorePoint"]) == ("half", "pg-1")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"run": None}, "no run is under way"),
        ({"run": part("run", end="Settled")}, "no run is under way"),
        ({"phase": "RollingBack"}, "going back already"),
    ],
)
def test_a_dry_run_says_when_nothing_would_be_rolled_back(status: dict[str, Any], why: str) -> None:
    door, screen = FakeDoor(body(**status)), Screen()
    assert why in str(rollback_refusal(read_release(body(**status))))
    with pytest.raises(CliError) as caught:
        asker(door, screen).rollback_plan("just asking")
    assert (caught.value.code, door.patches) == (ExitCode.BAD, 0)
    assert why in screen.text


def test_a_release_that_is_not_there_cannot_be_asked() -> None:
    assert refused(FakeDoor(None), Verb.PAUSE).code is ExitCode.NOT_FOUND
