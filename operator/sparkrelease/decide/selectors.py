"""Selectors of series: read with a PromQL parser, written through one escaper."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import promql_parser

Matcher = tuple[str, str, str]
"""Label, operator (`=`, `!=`, `=~`, `!~`) and value."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLAIN = re.compile(r"[a-zA-Z0-9_-]+")
_OPERATORS = (
    (promql_parser.MatchOp.Equal, "="),
    (promql_parser.MatchOp.NotEqual, "!="),
    (promql_parser.MatchOp.Re, "=~"),
    (promql_parser.MatchOp.NotRe, "!~"),
)
_LONGEST_FAULT = 160
_WANTED = 'a plain selector such as http_requests_total{code=~"5.."} is wanted, without functions, ranges or operators'


def quoted(value: str) -> str:
    """The one escaper: any text as a PromQL string."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace('"', '\\"')
    return f'"{escaped}"'


def regex_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these texts."""
    return "|".join(name if _PLAIN.fullmatch(name) else re.sub(r"([^a-zA-Z0-9_-])", r"\\\1", name) for name in names)


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant selector without offset: the name of its metric, empty when matchers give it, and its matchers."""

    name: str
    matchers: tuple[Matcher, ...]

    def text(self, *more: Matcher) -> str:
        """As PromQL, with more matchers added."""
        if _NAME.fullmatch(self.name):
            return f"{self.name}{{{self.inside(*more)}}}"
        named = (("__name__", "=", self.name),) if self.name else ()
        return f"{{{Selector('', (*named, *self.matchers)).inside(*more)}}}"

    def inside(self, *more: Matcher) -> str:
        """What stands between the braces."""
        return ",".join(f"{_label(label)}{op}{quoted(value)}" for label, op, value in (*self.matchers, *more))

    def with_labels_only(self) -> Selector:
        """The same metric, where each label it is told by is there with any value."""
        labels = dict.fromkeys(label for label, op, _ in self.matchers if label != "__name__" and op in {"=", "=~"})
        named = tuple(matcher for matcher in self.matchers if matcher[0] == "__name__")
        return Selector(self.name, (*named, *((label, "!=", "") for label in labels)))


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else quoted(name)


@lru_cache(maxsize=4096)
def read_selector(text: str) -> Selector | str:
    """A plain instant selector, or why it is none."""
    found = parsed(text)
    if isinstance(found, str):
        return found
    if not isinstance(found, promql_parser.VectorSelector):
        return _WANTED
    if found.offset is not None or found.at is not None:
        return "offset and @ are not allowed here; the window says how far back is looked"
    return selector_of(found)


@lru_cache(maxsize=4096)
def read_expression(text: str) -> tuple[Selector, ...] | str:
    """Every selector in an expression, or why it is no expression."""
    whole = parsed(text)
    if isinstance(whole, str):
        return whole
    found: list[promql_parser.VectorSelector] = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part)

    promql_parser.walk(whole, visit)
    selectors = []
    for part in found:
        selector = selector_of(part)
        if isinstance(selector, str):
            return selector
        selectors.append(selector)
    return tuple(selectors)


def parsed(text: str) -> promql_parser.Expr | str:
    """The expression, or why it is none."""
    try:
        return promql_parser.parse(text)
    except ValueError as problem:
        return " ".join(str(problem).split())[:_LONGEST_FAULT]


def selector_of(part: promql_parser.VectorSelector) -> Selector | str:
    """A selector without its modifiers, or why it cannot be read."""
    if part.matchers.or_matchers:
        return "'or' between matchers is not PromQL"
    matchers: list[Matcher] = []
    for matcher in part.matchers.matchers:
        operator = next((text for op, text in _OPERATORS if matcher.op == op), None)
        if operator is None:
            return f"the matcher on {matcher.name} cannot be read"
        matchers.append((matcher.name, operator, matcher.value))
    return Selector(part.name or "", tuple(matchers))
