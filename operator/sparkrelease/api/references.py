"""Rules between the parts of a spec: what one part names must be in another, and of the right kind.

With a policyRef they are checked when the policy is merged in: the policy may bring what the release lacks.
"""

from __future__ import annotations

from sparkrelease.api.rules import Rule

STAGES_GIVEN = Rule(
    "has(self.policyRef) || (has(self.stages) && self.stages.size() > 0)",
    "give at least one stage, or a policyRef whose policy has some",
    ".stages",
)

STAGES_ON_RUNGS = Rule(
    "!has(self.traffic.featureFlag) || !has(self.stages) || "
    "self.stages.all(s, s.weight in [0.0, 1.0, 10.0, 50.0, 100.0])",
    "a feature flag has a value for the weights 0, 1 (preview), 10, 50 and 100; use these",
    ".stages",
)


def _rule_on_metric(rules: str, legs: str, wrong: str, message: str) -> Rule:
    """A rule that no item of spec.<rules> is `wrong`; in it `r` is the item, and `l` one of its legs if it has some."""
    reads = f"r.{legs}.exists(l, {wrong})" if legs else wrong
    given = "".join(f"!has(self.{path}) || " for path in _paths(rules))
    return Rule(
        f"has(self.policyRef) || {given}!self.{rules}.exists(r, {reads})",
        message,
        f".{rules}",
    )


def _paths(rules: str) -> list[str]:
    """The optional fields on the way to a list: comparison, comparison.tests."""
    parts = rules.split(".")
    return [".".join(parts[: place + 1]) for place in range(len(parts))]


def _missing(item: str) -> str:
    return f"!has(self.metrics) || !self.metrics.exists(m, m.name == {item}.metric)"


def _of_kind(item: str, has: str) -> str:
    return f"has(self.metrics) && self.metrics.exists(m, m.name == {item}.metric && ({has}))"


def _kind_in(*kinds: str) -> str:
    return f"has(l.kind) && l.kind in [{', '.join(repr(kind) for kind in kinds)}]"


THRESHOLD_METRIC = _rule_on_metric(
    "thresholds",
    "",
    _missing("r"),
    "a threshold names a metric that is not in spec.metrics; correct the name or add the metric",
)
TRIGGER_METRIC = _rule_on_metric(
    "triggers",
    "all",
    _missing("l"),
    "a trigger names a metric that is not in spec.metrics; correct the name or add the metric",
)
TEST_METRIC = _rule_on_metric(
    "comparison.tests",
    "",
    _missing("r"),
    "a test names a metric that is not in spec.metrics; correct the name or add the metric",
)
QUANTILE_THRESHOLD = _rule_on_metric(
    "thresholds",
    "",
    f"(has(r.min) || has(r.maxVsBaseline)) && {_of_kind('r', 'has(m.buckets)')}",
    "a quantile of buckets has only an upper limit, at a bucket edge; use max",
)
QUANTILE_TRIGGER = _rule_on_metric(
    "triggers",
    "all",
    f"has(l.op) && l.op != '>' && {_of_kind('l', 'has(m.buckets)')}",
    "a quantile of buckets can only be told above a limit; use op >",
)
NUMBER_LEG = _rule_on_metric(
    "triggers",
    "all",
    f"{_kind_in('vsStable', 'vsBaseline', 'growth', 'trend')} && {_of_kind('l', 'has(m.buckets)')}",
    "a quantile of buckets is only told above or below an edge, it is no number to compare; use kind threshold or "
    "sequential",
)
VALUE_LEG = _rule_on_metric(
    "triggers",
    "all",
    f"{_kind_in('trend')} && {_of_kind('l', 'has(m.bad)')}",
    "a trend is read from a value; use a metric with value",
)
COUNTED_LEG = _rule_on_metric(
    "triggers",
    "all",
    f"{_kind_in('burnRate', 'sequential')} && {_of_kind('l', 'has(m.value)')}",
    "burnRate and sequential count events; use a metric with bad and total",
)
BUDGET_LEG = _rule_on_metric(
    "triggers",
    "all",
    f"{_kind_in('burnRate')} && {_of_kind('l', 'has(m.buckets)')}",
    "a burn rate needs to know which events are bad; use a metric with bad and total",
)
COUNTED_TEST = _rule_on_metric(
    "comparison.tests",
    "",
    _of_kind("r", "has(m.value)"),
    "a test counts events of both roles; use a metric with bad and total, or with buckets",
)

WORKLOAD_BEHIND_ROUTE = Rule(
    "!has(self.workload) || !has(self.traffic.featureFlag)",
    "a flag splits the users of one workload; leave out workload",
    ".workload",
)

BETWEEN_PARTS = (
    WORKLOAD_BEHIND_ROUTE,
    STAGES_GIVEN,
    STAGES_ON_RUNGS,
    THRESHOLD_METRIC,
    TRIGGER_METRIC,
    TEST_METRIC,
    QUANTILE_THRESHOLD,
    QUANTILE_TRIGGER,
    NUMBER_LEG,
    VALUE_LEG,
    COUNTED_LEG,
    BUDGET_LEG,
    COUNTED_TEST,
)
