"""What an item of preflight expects, in one line: a subject, and how it must compare with a value.

`value < 0.1`, `status == 200`, `X-Build-SHA == 3f2c1a`, `.checks[0].score >= 0.8`, `licenses in MIT, Apache-2.0`. A
subject alone means that it is there. There is no more to it: no "and", no "or", no functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

EXPECTATION = r"^[^ ]+( [^ ]+ .+)?$"
"""The form as far as the API server checks it."""

_FORM = re.compile(r"(?P<subject>\.[^ ]+|[-A-Za-z0-9_]+)(?: (?P<op>==|!=|<|<=|>=|>|has|lacks|in) (?P<value>.+))?")
_PATH = re.compile(r"(?:\.[^.\[\]\s]+|\.?\[\d{1,6}\])+")
_STEP = re.compile(r"\.([^.\[\]\s]+)|\.?\[(\d+)\]")
_BETWEEN_WORDS = re.compile(r"[\s;,]+")


class Op(StrEnum):
    """How a subject compares with a value."""

    EQUAL = "=="
    OTHER = "!="
    BELOW = "<"
    AT_MOST = "<="
    AT_LEAST = ">="
    ABOVE = ">"
    HAS = "has"
    """The text contains the value."""
    LACKS = "lacks"
    """None of them (commas between) is a word of the text, in capitals or not; blanks, `;` and `,` part words."""
    IN = "in"
    """Each of them is on the list (commas between)."""
    THERE = ""
    """The subject is there."""


DENIALS = frozenset({Op.OTHER, Op.LACKS})
"""Comparisons that say what is not: where a subject has several texts, each of them has to meet one."""

NUMBERS = frozenset({Op.BELOW, Op.AT_MOST, Op.AT_LEAST, Op.ABOVE})
"""Comparisons that need a number on both sides."""

_EXACT = frozenset({Op.EQUAL, Op.OTHER}) | NUMBERS
_ANY_TEXT = frozenset(Op)

SUBJECTS: Mapping[str, Mapping[str, frozenset[Op]]] = {
    "promql": {"value": _EXACT},
    "http": {"status": _EXACT},
    "job": {"log": frozenset({Op.HAS})},
    "file": {},
    "sbom": {"licenses": frozenset({Op.IN}), "packages": _EXACT},
    "vulnerabilities": dict.fromkeys(("critical", "high", "medium", "low", "unknown"), _EXACT),
    "dashboard": {"variables": _EXACT},
    "provenance": {"builder": frozenset({Op.EQUAL, Op.IN}), "predicate": frozenset({Op.EQUAL, Op.IN})},
}
"""By kind of item (of an artifact: by its own kind) the subjects there are, and how each may compare.

An answer over HTTP also has headers, by their names, and fields of a JSON body, by paths that begin with a dot.
"""

_NUMERIC = frozenset({"value", "status", "packages", "variables", "critical", "high", "medium", "low", "unknown"})


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line, read."""

    subject: str
    op: Op = Op.THERE
    value: str = ""

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.subject} {self.op} {self.value}" if self.op is not Op.THERE else self.subject

    @property
    def number(self) -> float:
        """The value as a number; NaN when it is none."""
        return number_of(self.value)

    @property
    def names(self) -> tuple[str, ...]:
        """The value as a list."""
        return tuple(name for name in (part.strip() for part in self.value.split(",")) if name)

    def names_in(self, found: str) -> tuple[str, ...]:
        """Those of the list that are words of a text."""
        words = {word.casefold() for word in _BETWEEN_WORDS.split(found)}
        return tuple(name for name in self.names if name.casefold() in words)

    def holds_of(self, found: str) -> bool:
        """Whether a text meets it; of texts that are both numbers the numbers are compared."""
        match self.op:
            case Op.THERE:
                return True
            case Op.HAS:
                return self.value in found
            case Op.LACKS:
                return not self.names_in(found)
            case Op.IN:
                return found in self.names
            case _:
                return self._compares(found)

    def _compares(self, found: str) -> bool:
        here, there = number_of(found), self.number
        both = not (math.isnan(here) or math.isnan(there))
        match self.op:
            case Op.EQUAL:
                return here == there if both else found == self.value
            case Op.OTHER:
                return here != there if both else found != self.value
            case Op.BELOW:
                return here < there
            case Op.AT_MOST:
                return here <= there
            case Op.AT_LEAST:
                return here >= there
            case _:
                return here > there


def number_of(text: str) -> float:
    """A finite number written in decimal; NaN for any other text."""
    if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", text):
        return math.nan
    number = float(text)
    return number if math.isfinite(number) else math.nan


def read_expectation(text: str, kind: str) -> Expectation | str:
    """Reads a line for an item of that kind; else the sentence that says what is wrong with it."""
    found = _FORM.fullmatch(text)
    if found is None:
        return f"{text!r} is not a subject with a comparison, such as `status == 200`"
    read = Expectation(found["subject"], Op(found["op"] or ""), found["value"] or "")
    return _fault(read, kind) or read


def _fault(read: Expectation, kind: str) -> str | None:
    known, free = SUBJECTS[kind], kind == "http"
    ops = known.get(read.subject, _ANY_TEXT if free else frozenset())
    if not ops:
        return f"{read.subject} is nothing that {kind} knows (there are: {', '.join(known) or 'none'})"
    if read.subject.startswith(".") and not _PATH.fullmatch(read.subject):
        return f"{read.subject} is not a path such as .data.items[0].score"
    if read.op not in ops:
        return f"{read.subject} needs one of: {', '.join(sorted(op or 'nothing' for op in ops))}"
    if math.isnan(read.number) and (read.op in NUMBERS or read.subject in _NUMERIC):
        return f"{read.value!r} is not a number"
    return "the list is empty" if read.op in {Op.IN, Op.LACKS} and not read.names else None


def steps_of(path: str) -> tuple[str | int, ...]:
    """The steps of a JSON path: names and places."""
    return tuple(int(place) if place else name for name, place in _STEP.findall(path))
