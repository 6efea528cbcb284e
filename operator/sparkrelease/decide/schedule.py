"""Whether a trigger is looked at now: a pure question to its schedule, so a restart changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from sparkrelease.api.triggers import ActiveWhen


def active(when: ActiveWhen, now: datetime) -> bool:
    """Whether the schedule named a start in the last `duration`, that start included and its end not.

    The span is taken in UTC and looked at in the schedule's zone, so it is as long on the day the clock changes.
    """
    began = (now - when.duration).astimezone(UTC)
    start = _next_start(when.schedule, when.time_zone, began.replace(second=0, microsecond=0))
    return start is not None and start <= now


@lru_cache(maxsize=1024)
def _next_start(schedule: str, zone: str, minute: datetime) -> datetime | None:
    """First start after this minute. Remembered, because releases of one policy ask the same for a whole minute."""
    return next(CronSim(schedule, minute.astimezone(ZoneInfo(zone))), None)
