"""The watch after the last stage, and the error budget that keeps new runs from starting."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from sparkrelease.api import rules
from sparkrelease.api.base import Duration, SpecModel
from sparkrelease.api.rules import Rule
from sparkrelease.api.scalars import Known, Share

LONGEST = timedelta(days=30)

EVERY_FITS = Rule("duration(self.every) <= duration(self.duration)", "every is longer than duration; shorten it")


def _check_span(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= LONGEST:
        raise ValueError("must be longer than 0s and at most 720h")
    return span


Span = Annotated[Duration, AfterValidator(_check_span)]
"""More than nothing, up to 30 days. The models alone check it: a definition has no room for the rule each time."""


class BurnRates(SpecModel):
    """How fast the canary's error budget may burn during the watch: 14.4x over 1h and 5m, 6x over 6h and 30m.

    Read from the metric of the error budget, or from the first metric with bad and total.
    """

    objective: Share = Field(description="Such as 0.999.")


class Watch(SpecModel):
    """Observation at the last weight before the promotion. Triggers go on."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(EVERY_FITS))

    duration: Span = Field(description="How long; counted like a stage.")
    every: Span = Field(default=timedelta(hours=1), description="Pause between checks.")
    burn_rates: BurnRates | None = Field(default=None, description="Burn rates that fail a check.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        EVERY_FITS.require(self.every <= self.duration)
        return self


class ErrorBudget(SpecModel):
    """What may fail; once it is spent no new run starts."""

    metric: Known = Field(description="One of bad and total.")
    objective: Share = Field(description="Such as 0.999.")
    window: Span = Field(default=LONGEST, description="Time it is for.")
