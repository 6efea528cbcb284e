"""Which fields a leg of each kind has: as CEL for the API server, and the same for the models."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Literal

from sparkrelease.api.rules import Rule, RuleError

Comparator = Literal[">", ">=", "<", "<="]

LEG_FIELDS: Mapping[str, str] = {
    "op": "op",
    "value": "value",
    "factor": "factor",
    "floor": "floor",
    "over": "over",
    "slope_per_minute": "slopePerMinute",
    "p_below": "pBelow",
    "vs_stable_factor": "vsStableFactor",
    "warmup": "warmup",
    "reset_on": "resetOn",
    "objective": "objective",
    "windows": "windows",
    "margin": "margin",
    "alpha": "alpha",
}
"""Fields that belong to some kinds of legs only: as the models call them, and as people write them."""


@dataclass(frozen=True, slots=True)
class KindFields:
    """The fields of one kind of leg."""

    kind: str
    needs: tuple[str, ...]
    knows: tuple[str, ...] = ()

    def fits(self, given: Collection[str]) -> bool:
        """Whether all needed fields are given, and no others than the known ones."""
        return set(self.needs) <= set(given) <= {*self.needs, *self.knows}

    @property
    def sentence(self) -> str:
        """What the fields of this kind are, as it follows "a leg of kind ..."."""
        must = ", ".join(LEG_FIELDS[field] for field in self.needs) or "no other field"
        may = ", ".join(LEG_FIELDS[field] for field in self.knows)
        return f"needs {must}" + (f" and may have {may}" if may else "")

    @property
    def pattern(self) -> str:
        """The fields given, a letter for each in the order of LEG_FIELDS, as a regular expression."""
        given = {**dict.fromkeys(self.needs, ""), **dict.fromkeys(self.knows, "?")}
        return f"{self.kind}:" + "".join(_LETTERS[field] + given[field] for field in LEG_FIELDS if field in given)

    def require(self, given: Collection[str]) -> None:
        """Raises RuleError unless the fields given are those of the kind."""
        if not self.fits(given):
            raise RuleError(f"a leg of kind {self.kind} {self.sentence}{_REMEDY}", "")


_LETTERS = dict(zip(LEG_FIELDS, ascii_lowercase, strict=False))
_REMEDY = "; add what it lacks and remove the fields of other kinds"
_KIND = "(has(self.kind) ? self.kind : 'threshold')"

LEG_KINDS = (
    KindFields("threshold", ("value",), ("op",)),
    KindFields("vsStable", ("factor",), ("op", "floor")),
    KindFields("vsBaseline", ("factor",), ("op", "floor")),
    KindFields("growth", ("over", "factor"), ("floor",)),
    KindFields("trend", ("over", "slope_per_minute"), ("p_below", "vs_stable_factor", "warmup", "reset_on")),
    KindFields("burnRate", ("objective",), ("windows",)),
    KindFields("sequential", (), ("margin", "alpha")),
)


def fields_of(kind: str) -> KindFields:
    """The fields of legs of this kind."""
    return next(fields for fields in LEG_KINDS if fields.kind == kind)


def _fields_of_the_kind() -> Rule:
    """All kinds in one rule, which is a third as long as one for each: the schema of a CRD has to stay small."""
    given = " + ".join(f"(has(self.{name}) ? '{_LETTERS[field]}' : '')" for field, name in LEG_FIELDS.items())
    sentences = ", ".join(f"'{kind.kind}': '{kind.sentence}'" for kind in LEG_KINDS)
    return Rule(
        f"({_KIND} + ':' + {given}).matches('^({'|'.join(kind.pattern for kind in LEG_KINDS)})$')",
        "a leg has the fields of its kind",
        says=f"'a leg of kind ' + {_KIND} + ' ' + {{{sentences}}}[{_KIND}] + '{_REMEDY}'",
    )


LEG_FIELDS_RULE = _fields_of_the_kind()

ACTION_FIELDS = Rule(
    "has(self.mitigation) || !has(self.action) || self.action != 'mitigate'",
    "mitigate needs mitigation",
)
"""The models also refuse fields of other actions."""

LONG_OVER_SHORT = Rule(
    "duration(self.long) > duration(self.short)",
    "the long window tells how much is gone, the short one whether it still burns; make long longer than short",
    ".long",
)
