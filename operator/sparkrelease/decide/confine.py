"""A release's own expression, kept to its namespace: a matcher is forced into every selector by way of the parser.

The expression is parsed; what stands in it in the place of each selector and each string is put there anew, through the
one escaper; and the result is parsed again. It is used only when it then is the same expression, with the matcher in
every selector: whatever a text can do to the writer of expressions, it cannot get out of its namespace.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

import promql_parser

from sparkrelease.decide.selectors import Matcher, Selector, parsed, quoted, selector_of

_UNTRUE = "is not read the way it is written"
_REFUSED = frozenset({"info"})
"""Functions that read series which no selector names."""


@lru_cache(maxsize=4096)
def confined(text: str, label: str, namespace: str) -> tuple[str, tuple[Selector, ...]] | str:
    """The expression with `label="namespace"` in every selector, and its selectors; or why it cannot be kept to it."""
    expression = parsed(text)
    if isinstance(expression, str):
        return expression
    stand_in = _unused(text)
    parts = _Parts(stand_in, (label, "=", namespace))
    skeleton = parts.take_out_of(expression)
    if parts.fault is not None:
        return parts.fault
    result = parts.put_into(skeleton)
    again, check = parsed(result), _Parts(stand_in, None)
    if isinstance(again, str) or check.take_out_of(again) != skeleton or check.fault is not None:
        return _UNTRUE
    if check.selectors != parts.selectors or check.strings != parts.strings:
        return _UNTRUE
    return result, tuple(parts.selectors)


def _unused(text: str) -> str:
    """A name that does not occur in the text."""
    name = "sr_x"
    while name in text:
        name += "x"
    return name


class _Parts:
    """Selectors and strings of an expression, taken out of it."""

    def __init__(self, stand_in: str, forced: Matcher | None) -> None:
        self._stand_in = stand_in
        self._forced = forced
        self._texts: list[str] = []
        self.selectors: list[Selector] = []
        self.strings: list[str] = []
        self.fault: str | None = None

    def take_out_of(self, expression: promql_parser.Expr) -> str:
        """The expression as text, with a name in the place of each of them."""
        return promql_parser.transform(expression, post_visit=self._visit).prettify()

    def put_into(self, skeleton: str) -> str:
        """The expression with all of them in their places again."""
        return re.sub(rf'"?{self._stand_in}_(\d+)_"?', lambda found: self._texts[int(found[1])], skeleton)

    def _visit(self, part: promql_parser.Expr) -> promql_parser.Expr | None:
        if isinstance(part, promql_parser.VectorSelector):
            return self._selector(part)
        if isinstance(part, promql_parser.MatrixSelector):
            return self._range(part)
        if isinstance(part, promql_parser.StringLiteral):
            self.strings.append(part.val)
            return promql_parser.parse(f'"{self._name(quoted(part.val))}"')
        if isinstance(part, promql_parser.Call) and part.func.name in _REFUSED:
            self.fault = self.fault or f"{part.func.name}() reads series of other namespaces"
        return None

    def _name(self, text: str) -> str:
        self._texts.append(text)
        return f"{self._stand_in}_{len(self._texts) - 1}_"

    def _selector(self, part: promql_parser.VectorSelector) -> promql_parser.Expr:
        selector = selector_of(part)
        if isinstance(selector, str):
            self.fault = self.fault or selector
            return part
        if self._forced is not None:
            selector = self._confine(selector, self._forced)
        self.selectors.append(selector)
        return promql_parser.parse(self._name(f"{selector.text()}{_modifiers(part)}"))

    def _confine(self, selector: Selector, forced: Matcher) -> Selector:
        label, _, namespace = forced
        others = [value for name, op, value in selector.matchers if name == label and op == "=" and value != namespace]
        if others:
            self.fault = (
                self.fault or f"{selector.text()} reads series of other namespaces; only {namespace} is its own"
            )
        kept = tuple(matcher for matcher in selector.matchers if matcher != forced)
        return Selector(selector.name, (*kept, forced))

    def _range(self, part: promql_parser.MatrixSelector) -> promql_parser.Expr:
        """A selector with a range: the selector in it has been taken out before."""
        place = re.fullmatch(rf"{self._stand_in}_(\d+)_", part.vector_selector.name or "")
        if place is None:
            self.fault = self.fault or _UNTRUE
            return part
        inner = self._texts[int(place[1])]
        bare = self.selectors[-1].text()
        modifiers = inner.removeprefix(bare)
        return promql_parser.parse(self._name(f"{bare}[{_span(part.range)}]{modifiers}"))


def _modifiers(part: promql_parser.VectorSelector) -> str:
    text = ""
    if part.offset is not None:
        sign = "-" if part.offset < timedelta(0) else ""
        text += f" offset {sign}{_span(abs(part.offset))}"
    if part.at is not None:
        text += f" @ {_instant(part.at)}"
    return text


def _instant(at: promql_parser.AtModifier) -> str:
    if at.at is not None:
        return f"{at.at.timestamp():.3f}"
    return "start()" if at.type == promql_parser.AtModifierType.Start else "end()"


def _span(span: timedelta) -> str:
    return f"{round(span.total_seconds() * 1000)}ms"
