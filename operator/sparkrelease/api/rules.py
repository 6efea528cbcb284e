"""Every rule of the spec that types and bounds cannot say: as CEL for the API server, and its sentence for a person.

The rules of legs are in `legrules`, those between the parts of a spec in `references`.

Each rule is checked a second time by the model it belongs to, with the same sentence, for objects that were stored
before the rule was there. All of them sit under `spec`: a rule at the root or on status could block a status write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Protocol, TypeVar

from pydantic.config import JsonDict

from sparkrelease.api.base import DURATION_LENGTH, DURATION_PATTERN, format_duration

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"


class RuleError(ValueError):
    """A rule does not hold; `field` is the path below the rule's place, as the API server names it."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule. `message` names the remedy; `field` is the path, below the rule's place, that the server names.

    Where the sentence depends on what was given, `says` is CEL that makes it, and the server uses it first.
    """

    cel: str
    message: str
    field: str = ""
    says: str = ""

    def require(self, holds: bool) -> None:
        """Raises RuleError with the rule's sentence unless it holds."""
        if not holds:
            raise RuleError(self.message, self.field)

    def as_schema(self) -> JsonDict:
        """An entry of x-kubernetes-validations."""
        entry: JsonDict = {"rule": self.cel, "message": self.message}
        if self.field:
            entry["fieldPath"] = self.field
        if self.says:
            entry["messageExpression"] = self.says
        return entry


def ruled(*rules: Rule) -> JsonDict:
    """The `json_schema_extra` of the model or field the rules belong to."""
    return {VALIDATIONS: [rule.as_schema() for rule in rules]}


# ---------------------------------------------------------------- durations


@dataclass(frozen=True, slots=True)
class Span:
    """Greatest length of a duration; a duration is never negative, for its form has no sign."""

    high: timedelta
    nothing: bool = False
    """Whether no time at all is allowed too."""

    @property
    def rule(self) -> Rule:
        """The bounds as a rule on the text of the duration. It is nothing when it has no digit but 0."""
        high = format_duration(self.high)
        cel = f"self.matches('{DURATION_PATTERN}') && duration(self) <= duration('{high}')"
        if self.nothing:
            return Rule(cel, f"must be a duration such as 90s or 1h30m, at most {high}")
        return Rule(
            f"{cel} && self.matches('[1-9]')",
            f"must be a duration such as 90s or 1h30m, longer than 0s and at most {high}",
        )

    @property
    def schema(self) -> JsonDict:
        """JSON schema of such a duration. Its form is part of the rule; a pattern would complain twice."""
        return {"type": "string", "maxLength": DURATION_LENGTH, VALIDATIONS: [self.rule.as_schema()]}

    def check(self, value: timedelta) -> timedelta:
        """The value; RuleError when it is outside."""
        self.rule.require(value <= self.high and (self.nothing or value > timedelta(0)))
        return value


ABOVE_NOTHING = Span(timedelta(days=4 * 4167))
"""Longer than no time; the form of the text already says so to the API server, and bounds it."""

UP_TO_A_MONTH = Span(timedelta(days=30))
UP_TO_A_DAY = Span(timedelta(days=1))
NONE_TO_A_DAY = Span(timedelta(days=1), nothing=True)


# ---------------------------------------------------------------- weights
# `multipleOf: 0.001` would say it, but the API server takes the factor for 0 as soon as the weight is a whole number.

THOUSANDTHS = Rule(
    "[self * 1000.0].all(t, t - double(int(t + 0.5)) < 0.000001 && double(int(t + 0.5)) - t < 0.000001)",
    "a weight has at most three decimals; round it",
)
_BINARY_NOISE = 1e-9


def check_weight(value: float) -> float:
    """The weight, as the nearest thousandth; RuleError when it is finer."""
    rounded = round(value, 3)
    THOUSANDTHS.require(abs(rounded - value) < _BINARY_NOISE)
    return rounded


# ---------------------------------------------------------------- lists with names


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Item = TypeVar("_Item", bound=_Named)

MAP_BY_METRIC: JsonDict = {LIST_TYPE: "map", LIST_KEYS: ["metric"]}
MAP_BY_TARGET: JsonDict = {LIST_TYPE: "map", LIST_KEYS: ["target"]}
MAP_BY_NAME: JsonDict = {LIST_TYPE: "map", LIST_KEYS: ["name"]}
"""The API server refuses two items of one name by itself."""


