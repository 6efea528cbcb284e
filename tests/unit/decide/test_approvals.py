"""Which signatures count, and why the others do not: a question of the set of them, never of their order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.approval import Decision, Override
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.approvals import Ballot, Scope, count, overridden, unsigned, wanted_before, wanted_of
from sparkrelease.decide.facts import Approval
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.signatures import RUN, UID, signature
from unit.decide.world import START, spec

STAGES = [
    {"name": "one", "weight": 1, "duration": "1m"},
    {"name": "half", "weight": 50, "duration": "1m", "approval": {"required": 2, "groups": ["cto", "board"]}},
    {"name": "full", "weight": 100, "duration": "1m", "approval": {}},
]
CHECKLIST = [
    {"name": "backups"},
    {"name": "decimals", "required": 2},
    {"name": "budget", "groups": ["finance"], "title": "The budget is signed off"},
]


def resolved(**changes: object) -> ResolvedSpec:
    found = resolve(spec(stages=STAGES, checklist=CHECKLIST, **changes), ReleasePolicySpec())
    assert isinstance(found, ResolvedSpec)
    return found


SPEC = resolved()
NOW = START + timedelta(hours=1)
HERE = Scope(UID, RUN, NOW)


def counted(*approvals: Approval, scope: Scope = HERE) -> Ballot:
    return count(SPEC, approvals, scope)


def reasons(votes: Ballot) -> list[Reason]:
    return [refused.problem.reason for refused in votes.refused]


def signers(votes: Ballot, name: str) -> set[str]:
    (item,) = (item for item in votes.items if item.wanted.name == name)
    return {approval.by for approval in item.signed}


# ---------------------------------------------------------------- what is asked for


def test_the_checklist_comes_before_the_first_stage_and_a_stage_s_own_signatures_before_it() -> None:
    assert [one.name for one in wanted_before(SPEC, 0)] == ["backups", "decimals", "budget"]
    assert [one.name for one in wanted_before(SPEC, 1)] == ["stage half"]
    assert len(wanted_of(SPEC)) == 5
    assert wanted_of(unsigned(SPEC)) == ()


def test_a_first_stage_with_signatures_of_its_own_is_signed_for_beside_the_checklist() -> None:
    first = resolved().model_copy(update={"stages": SPEC.stages[1:]})
    assert [one.stage for one in wanted_before(first, 0)] == ["", "", "", "half"]


def test_a_policy_s_checklist_is_merged_by_name() -> None:
    policy = ReleasePolicySpec.model_validate({"checklist": [{"name": "decimals"}, {"name": "sbom"}]})
    found = resolve(spec(checklist=CHECKLIST, policyRef={"name": "standard"}), policy)
    assert isinstance(found, ResolvedSpec)
    assert [(item.name, item.required) for item in found.checklist or ()] == [
        ("decimals", 2),
        ("sbom", 1),
        ("backups", 1),
        ("budget", 1),
    ]


# ---------------------------------------------------------------- what counts


def test_everything_is_signed_by_those_who_may() -> None:
    votes = counted(signature("jane", groups=("finance",)), signature("bob"))
    tally = votes.of(wanted_before(SPEC, 0))
    assert tally.complete
    assert (tally.text, tally.signers) == ("3/3", ("bob", "jane"))


def test_a_signature_without_items_signs_all_that_its_signer_may_sign() -> None:
    votes = counted(signature("bob"))
    assert signers(votes, "backups") == signers(votes, "decimals") == {"bob"}
    assert signers(votes, "budget") == set()
    assert votes.refused == ()
    assert votes.of(wanted_before(SPEC, 0)).standing == "1 of 3 signed; missing decimals (1 more), budget (of finance)"


def test_one_person_counts_once_however_often_they_sign() -> None:
    votes = counted(
        signature("bob", "decimals"), signature("bob", "decimals", name="again"), signature("bob", "backups")
    )
    assert signers(votes, "decimals") == {"bob"}
    assert not votes.of(wanted_before(SPEC, 0)).complete
    assert reasons(votes) == [Reason.APPROVAL_REPEATED]


def test_a_signature_for_another_run_or_another_object_of_the_name_does_not_count() -> None:
    votes = counted(signature("bob", run="v1-000000"), signature("jane", release_uid="uid-0"))
    assert reasons(votes) == [Reason.APPROVAL_FOR_ANOTHER_RUN] * 2
    assert not any(item.signed for item in votes.items)


def test_a_no_go_of_another_run_stops_nothing() -> None:
    assert counted(signature("bob", run="v1-000000", decision=Decision.NO_GO)).no_go is None


def test_a_no_go_stops_the_run_whatever_else_is_signed_and_needs_no_group() -> None:
    refusal = signature("eve", name="z", decision=Decision.NO_GO, comment="orders are lost")
    votes = counted(signature("jane", groups=("finance",)), signature("bob"), refusal)
    assert votes.no_go == refusal


def test_an_item_is_signed_only_by_members_of_its_groups() -> None:
    votes = counted(signature("bob", "budget", groups=("devops",)))
    assert reasons(votes) == [Reason.APPROVER_NOT_IN_GROUP]
    assert "budget is signed by finance" in votes.refused[0].problem.message
    assert signers(counted(signature("bob", "budget", groups=("devops", "finance"))), "budget") == {"bob"}


def test_what_counts_of_a_signature_counts_though_another_item_of_it_is_not_the_signer_s() -> None:
    votes = counted(signature("bob", "backups", "budget"))
    assert signers(votes, "backups") == {"bob"}
    assert reasons(votes) == [Reason.APPROVER_NOT_IN_GROUP]


def test_an_item_or_a_stage_that_nobody_asks_for_is_named() -> None:
    votes = counted(signature("bob", "nothing"), signature("jane", stage="one"))
    assert reasons(votes) == [Reason.APPROVAL_NOT_ASKED_FOR] * 2
    assert [refused.problem.message for refused in votes.refused] == [
        "nobody has to sign nothing",
        "nobody has to sign stage one",
    ]


def test_a_stage_is_signed_for_by_name_and_the_go_no_go_says_nothing_of_it() -> None:
    votes = counted(signature("bob", groups=("cto",)), signature("jane", stage="half", groups=("board",)))
    tally = votes.of(wanted_before(SPEC, 1))
    assert (tally.text, tally.signers) == ("1/2", ("jane",))
    assert tally.standing == "1 of 2 signed; missing stage half (1 more of cto)"


def test_a_signature_runs_out() -> None:
    expiring = Scope(UID, RUN, NOW, timedelta(minutes=30))
    old = signature("bob", at=NOW - timedelta(minutes=30))
    young = signature("jane", at=NOW - timedelta(minutes=29))
    votes = counted(old, young, scope=expiring)
    assert reasons(votes) == [Reason.APPROVAL_EXPIRED]
    assert signers(votes, "backups") == {"jane"}
    assert votes.of(wanted_before(SPEC, 0)).expires_at == NOW + timedelta(minutes=1)
    assert counted(old, young).of(wanted_before(SPEC, 0)).expires_at is None


def test_a_signature_from_a_clock_ahead_counts() -> None:
    votes = counted(signature("bob", at=NOW + timedelta(minutes=5)), scope=Scope(UID, RUN, NOW, timedelta(minutes=1)))
    assert signers(votes, "backups") == {"bob"}


def test_a_long_list_is_counted_and_not_spelt_out() -> None:
    many = [{"name": f"item-{number}"} for number in range(30)]
    found = resolve(spec(checklist=many), ReleasePolicySpec())
    assert isinstance(found, ResolvedSpec)
    standing = count(found, (), HERE).of(wanted_before(found, 0)).standing
    assert standing.endswith("item-11, and 18 more")


# ---------------------------------------------------------------- overriding


def test_an_override_counts_for_its_run_alone_and_only_with_a_go() -> None:
    lifts = signature("cto", overrides=(Override.FREEZE,))
    assert overridden([signature("bob"), lifts], "freeze", HERE) == lifts
    assert overridden([signature("bob")], "freeze", HERE) is None
    assert overridden([lifts], "freeze", Scope(UID, "v3-000000", NOW)) is None
    assert overridden([lifts], "freeze", Scope("uid-2", RUN, NOW)) is None
    assert overridden([lifts], "freeze", Scope(UID, RUN, NOW, timedelta(minutes=1))) is None
    refused = signature("cto", overrides=(Override.FREEZE,), decision=Decision.NO_GO)
    assert overridden([refused], "freeze", HERE) is None


def test_an_override_is_no_signature_too_many_where_nothing_is_to_be_signed() -> None:
    bare = unsigned(SPEC)
    assert count(bare, [signature("cto", overrides=(Override.FREEZE,))], HERE).refused == ()
    assert reasons(count(bare, [signature("cto")], HERE)) == [Reason.APPROVAL_NOT_ASKED_FOR]


# ---------------------------------------------------------------- whatever was signed

people = st.sampled_from(["jane", "bob", "eve"])
groups = st.lists(st.sampled_from(["finance", "cto", "board", "devops"]), max_size=2, unique=True).map(tuple)
signatures = st.builds(
    Approval,
    name=st.uuids().map(str),
    release_uid=st.sampled_from([UID, UID, UID, "uid-0"]),
    run=st.sampled_from([RUN, RUN, RUN, "v1-000000"]),
    decision=st.sampled_from([Decision.GO, Decision.GO, Decision.GO, Decision.NO_GO]),
    by=people,
    at=st.integers(-7200, 60).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    groups=groups,
    stage=st.sampled_from(["", "", "half", "full", "one"]),
    items=st.lists(st.sampled_from(["backups", "decimals", "budget", "nothing"]), max_size=3, unique=True).map(tuple),
    comment=st.just("so it is"),
    overrides=st.sampled_from([(), (), (Override.FREEZE,)]),
)
scopes = st.sampled_from([HERE, Scope(UID, RUN, NOW, timedelta(hours=1)), Scope(UID, RUN, NOW, timedelta(seconds=1))])
several = st.lists(signatures, max_size=12, unique_by=lambda approval: approval.name)


@given(several, scopes, st.randoms(use_true_random=False))
def test_the_order_in_which_signatures_are_seen_does_not_matter(
    approvals: list[Approval], scope: Scope, chance: object
) -> None:
    shuffled = list(approvals)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random of hypothesis
    assert count(SPEC, approvals, scope) == count(SPEC, shuffled, scope)


@pytest.mark.slow
@given(several, scopes)
def test_what_counts_is_of_this_run_young_enough_and_of_distinct_people_who_may(
    approvals: list[Approval], scope: Scope
) -> None:
    for item in count(SPEC, approvals, scope).items:
        assert len({approval.by for approval in item.signed}) == len(item.signed)
        for approval in item.signed:
            assert (approval.release_uid, approval.run, approval.decision) == (UID, RUN, Decision.GO)
            assert scope.expires is None or scope.now - approval.at < scope.expires
            assert not item.wanted.groups or set(item.wanted.groups) & set(approval.groups)
            assert item.wanted.stage == approval.stage


@given(several, scopes)
def test_every_signature_counts_lifts_something_is_refused_with_a_reason_or_is_a_no_go(
    approvals: list[Approval], scope: Scope
) -> None:
    votes = count(SPEC, approvals, scope)
    spoken = {approval.name for item in votes.items for approval in item.signed}
    spoken |= {refused.approval.name for refused in votes.refused}
    for approval in approvals:
        mine = (approval.release_uid, approval.run) == (UID, RUN)
        silent = approval.decision is Decision.NO_GO or bool(approval.overrides)
        assert approval.name in spoken or (mine and silent)
    assert all(refused.problem.message for refused in votes.refused)


@given(several, signatures, scopes)
def test_one_more_go_never_takes_a_signature_away(approvals: list[Approval], more: Approval, scope: Scope) -> None:
    before = count(SPEC, approvals, scope)
    after = count(SPEC, [*approvals, more], scope)
    for one, other in zip(before.items, after.items, strict=True):
        assert {approval.by for approval in one.signed} <= {approval.by for approval in other.signed}
        assert other.missing <= one.missing


@given(several, scopes)
def test_signatures_of_other_runs_change_nothing(approvals: list[Approval], scope: Scope) -> None:
    mine = [approval for approval in approvals if (approval.release_uid, approval.run) == (UID, RUN)]
    one, other = count(SPEC, approvals, scope), count(SPEC, mine, scope)
    assert (one.items, one.no_go) == (other.items, other.no_go)
