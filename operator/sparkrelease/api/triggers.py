"""Rules that act at once: a trigger ANDs its legs, and each leg is of one of seven kinds."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from sparkrelease.api import legrules, rules
from sparkrelease.api.base import Documented, SpecModel
from sparkrelease.api.mitigation import Mitigation
from sparkrelease.api.scalars import (
    EventCount,
    Factor,
    Known,
    Name,
    Number,
    Patience,
    Schedule,
    Share,
    ShortSpan,
    TimeZone,
)


class TriggerAction(Documented):
    """What a trigger does once it has been true for its time. The worst action of all triggers wins."""

    ROLLBACK = "rollback", "All traffic goes back to stable at once, and the run ends."
    STEP_BACK = "stepBack", "Traffic goes back to the weight of the stage before, whose clock starts anew."
    MITIGATE = "mitigate", "What mitigation says is set; the weight stays."
    HOLD = "hold", "The weight stays where it is for as long as the trigger is true."
    NOTIFY = "notify", "An Event and an evidence entry tell of it; the release goes on."


class TriggerScope(Documented):
    """Whose fault a breach can be."""

    CANARY = "canary", "The canary's; where stable breaches the same leg on counts of its own, both have an incident."
    SHARED = "shared", "That of something both roles use; the trigger acts all the same."


class LegKind(Documented):
    """How a leg judges its metric."""

    THRESHOLD = "threshold", "Compares the value with value."
    VS_STABLE = "vsStable", "Compares the value with factor times stable's, and with floor."
    VS_BASELINE = "vsBaseline", "Compares the value with factor times the baseline frozen before the run."
    GROWTH = "growth", "True when the value is more than factor times what it was over ago, and above floor."
    TREND = "trend", "True when the values rise by more than slopePerMinute, and not by chance (pBelow)."
    BURN_RATE = "burnRate", "True when the error budget of objective burns faster than a pair of windows allows."
    SEQUENTIAL = "sequential", "True when canary is worse than margin times stable, by an always-valid test."


class Reset(Documented):
    """What begins a history anew."""

    POD_RESTART = "podRestart", "A restart of a pod or of its process."


class BurnWindow(SpecModel):
    """A pair of windows of a burn rate; both must burn faster than factor."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(legrules.LONG_OVER_SHORT))

    long: ShortSpan = Field(description="The long window: how much of the budget is gone.")
    short: ShortSpan = Field(description="The short window: whether it still burns.")
    factor: Factor = Field(description="How many times faster than the budget allows, for example 14.4.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        legrules.LONG_OVER_SHORT.require(self.long > self.short)
        return self


BURN_WINDOWS = (
    BurnWindow(long=timedelta(hours=1), short=timedelta(minutes=5), factor=14.4),
    BurnWindow(long=timedelta(hours=6), short=timedelta(minutes=30), factor=6),
)
"""The pairs for a page in the SRE workbook, chapter 5 (2 % of a month's budget in an hour, 5 % in six)."""


class ActiveWhen(SpecModel):
    """When a trigger is looked at: from each time the schedule names, for the duration."""

    schedule: Schedule = Field(description="When it begins, as a cron expression of five fields, such as 0 10 * * 1-5.")
    duration: ShortSpan = Field(description="How long it is looked at from then on.")
    time_zone: TimeZone = Field(default="UTC", description="Time zone of the schedule, such as Europe/Istanbul.")


class Leg(SpecModel):
    """One condition of a trigger. Which fields it has depends on its kind."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(legrules.LEG_FIELDS_RULE))

    metric: Name = Field(description="Name of the metric read.")
    kind: LegKind = Field(default=LegKind.THRESHOLD, description="How the metric is judged.")
    not_: bool = Field(default=False, alias="not", description="Turns the leg round: true when its condition is not.")
    op: legrules.Comparator | None = Field(
        default=None, description="Comparison with the limit; > if absent. For threshold, vsStable and vsBaseline."
    )
    value: Number | None = Field(default=None, description="The limit of a threshold.")
    factor: Factor | None = Field(default=None, description="For vsStable, vsBaseline and growth: how many times.")
    floor: Number | None = Field(
        default=None, description="For vsStable, vsBaseline and growth: values up to this are never a breach."
    )
    over: ShortSpan | None = Field(default=None, description="For growth and trend: how far back is looked.")
    slope_per_minute: Number | None = Field(
        default=None, description="For trend: the rise a minute, in the metric's unit, above which the leg is true."
    )
    p_below: Share | None = Field(
        default=None,
        description="For trend: how likely chance may be (Mann-Kendall, one-sided). Default: 0.01.",
    )
    vs_stable_factor: Factor | None = Field(
        default=None, description="For trend: the slope must also be more than this many times stable's."
    )
    warmup: ShortSpan | None = Field(
        default=None, description="For trend: the first part of each pod's history that is left out."
    )
    reset_on: Reset | None = Field(default=None, description="For trend: what begins the history anew.")
    objective: Share | None = Field(default=None, description="For burnRate: the objective, such as 0.999.")
    windows: tuple[BurnWindow, ...] = Field(
        default=(),
        max_length=4,
        description="For burnRate: pairs of windows, one of which is enough. Default: 1h with 5m at 14.4, 6h with 30m "
        "at 6.",
    )
    margin: Factor | None = Field(
        default=None, description="For sequential: how many times worse than stable canary may be. Default: 1.25."
    )
    alpha: Share | None = Field(
        default=None, description="For sequential: how likely a false alarm may be over a whole run. Default: 0.01."
    )
    min_events: EventCount = Field(
        default=1,
        description="Fewer canary events than this in the window cannot make the leg true: requests, or for burnRate "
        "(its long window) and sequential bad ones.",
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        given = {name for name in legrules.LEG_FIELDS if getattr(self, name) not in (None, ())}
        legrules.fields_of(self.kind.value).require(given)
        return self

    @property
    def comparator(self) -> legrules.Comparator:
        """The comparison with the limit."""
        return self.op or ">"


class Trigger(SpecModel):
    """A rule that acts at once, at any stage, when all its legs have been true for its time."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(legrules.ACTION_FIELDS))

    name: Name = Field(description="Name of the trigger, unique in the release.")
    all: tuple[Leg, ...] = Field(min_length=1, max_length=8, description="Conditions that must all be true.")
    for_: Patience = Field(
        default=timedelta(0),
        alias="for",
        description="How long all legs must be true without a break before the trigger acts.",
    )
    action: TriggerAction = Field(default=TriggerAction.ROLLBACK, description="What it does.")
    scope: TriggerScope = Field(default=TriggerScope.CANARY, description="Whose fault a breach can be.")
    active_when: ActiveWhen | None = Field(default=None, description="When it is looked at; always if absent.")
    mitigation: Mitigation | None = Field(default=None, description="Not for hold, rollback.")
    stage: Known | None = Field(default=None, description="For stepBack: where to.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        changes = {TriggerAction.MITIGATE, TriggerAction.STEP_BACK, TriggerAction.NOTIFY}
        given, mitigates = self.mitigation is not None, self.action is TriggerAction.MITIGATE
        legrules.ACTION_FIELDS.require(given or not mitigates)
        if given and self.action not in changes:
            text = "mitigation belongs to the actions mitigate, stepBack and notify; remove it or change action"
            raise ValueError(text)
        if self.stage is not None and self.action is not TriggerAction.STEP_BACK:
            raise ValueError("stage belongs to the action stepBack; remove it or change action")
        return self


class NoData(SpecModel):
    """How long missing data is borne while canary has weight. It always holds; these limits come after that."""

    rollback_after: ShortSpan = Field(
        default=timedelta(minutes=5),
        description="A release whose own data is missing this long is rolled back.",
    )
    server_rollback_after: ShortSpan = Field(
        default=timedelta(minutes=15),
        description="A release whose whole metrics server is blind this long is rolled back, unless it passed every "
        "gate.",
    )