def unique_names(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """The items; ValueError when two have the same name."""
    seen = set()
    for item in items:
        if item.name in seen:
            raise ValueError(f"the name {item.name} is given twice; give each item its own")
        seen.add(item.name)
    return items


class _OnMetric(Protocol):
    @property
    def metric(self) -> str: ...


_Test = TypeVar("_Test", bound=_OnMetric)


def unique_metrics(tests: tuple[_Test, ...]) -> tuple[_Test, ...]:
    """The tests; ValueError when two are on the same metric."""
    seen = set()
    for test in tests:
        if test.metric in seen:
            raise ValueError(f"the metric {test.metric} is tested twice; keep one of the tests")
        seen.add(test.metric)
    return tests


# ---------------------------------------------------------------- stages

WEIGHTS_RISE = Rule(
    "self.map(s, s.weight).isSorted()",
    "weights never fall from one stage to the next, so that the last stage is the highest; reorder the stages",
)
LAST_WEIGHT = Rule(
    "self.size() == 0 || self[self.size() - 1].weight > 0.0",
    "the last stage must give canary a weight above 0",
)
MIRROR_WITHOUT_WEIGHT = Rule(
    "!has(self.mirror) || self.weight == 0.0",
    "a stage that mirrors requests gives canary none of them; set weight to 0 or remove mirror",
    ".weight",
)

# ---------------------------------------------------------------- metrics, thresholds

ONE_SOURCE = Rule(
    "[has(self.value), has(self.bad) || has(self.total), has(self.buckets)].exists_one(given, given)",
    "give exactly one of: value; bad with total; buckets with quantile",
)
BAD_WITH_TOTAL = Rule(
    "has(self.bad) == has(self.total)", "bad and total are a pair of counters; give both or neither", ".total"
)
BUCKETS_WITH_QUANTILE = Rule(
    "has(self.buckets) == has(self.quantile)",
    "a quantile is read off buckets; give buckets and quantile, or neither",
    ".quantile",
)
SOME_LIMIT = Rule(
    "has(self.max) || has(self.min) || has(self.maxVsBaseline)",
    "a threshold needs a limit; give max, min or maxVsBaseline",
    ".max",
)
LIMITS_IN_ORDER = Rule(
    "!has(self.max) || !has(self.min) || self.min <= self.max",
    "min is above max, so no value could pass; exchange them",
    ".min",
)

# ---------------------------------------------------------------- settle

STEPS_FALL = Rule(
    "self.all(w, self.exists_one(v, v == w)) && self.map(w, 0.0 - w).isSorted()",
    "weights fall from step to step; reorder the steps and name each weight once",
)
LAST_STEP = Rule("self.size() == 0 || self[self.size() - 1] == 0.0", "the last step must be 0: all traffic on stable")

# ---------------------------------------------------------------- traffic

ONE_PROVIDER = Rule(
    "has(self.gatewayAPI) != has(self.featureFlag)",
    "name exactly one traffic provider: gatewayAPI or featureFlag",
    ".gatewayAPI",
)
TWO_SERVICES = Rule(
    "self.stable.service != self.canary.service",
    "stable and canary must be two Services; name another one",
    ".canary.service",
)
ROUTE_OR_OWNED = Rule(
    "has(self.route) != has(self.owned)",
    "give exactly one of: route (it exists, usually in Git) and owned (the operator keeps it)",
)
PARENT_GROUP = Rule(
    "(has(self.kind) && self.kind == 'Service') == (has(self.group) && self.group == '')",
    "group belongs to kind: the empty group '' for a Service, gateway.networking.k8s.io for a Gateway or ListenerSet",
    ".group",
)
GRPC_WITHOUT_PATH = Rule(
    "self.kind != 'GRPCRoute' || self.rules.all(r, !has(r.matches) || r.matches.all(m, !has(m.path)))",
    "a GRPCRoute matches by method, not by path; use method or kind HTTPRoute",
    ".rules",
)
HTTP_WITHOUT_METHOD = Rule(
    "self.kind != 'HTTPRoute' || self.rules.all(r, !has(r.matches) || r.matches.all(m, !has(m.method)))",
    "an HTTPRoute matches by path, not by gRPC method; use path or kind GRPCRoute",
    ".rules",
)
RULE_NAMES_ONCE = Rule(
    "self.rules.all(r, !has(r.name) || self.rules.exists_one(o, has(o.name) && o.name == r.name))",
    "two rules have the same name; give each its own",
    ".rules",
)
ABSOLUTE_PATH = Rule(
    "(has(self.type) && self.type == 'RegularExpression') || !has(self.value) || self.value.startsWith('/')",
    "a path starts with /",
    ".value",
)
SERVICE_OR_METHOD = Rule("has(self.service) || has(self.method)", "give service, method or both")

# ---------------------------------------------------------------- the same in Python


def falling(steps: Sequence[float]) -> bool:
    """Whether each is below the one before."""
    return all(after < before for before, after in pairwise(steps))


def rising(weights: Sequence[float]) -> bool:
    """Whether none is below the one before."""
    return all(after >= before for before, after in pairwise(weights))
