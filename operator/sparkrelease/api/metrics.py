"""What is measured and what it should be: metrics, and the thresholds a gate asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from sparkrelease.api import rules
from sparkrelease.api.base import Documented, SpecModel
from sparkrelease.api.scalars import EventCount, Factor, Name, Number, Query, ShortSpan


class Attribution(Documented):
    """How a series is told to belong to a release and a role."""

    SERVICE = "service", "By the labels of namespace and Service that the metrics server's declaration names."
    POD = "pod", "By namespace and pod: a pod's role is that of the Service whose endpoints it is among."
    SHARED = "shared", "Not at all: the series is about something both roles use, and counts for both."


class Metric(SpecModel):
    """A named measurement: a value, a pair of counters (bad out of total), or the buckets of a histogram."""

    model_config = ConfigDict(
        json_schema_extra=rules.ruled(rules.ONE_SOURCE, rules.BAD_WITH_TOTAL, rules.BUCKETS_WITH_QUANTILE)
    )

    name: Name = Field(description="Name of the metric, unique in the release.")
    value: Query | None = Field(
        default=None,
        description="PromQL whose value is judged. $sel stands for the matchers of both Services, $by for the labels "
        "that tell releases and roles apart, $win for the window.",
    )
    bad: Query | None = Field(default=None, description="Selector of the counter of bad events; needs total.")
    total: Query | None = Field(default=None, description="Selector of the counter of all events; needs bad.")
    buckets: Query | None = Field(
        default=None, description="Selector of _bucket series or native histograms; needs quantile."
    )
    quantile: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Quantile judged on buckets, for example 0.95; a limit must be a bucket edge.",
    )
    unit: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9%/_.*^µ°-]+$",
        min_length=1,
        max_length=16,
        description="Unit shown beside the value, for example s.",
    )
    window: ShortSpan = Field(
        default=timedelta(minutes=1), description="Time over which a trigger looks at this metric."
    )
    every: ShortSpan = Field(
        default=timedelta(seconds=15),
        description="Length of the disjoint windows a comparison counts in, and pause between two looks at the history "
        "that trends are read from; at least the scrape interval. Triggers look at every tick, patient ones four times "
        "within their for.",
    )
    attribution: Attribution = Field(
        default=Attribution.SERVICE, description="How series are told to belong to a role."
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.BAD_WITH_TOTAL.require((self.bad is None) == (self.total is None))
        rules.BUCKETS_WITH_QUANTILE.require((self.buckets is None) == (self.quantile is None))
        rules.ONE_SOURCE.require(sum(source is not None for source in (self.value, self.bad, self.buckets)) == 1)
        return self

    @property
    def counted(self) -> bool:
        """Whether events are counted, so that roles can be compared exactly."""
        return self.value is None


class JudgedAt(Documented):
    """Where a threshold counts; at every gate and in the watch where nothing is said."""

    GATES = "gates", "At the end of each stage."
    WATCH = "watch", "Over the whole watch."
    MIRROR = "mirror", "At the end of stages that mirror."


class Threshold(SpecModel):
    """An objective a stage must meet to pass its gate, judged over the whole stage."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.SOME_LIMIT, rules.LIMITS_IN_ORDER))

    name: Name = Field(description="Name of the threshold, unique in the release.")
    metric: Name = Field(description="Name of the metric judged.")
    max: Number | None = Field(default=None, description="The value must not be above this.")
    min: Number | None = Field(default=None, description="The value must not be below this.")
    max_vs_baseline: Factor | None = Field(
        default=None,
        description="The value must not be above this many times the baseline, which is frozen before the run.",
    )
    at: JudgedAt | None = Field(default=None, description="Where it counts; gates and watch if absent.")
    min_requests: EventCount | None = Field(
        default=None,
        description="Fewer canary events than this over the stage make the gate inconclusive. Default: by the rule of "
        "three, 3 divided by the share of bad events that max allows (300 for 1 %); 1 for a value.",
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.SOME_LIMIT.require(any(limit is not None for limit in (self.max, self.min, self.max_vs_baseline)))
        rules.LIMITS_IN_ORDER.require(self.max is None or self.min is None or self.min <= self.max)
        return self

    @property
    def has_upper(self) -> bool:
        """Whether the value can be too high: `max` says so, or `maxVsBaseline`."""
        return self.max is not None or self.max_vs_baseline is not None

    @property
    def has_lower(self) -> bool:
        """Whether the value can be too low."""
        return self.min is not None
