"""A feature flag instead of a route: a key of a ConfigMap that the application itself reads, and its ladder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sparkrelease.api.base import SpecModel
from sparkrelease.api.scalars import ObjectName, Query

PREVIEW = "preview"

LADDER = {0.0: "0", 1.0: PREVIEW, 10.0: "0.1", 50.0: "0.5", 100.0: "1.0"}
"""By canary weight in percent, the value that is written for it. `preview` is for a few named users: nominally 1 %."""


class FeatureFlag(SpecModel):
    """A flag whose values are those of the ladder, and the gauge by which the application says what it goes by."""

    config_map: ObjectName = Field(description="ConfigMap in the release's namespace.")
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        description="Key with the value: 0, preview (weight 1), 0.1, 0.5 or 1.0."
    )
    metric: Query = Field(
        description="Selector of a gauge with the share each pod goes by: 0, 0.01 (preview), 0.1, 0.5, 1."
    )


def value_of(weight: float) -> str | None:
    """The rung for a canary weight in percent; None where there is none."""
    return LADDER.get(round(weight, 3))


def weight_of(value: str) -> float | None:
    """The canary weight a value means, in percent; None for what is neither `preview` nor a share from 0 to 1.

    What people write is read more freely than the ladder is written: `1`, `0.10` and `0.3` are shares, too.
    """
    text = value.strip()
    if text == PREVIEW:
        return 1.0
    try:
        share = float(text)
    except ValueError:
        return None
    return round(100 * share, 3) if 0 <= share <= 1 else None
