"""Cron expressions and time zones as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


def check_schedule(value: str) -> str:
    """The cron expression; ValueError when it is none."""
    try:
        CronSim(value, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as problem:
        raise ValueError(f"must be a cron expression of five fields such as 0 10 * * 1-5: {problem}") from problem
    return value


def check_time_zone(value: str) -> str:
    """The name; ValueError when there is no such zone."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise ValueError("must be a time zone of the IANA database such as Europe/Istanbul") from problem
    return value
