"""What a trigger can change so that a breach ends without giving the release up."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from sparkrelease.api.base import Duration, SpecModel
from sparkrelease.api.scalars import Name

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_LONGEST = timedelta(days=1)

Text = Annotated[str, Field(max_length=1024)]


def _check_keys(wanted: dict[str, str]) -> dict[str, str]:
    if not wanted or not all(_KEY.fullmatch(key) for key in wanted):
        raise ValueError("give at least one key of a ConfigMap: letters, digits, -, _ and .")
    return wanted


def _check_cooldown(cooldown: timedelta) -> timedelta:
    if cooldown > _LONGEST:
        raise ValueError("must be at most 24h")
    return cooldown


class Mitigation(SpecModel):
    """Keys of a ConfigMap to set, and whose pods to start anew after it.

    The models alone check what the schema does not: a definition has no room for rules on every trigger.
    """

    config_map: Name = Field(description="ConfigMap in the release's namespace.")
    wanted: Annotated[dict[str, Text], AfterValidator(_check_keys)] = Field(
        alias="set", max_length=16, description="Keys and values."
    )
    restart: Name | None = Field(default=None, description="Deployment to restart then.")
    undo_on_rollback: bool = Field(default=False, description="Set them back on a rollback.")
    cooldown: Annotated[Duration, AfterValidator(_check_cooldown)] = Field(
        default=timedelta(minutes=15), description="Pause before the next time."
    )
