"""The always-valid comparison of canary with stable."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from sparkrelease.api import rules
from sparkrelease.api.base import SpecModel
from sparkrelease.api.scalars import EventCount, Factor, Name, Patience, Share, Weight


class ComparisonTest(SpecModel):
    """One test: whether canary's share of bad (or slow) events is more than margin times stable's."""

    metric: Name = Field(description="Name of the metric compared: bad with total, or buckets.")
    margin: Factor | None = Field(
        default=None,
        description="How many times worse canary may be. Default: 1.25.",
    )
    min_events: EventCount = Field(
        default=3, description="Fewer bad canary events than this cannot make the test reject."
    )


class Comparison(SpecModel):
    """Tests that compare canary with stable at every look without losing their error probability."""

    alpha: Share = Field(
        default=0.01, description="How likely a healthy release may be rolled back by all tests together, over a run."
    )
    tests: Annotated[tuple[ComparisonTest, ...], AfterValidator(rules.unique_metrics)] = Field(
        default=(),
        max_length=8,
        json_schema_extra=rules.MAP_BY_METRIC,
        description="The tests; they share alpha, bad events three parts to one of slow ones.",
    )
    warmup: Patience = Field(
        default=timedelta(seconds=60), description="Time after each rise of weight that is left out of the tests."
    )
    keep_control: Weight = Field(
        default=0,
        lt=50,
        description="Percent of requests that stay on stable at the last stage, so that there is a control group.",
    )
