"""The rule of the definitions that a leg has the fields of its kind says what the models say, for every combination."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sparkrelease.api.legrules import LEG_FIELDS
from sparkrelease.api.triggers import Leg, LegKind

CRDS = Path(__file__).resolve().parents[3] / "crds"

OF_EVERY_KIND = {"metric", "kind", "not_", "min_events"}
"""Fields that every leg may have."""

SAMPLES: Mapping[str, object] = {
    "op": ">=",
    "value": 1,
    "factor": 2,
    "floor": 1,
    "over": "10m",
    "slopePerMinute": 1,
    "pBelow": 0.05,
    "vsStableFactor": 2,
    "warmup": "1m",
    "resetOn": "podRestart",
    "objective": 0.999,
    "windows": [{"long": "1h", "short": "5m", "factor": 14.4}],
    "margin": 2,
    "alpha": 0.01,
}
"""A good value of each of the others, as people write it."""


def subsets(fields: Iterable[str]) -> Iterable[frozenset[str]]:
    """All of them, the smallest first."""
    known = sorted(fields)
    return map(frozenset, chain.from_iterable(combinations(known, size) for size in range(len(known) + 1)))


def accepts(kind: str, given: Iterable[str]) -> bool:
    """Whether the models take a leg of that kind with these fields."""
    try:
        Leg.model_validate({"metric": "m", "kind": kind, **{name: SAMPLES[name] for name in given}})
    except ValidationError:
        return False
    return True


@cache
def fields_of(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """What the models ask of a leg of that kind, and what they bear beside it, found by trying."""
    needed = next(given for given in subsets(SAMPLES) if accepts(kind, given))
    return needed, frozenset(name for name in SAMPLES if name not in needed and accepts(kind, needed | {name}))


@dataclass(frozen=True)
class Written:
    """The rule as a definition has it, read back: the letter of each field, the pattern, and the messages."""

    letters: Mapping[str, str]
    pattern: re.Pattern[str]
    says: str
    kind_if_absent: str

    def holds(self, kind: str, given: Iterable[str]) -> bool:
        """What the API server makes of it."""
        found = set(given)
        letters = "".join(letter for name, letter in self.letters.items() if name in found)
        return self.pattern.search(f"{kind}:{letters}") is not None


@cache
def written(kind: str) -> Written:
    """The rule in the definition of that kind of object."""
    body = yaml.safe_load((CRDS / f"{kind}.yaml").read_text())
    node: Any = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for step in ("triggers", "all"):
        node = node["properties"][step]["items"]
    (rule,) = [one for one in node["x-kubernetes-validations"] if ".matches(" in one["rule"]]
    letters = re.findall(r"\(has\(self\.(\w+)\) \? '(\w)' : ''\)", rule["rule"])
    (pattern,) = re.findall(r"\.matches\('([^']+)'\)", rule["rule"])
    (absent,) = set(re.findall(r"has\(self\.kind\) \? self\.kind : '(\w+)'", rule["rule"]))
    return Written(dict(letters), re.compile(pattern), rule["messageExpression"], absent)


@pytest.fixture(params=["sparkreleases", "releasepolicies"])
def rule(request: pytest.FixtureRequest) -> Written:
    return written(request.param)


def test_every_field_that_not_all_kinds_have_is_in_the_rule_with_a_letter_of_its_own(rule: Written) -> None:
    fields = {field.alias or name for name, field in Leg.model_fields.items() if name not in OF_EVERY_KIND}
    assert fields == set(rule.letters) == set(SAMPLES) == set(LEG_FIELDS.values())
    assert len(set(rule.letters.values())) == len(fields)
    assert rule.kind_if_absent == Leg.model_fields["kind"].default.value


@pytest.mark.parametrize("kind", LegKind)
def test_the_models_ask_for_the_same_fields_whatever_else_is_given(kind: LegKind) -> None:
    needed, known = fields_of(kind)
    for more in subsets(known):
        assert accepts(kind, needed | more), sorted(needed | more)
        assert not [name for name in needed if accepts(kind, (needed | more) - {name})]
    foreign = set(SAMPLES) - needed - known
    assert not [name for name in foreign if accepts(kind, needed | {name}) or accepts(kind, needed | known | {name})]


@pytest.mark.parametrize("kind", LegKind)
def test_the_rule_holds_of_exactly_the_combinations_the_models_take(rule: Written, kind: LegKind) -> None:
    needed, known = fields_of(kind)
    tried = 0
    for given in subsets(SAMPLES):
        assert rule.holds(kind, given) is (needed <= given <= needed | known), sorted(given)
        tried += 1
    assert tried == 2 ** len(SAMPLES)


@pytest.mark.parametrize("kind", LegKind)
def test_the_message_names_what_a_leg_of_the_kind_needs(rule: Written, kind: LegKind) -> None:
    (sentence,) = re.findall(rf"'{kind}': '([^']+)'", rule.says)
    needs, _, may = sentence.partition(" and may have ")
    needed, known = fields_of(kind)
    assert set(needs.removeprefix("needs ").split(", ")) == (needed or {"no other field"})
    assert set(may.split(", ")) == (known or {""})


def test_a_kind_nobody_knows_fits_no_pattern(rule: Written) -> None:
    assert not any(rule.holds("forecast", given) for given in subsets(["value", "op", "factor"]))
