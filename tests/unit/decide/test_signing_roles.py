"""Where as many people are asked for as there are groups, each group has to be among those who sign."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.approvals import Scope, Tally, count, wanted_before
from sparkrelease.decide.facts import Approval
from sparkrelease.decide.resolve import resolve
from sparkrelease.decide.roles import standing_for, wanting
from sparkrelease.decide.signing import signature_data
from unit.decide.signatures import RUN, UID, signature
from unit.decide.world import START, spec

BOARD = ["devops", "cto", "product"]
HERE = Scope(UID, RUN, START)


def tally(item: dict[str, object], *approvals: Approval) -> Tally:
    """How it stands with one item of a checklist."""
    found = resolve(spec(checklist=[{"name": "item", **item}]), ReleasePolicySpec())
    return count(found, approvals, HERE).of(wanted_before(found, 0))  # type: ignore[arg-type]  # this one is right


def by(name: str, *groups: str) -> Approval:
    return signature(name, groups=groups)


def test_three_people_of_one_group_do_not_stand_for_three_groups() -> None:
    one_team = tally({"required": 3, "groups": BOARD}, by("lena", "devops"), by("ole", "devops"), by("ida", "devops"))
    assert not one_team.complete
    assert one_team.text == "1/3"
    assert one_team.standing == "1 of 3 signed; missing item (2 more, one each of cto and product)"


def test_one_of_each_group_is_enough() -> None:
    whole = tally({"required": 3, "groups": BOARD}, by("lena", "devops"), by("mira", "cto"), by("joão", "product"))
    assert whole.complete
    assert whole.items[0].roles == {"devops": "lena", "cto": "mira", "product": "joão"}


def test_a_person_in_two_groups_counts_for_one_of_them() -> None:
    both = {"required": 2, "groups": ["cto", "product"]}
    alone = tally(both, by("mira", "cto", "product"))
    assert alone.standing == "1 of 2 signed; missing item (1 more of cto or product)"
    assert tally(both, by("mira", "cto", "product"), by("joão", "product")).items[0].roles == {
        "cto": "mira",
        "product": "joão",
    }
    assert tally(both, by("mira", "cto", "product"), by("karl", "cto")).complete


def test_who_is_in_two_groups_stands_for_the_one_that_nobody_else_can_stand_for() -> None:
    mixed = tally({"required": 3, "groups": BOARD}, by("lena", "devops", "cto"), by("mira", "cto"), by("ole", "devops"))
    assert mixed.standing == "2 of 3 signed; missing item (1 more of product)"


def test_more_people_than_groups_are_each_of_some_group() -> None:
    more = {"required": 4, "groups": ["devops", "cto"]}
    assert tally(more).standing == "0 of 4 signed; missing item (4 more, one each of devops and cto)"
    team = [by(name, "devops") for name in ("lena", "ole", "ida", "udo")]
    assert tally(more, *team).standing == "3 of 4 signed; missing item (1 more of cto)"
    assert tally(more, *team[:3], by("mira", "cto")).complete
    assert tally(more, team[0], by("mira", "cto")).standing == "2 of 4 signed; missing item (2 more of devops or cto)"
    assert tally(more, *team[:2]).standing == "2 of 4 signed; missing item (2 more, one of cto)"


def test_who_may_still_stand_for_what_is_said_when_it_is_open() -> None:
    item = {"required": 3, "groups": BOARD}
    assert tally(item, by("lena", *BOARD)).standing.endswith("(2 more, each of another of devops, cto and product)")


def test_fewer_people_than_groups_may_be_of_any() -> None:
    few = {"required": 2, "groups": BOARD}
    assert tally(few, by("lena", "devops"), by("ole", "devops")).complete
    assert tally(few).standing == "0 of 2 signed; missing item (2 more of devops or cto or product)"


def test_a_group_that_is_named_twice_is_one_group() -> None:
    twice = {"required": 2, "groups": ["cto", "cto"]}
    assert tally(twice, by("mira", "cto"), by("karl", "cto")).complete


def test_evidence_says_who_stood_for_which_group_and_what_was_missing() -> None:
    item = {"required": 2, "groups": ["cto", "product"]}
    data: dict[str, dict[str, object]] = signature_data(tally(item, by("mira", "cto")))["items"]  # type: ignore[assignment]
    assert (data["item"]["roles"], data["item"]["missing"]) == ({"cto": "mira"}, 1)
    plain = signature_data(tally({"groups": ["cto", "product"]}, by("mira", "cto")))["items"]
    assert not {"roles", "missing"} & plain["item"].keys()  # type: ignore[index]


# ---------------------------------------------------------------- whoever signs

names = st.sampled_from(["a", "b", "c", "d"])
boards = st.lists(names, min_size=1, max_size=4, unique=True).map(tuple)
crowds = st.lists(st.lists(names, max_size=3, unique=True).map(tuple), max_size=5).map(tuple)


def most(groups: tuple[str, ...], crowd: tuple[tuple[str, ...], ...]) -> int:
    """The most groups that people can stand for, each for one: by trying every order of the people."""
    places = [*range(len(crowd)), *[None] * len(groups)]
    return max(
        sum(place is not None and group in crowd[place] for group, place in zip(groups, order, strict=False))
        for order in permutations(places, len(groups))
    )


@given(boards, crowds)
def test_as_many_groups_have_somebody_as_can_be(groups: tuple[str, ...], crowd: tuple[tuple[str, ...], ...]) -> None:
    standing = standing_for(groups, crowd)
    assert len(standing) == len(set(standing.values())) == most(groups, crowd)
    assert all(group in crowd[place] for group, place in standing.items())


@given(boards, crowds)
def test_the_groups_said_to_be_wanting_are_those_whose_member_would_help(
    groups: tuple[str, ...], crowd: tuple[tuple[str, ...], ...]
) -> None:
    before = most(groups, crowd)
    helps = {group for group in groups if most(groups, (*crowd, (group,))) > before}
    assert set(wanting(groups, crowd)) == helps


@pytest.mark.parametrize("required", [3, 4])
@given(crowd=st.lists(st.lists(st.sampled_from(BOARD), min_size=1, max_size=2, unique=True), max_size=5))
def test_what_is_said_to_be_missing_is_what_would_be_enough(required: int, crowd: list[list[str]]) -> None:
    item = {"required": required, "groups": BOARD}
    signed = [by(f"p{place}", *groups) for place, groups in enumerate(crowd)]
    left = tally(item, *signed).items[0].missing
    helpers = [by(f"q{place}", *BOARD) for place in range(left)]
    assert tally(item, *signed, *helpers).complete
    assert left == 0 or not tally(item, *signed, *helpers[1:]).complete
