"""What a decision was based on, in the form evidence keeps: readings as JSON, and back without a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import finite
from sparkrelease.decide.facts import Again, Buckets, Counts, MetricFacts, Missing, Reading, Value

_NOT_FINITE = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


def reading_data(facts: MetricFacts) -> dict[str, object]:
    """A metric's readings for `EntryDraft.data`; `read_reading` gives back what went in."""
    twice = {"canaryAgain": facts.canary_again, "stableAgain": facts.stable_again}
    return {
        "query": facts.query,
        "at": facts.at.astimezone(UTC).isoformat(),
        "windowSeconds": facts.window.total_seconds(),
        "canary": _reading_data(facts.canary),
        "stable": _reading_data(facts.stable),
        **{name: _again_data(again) for name, again in twice.items() if again is not None},
    }


def _again_data(again: Again) -> dict[str, object]:
    return {"why": again.why, "query": again.query, **_reading_data(again.reading)}


def _reading_data(reading: Reading) -> dict[str, object]:
    match reading:
        case Value(value):
            return {"value": finite(value)}
        case Counts(bad, total):
            return {"bad": finite(bad), "total": finite(total)}
        case Buckets(at_or_below, total):
            edges = [[finite(edge), finite(count)] for edge, count in sorted(at_or_below.items())]
            return {"buckets": edges, "total": finite(total)}
        case Missing(reason, message, server_wide):
            return {"missing": reason.value, "message": message, "serverWide": server_wide}


def read_reading(data: Mapping[str, object]) -> MetricFacts:
    """The inverse of `reading_data`. Raises ValueError for data it did not write."""
    try:
        return MetricFacts(
            query=str(data["query"]),
            at=datetime.fromisoformat(str(data["at"])),
            window=timedelta(seconds=_number(data["windowSeconds"])),
            canary=_read_side(data["canary"]),
            stable=_read_side(data["stable"]),
            canary_again=_read_again(data.get("canaryAgain")),
            stable_again=_read_again(data.get("stableAgain")),
        )
    except (KeyError, TypeError) as problem:
        raise ValueError(f"not a metric's readings: {problem}") from problem


def _read_again(data: object) -> Again | None:
    match data:
        case None:
            return None
        case {"why": str(why), "query": str(query)}:
            return Again(why, query, _read_side(data))
        case _:
            raise ValueError(f"not counted again: {data!r}")


def _read_side(data: object) -> Reading:
    match data:
        case {"value": value}:
            return Value(_number(value))
        case {"bad": bad, "total": total}:
            return Counts(_number(bad), _number(total))
        case {"buckets": [*edges], "total": total}:
            return Buckets({_number(edge): _number(count) for edge, count in edges}, _number(total))
        case {"missing": reason, "message": message, "serverWide": bool(server_wide)}:
            return Missing(Reason.named(str(reason)), str(message), server_wide)
        case _:
            raise ValueError(f"not a reading: {data!r}")


def _number(value: object) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"not a number: {value!r}")
