"""approve and reject find run and stage by themselves, sign in one's own name, and tell what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from sparkrelease.api.approval import Decision, Override
from sparkrelease.api.objects import ParsedApproval, read_approval
from sparkrelease.cli import approve
from sparkrelease.cli.approve import Signature, sign
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.render.status import render_status
from unit.cli.doors import FakeDoor
from unit.cli.samples import NOW, body, condition, part, seen
from unit.cli.test_asking import NAME, Screen

CHECKLIST = [
    {"name": "backups"},
    {"name": "decimals", "required": 2, "title": "Decimals are proved"},
    {"name": "budget", "groups": ["finance"]},
]


def release(*, stage: int | None = None, gated: dict[str, Any] | None = None, **status: object) -> dict[str, Any]:
    """The release of the documentation with a checklist; `stage` under way (from 1), none before the first weight."""
    under_way = part("stage", index=stage) if stage is not None else None
    found = body(stage=under_way, **status)
    found["spec"]["checklist"] = CHECKLIST
    found["spec"]["stages"][-1]["approval"] = gated if gated is not None else {"required": 2}
    return found


def signed(door: FakeDoor, wish: Signature) -> tuple[dict[str, Any], str]:
    """What was created, and what was shown, in one line."""
    screen = Screen()
    sign(door, NAME, wish, screen)
    (created,) = door.signed[-1:]
    return dict(created), " ".join(screen.text.split())


def refused(door: FakeDoor, wish: Signature) -> CliError:
    with pytest.raises(CliError) as caught:
        sign(door, NAME, wish, Screen())
    return caught.value


GO = Signature(Decision.GO)


def test_a_go_names_release_run_and_signer_and_nothing_else() -> None:
    door = FakeDoor(release())
    created, told = signed(door, GO)
    assert created["spec"] == {
        "release": {"name": NAME, "uid": door.body["metadata"]["uid"]},  # type: ignore[index]
        "run": "v1.4.0-6c1f0a",
        "decision": "GO",
        "approvedBy": "mira@example.com",
    }
    assert isinstance(read_approval(created), ParsedApproval)
    assert created["metadata"]["generateName"] == f"{NAME}-"
    assert created["metadata"]["ownerReferences"][0]["uid"] == created["spec"]["release"]["uid"]
    assert "GO for trading/trading-api, run v1.4.0-6c1f0a: the go/no-go, signed by mira@example.com" in told
    assert "1 of 3 signed; missing decimals (1 more), budget (of finance)" in told


BEHIND = CliError(
    ExitCode.REFUSED, "ValidatingAdmissionPolicy 'sparkrelease-approval-run' denied request: spec.run must be v1"
)


def test_an_api_server_that_has_not_heard_of_the_run_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approve, "LOOK_EVERY", 0.001)
    door = FakeDoor(release())
    door.refusing = [BEHIND] * 3
    created, _ = signed(door, GO)
    assert (created["spec"]["run"], door.refusing) == ("v1.4.0-6c1f0a", [])


def test_a_signature_for_an_old_run_is_refused_at_once_and_so_is_one_for_any_other_reason() -> None:
    door = FakeDoor(release())
    door.refusing = [BEHIND] * 2
    old = Signature(Decision.GO, run="v1.3.0-000000")
    assert refused(door, old).code is ExitCode.REFUSED
    assert len(door.refusing) == 1
    door.refusing = [CliError(ExitCode.REFUSED, "releaseapprovals is forbidden")] * 2
    refused(door, GO)
    assert len(door.refusing) == 1


def test_of_one_s_groups_only_those_are_told_that_are_asked_for() -> None:
    door = FakeDoor(release())
    door.groups = ("system:authenticated", "finance", "wheel")
    created, told = signed(door, GO)
    assert created["spec"]["groups"] == ["finance"]
    assert "2 of 3 signed; missing decimals (1 more)" in told


def test_items_comment_and_overrides_are_signed_as_given() -> None:
    wish = Signature(Decision.GO, "looked", None, ("backups",), (Override.FREEZE,))
    created, told = signed(FakeDoor(release()), wish)
    assert {key: created["spec"][key] for key in ("items", "comment", "overrides")} == {
        "items": ["backups"],
        "comment": "looked",
        "overrides": ["freeze"],
    }
    assert "backups, overriding freeze" in told


def test_under_way_the_next_stage_that_asks_for_signatures_is_meant() -> None:
    created, told = signed(FakeDoor(release(stage=1)), GO)
    assert created["spec"]["stage"] == "full"
    assert "1 of 2 signed" in told


def test_others_signatures_are_counted_with_one_s_own() -> None:
    door = FakeDoor(release())
    signed(door, GO)
    door.user_name = "bob@example.com"
    _, told = signed(door, Signature(Decision.GO, items=("decimals",)))
    assert "✔ decimals mira@example.com, bob@example.com" in told
    assert "2 of 3 signed; missing budget (of finance)" in told


def test_a_signature_that_counts_for_nothing_says_so_with_exit_code_1() -> None:
    error = refused(FakeDoor(release()), Signature(Decision.GO, items=("budget",)))
    assert error.code is ExitCode.BAD
    assert "your signature does not count: budget is signed by finance" in str(error)


def test_who_signs_twice_within_a_second_is_told_so_whatever_name_the_second_signature_gets() -> None:
    """Times of objects are cut to the second, and a name is drawn by the server."""
    door = FakeDoor(release())
    door.names = ["z", "a"]
    signed(door, GO)
    again = refused(door, Signature(Decision.GO, items=("decimals",)))
    assert (again.code, "has signed this already" in str(again)) == (ExitCode.BAD, True)


@pytest.mark.parametrize(
    ("wish", "code", "says"),
    [
        (Signature(Decision.GO, items=("luck",)), ExitCode.USAGE, "no item is called luck (there are: backups"),
        (Signature(Decision.GO, stage="nowhere"), ExitCode.USAGE, "stage nowhere asks for no signature"),
    ],
)
def test_what_nobody_asks_for_is_not_signed(wish: Signature, code: ExitCode, says: str) -> None:
    door = FakeDoor(release())
    error = refused(door, wish)
    assert (error.code, door.signed) == (code, [])
    assert says in str(error)


def test_without_a_run_under_way_there_is_nothing_to_sign() -> None:
    ended = part("run", end="Blocked")
    for door in (FakeDoor(release(run=ended)), FakeDoor(release(run=None))):
        for decision in Decision:
            error = refused(door, Signature(decision, "why"))
            assert (error.code, door.signed) == (ExitCode.BAD, [])
            assert "nothing waits for a signature" in str(error)


def test_a_release_without_anything_to_sign_says_so() -> None:
    bare = body(stage=None)
    assert "no checklist" in str(refused(FakeDoor(bare), GO))
    assert "no stage that is left asks for a signature" in str(refused(FakeDoor(body()), GO))


def test_a_no_go_needs_nothing_to_be_asked_for_and_names_its_reason() -> None:
    created, told = signed(FakeDoor(body()), Signature(Decision.NO_GO, "orders are lost"))
    assert (created["spec"]["decision"], created["spec"]["comment"]) == ("NO-GO", "orders are lost")
    assert "NO-GO for trading/trading-api" in told


def test_after_the_promotion_a_rollback_is_what_takes_it_back() -> None:
    promoted = part("run", promotedAt="2026-11-21T14:00:00.000Z")
    error = refused(FakeDoor(release(run=promoted)), Signature(Decision.NO_GO, "too late"))
    assert "rollback takes it back" in str(error)


def test_the_screen_says_once_who_is_waited_for() -> None:
    text = "v1.4.0: go/no-go: 6 of 10 signed; missing backups, budget (of finance)"
    conditions = [condition("Ready", "False", text), condition("AwaitingApproval", "True", text)]
    screen = Screen()
    screen(render_status(seen(release(phase="AwaitingApproval", conditions=conditions)), NOW))
    told = " ".join(screen.text.split())
    assert told.count("missing backups, budget (of finance)") == 1
    assert "AwaitingApproval" in told


def test_a_run_to_come_can_be_signed_for_by_name() -> None:
    wish = Signature(Decision.GO, overrides=(Override.FREEZE,), run="v1.5.0-abcdef")
    created, _ = signed(FakeDoor(release(run=None)), wish)
    assert created["spec"]["run"] == "v1.5.0-abcdef"
