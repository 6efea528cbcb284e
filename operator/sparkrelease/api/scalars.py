"""The single values people write, with their bounds: names, queries, numbers, weights, spans of time."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from sparkrelease.api import rules, schedules
from sparkrelease.api.base import Duration

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
"""Name of a stage, metric, threshold or trigger: a DNS label."""

NameOfTwo = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=56)]
"""A name that is still one with `-stable` behind it."""

Known = Annotated[str, Field(min_length=1, max_length=63)]
"""Name of something else in the spec, which is looked for when the spec is resolved."""

ObjectName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", min_length=1, max_length=253),
]
Hostname = Annotated[
    str,
    Field(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=253,
    ),
]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._+]*[A-Za-z0-9])?$", min_length=1, max_length=128)]
FilePath = Annotated[str, Field(min_length=1)]
"""Path of a file in the operator's container."""

Query = Annotated[str, Field(min_length=1, max_length=2048)]
Number = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
"""A limit: any number a metric can sensibly have."""

Factor = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
"""How many times something may be."""

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
"""More than nothing and less than all, 0.01 for one percent."""

Schedule = Annotated[
    str,
    Field(pattern=r"^[-0-9*/,A-Za-z#]+( [-0-9*/,A-Za-z#?L]+){4}$", max_length=128),
    AfterValidator(schedules.check_schedule),
]
"""A cron expression of five fields."""

TimeZone = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=64), AfterValidator(schedules.check_time_zone)
]
"""Name of a time zone in the IANA database."""

EventCount = Annotated[int, Field(ge=1, le=1_000_000_000)]

Weight = Annotated[
    float,
    Field(ge=0, le=100, allow_inf_nan=False, json_schema_extra=rules.ruled(rules.THOUSANDTHS)),
    AfterValidator(rules.check_weight),
]
"""Share of requests in percent, 0 to 100, at most three decimals."""

Mirror = Annotated[
    float,
    Field(gt=0, le=100, allow_inf_nan=False, json_schema_extra=rules.ruled(rules.THOUSANDTHS)),
    AfterValidator(rules.check_weight),
]
"""Share of requests in percent, above 0, at most three decimals."""

LongSpan = Annotated[Duration, AfterValidator(rules.UP_TO_A_MONTH.check), WithJsonSchema(rules.UP_TO_A_MONTH.schema)]
"""More than nothing, up to 30 days."""

ShortSpan = Annotated[Duration, AfterValidator(rules.UP_TO_A_DAY.check), WithJsonSchema(rules.UP_TO_A_DAY.schema)]
"""More than nothing, up to a day."""

Patience = Annotated[Duration, AfterValidator(rules.NONE_TO_A_DAY.check), WithJsonSchema(rules.NONE_TO_A_DAY.schema)]
"""Nothing up to a day."""
