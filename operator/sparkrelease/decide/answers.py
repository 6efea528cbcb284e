"""What the facts answer for one role: readings, other windows, the past, histories; and when an answer is too old."""

from __future__ import annotations

from datetime import datetime, timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Ask, Counts, Facts, MetricFacts, Missing, Reading, Role, Track
from sparkrelease.decide.resolve import ResolvedSpec

EXPECTED_REQUESTS = 20
"""A silent canary counts as missing only where this many requests were to be expected (3 sigma from none is 9)."""

_LATE_TICKS = 3
LATE_GRACE = timedelta(seconds=20)
"""A reading whose rules are patient is asked for every 15 s."""

HISTORY_LATE = timedelta(minutes=5)
"""Histories are asked seldom: a leak takes longer than this."""

_LOOKS = 20
_LONGEST_PAUSE = timedelta(minutes=1)

NOT_ASKED = Missing(Reason.TOO_FEW_POINTS, "not asked yet")
NO_HISTORY = Missing(Reason.TOO_FEW_POINTS, "its history was not asked yet")


def reading_of(facts: Facts, metric: str, role: Role, now: datetime) -> Reading | None:
    """The role's reading of a metric; None before it was ever asked; Missing when the answer is too old to act on."""
    seen = facts.metrics.get(metric)
    if seen is None:
        return None
    age = now - seen.at
    # Looked at for every rule at every tick: what is younger than any limit needs none worked out.
    if age > LATE_GRACE and age > late(facts.tick):
        return _old(seen.at, now)
    return seen.canary if role is Role.CANARY else seen.stable


def reading_or_missing(facts: Facts, metric: str, role: Role, weight: float, now: datetime) -> Reading:
    """The role's reading; silence of a role that need not have had a request yet is too little traffic."""
    reading = reading_of(facts, metric, role, now)
    if reading is None:
        return Missing(Reason.NO_DATA, "not asked yet")
    if isinstance(reading, Missing) and silent(reading) and not expects_requests(facts.metrics[metric], role, weight):
        return Missing(Reason.INSUFFICIENT_TRAFFIC, f"no request has reached {role} yet")
    return reading


def asked_of(spec: ResolvedSpec, facts: Facts, ask: Ask, role: Role, now: datetime) -> Reading:
    """The answer to an ask; TooFewPoints where there was nothing to measure in that time, which is no blindness."""
    seen = facts.asked.get(ask)
    if seen is None:
        return NOT_ASKED
    # An answer about the past may be dated by the past instant, or by when it was asked.
    age = now - seen.at
    if age >= ask.back:
        age -= ask.back
    # As in `reading_of`: what is younger than any limit needs none worked out.
    if age <= LATE_GRACE:
        reading = seen.canary if role is Role.CANARY else seen.stable
    else:
        reading = _aged(spec, facts, ask, role, now)
    return _short(reading) if isinstance(reading, Missing) else reading


def _aged(spec: ResolvedSpec, facts: Facts, ask: Ask, role: Role, now: datetime) -> Reading:
    seen = facts.asked[ask]
    oldest = late(max(facts.tick, spec.metric(ask.metric).every))
    of_the_past = ask.back <= now - seen.at <= ask.back + oldest
    return _side(seen, role, now, ask.back + oldest if of_the_past else oldest)


def history_of(spec: ResolvedSpec, facts: Facts, metric: str, role: Role, now: datetime) -> tuple[Track, ...] | Missing:
    """The role's series of a metric; TooFewPoints where there are none yet."""
    seen = facts.history.get(metric)
    if seen is None:
        return NO_HISTORY
    age = now - seen.at
    if age > HISTORY_LATE and age > late(max(facts.tick, spec.metric(metric).every)):
        return _old(seen.at, now)
    tracks = seen.canary if role is Role.CANARY else seen.stable
    return _short(tracks) if isinstance(tracks, Missing) else tracks


def pause_over(span: timedelta) -> timedelta:
    """Pause before an answer over such a span is worth asking for anew: until it moved by a twentieth, or a minute."""
    return min(span / _LOOKS, _LONGEST_PAUSE)


def late(every: timedelta) -> timedelta:
    """How old an answer may be that is asked for every so often."""
    return max(_LATE_TICKS * every, LATE_GRACE)


def silent(missing: Missing) -> bool:
    """Whether the role has no series, while the server answers."""
    return missing.reason is Reason.NO_DATA and not missing.server_wide


def _side(seen: MetricFacts, role: Role, now: datetime, oldest: timedelta) -> Reading:
    if now - seen.at > oldest:
        return _old(seen.at, now)
    return seen.canary if role is Role.CANARY else seen.stable


def _old(at: datetime, now: datetime) -> Missing:
    return Missing(Reason.STALE_DATA, f"last asked {(now - at).total_seconds():.0f} s ago", server_wide=True)


def _short(missing: Missing) -> Missing:
    """Nothing measured at that time is a short history; a server that cannot be asked stays what it is."""
    if missing.reason in {Reason.NO_DATA, Reason.STALE_DATA} and not missing.server_wide:
        return Missing(Reason.TOO_FEW_POINTS, missing.message)
    return missing


def expects_requests(metric: MetricFacts, role: Role, weight: float) -> bool:
    """Whether the silent role should have had requests, going by what the other role got and the weight."""
    share = weight / 100 if role is Role.CANARY else 1 - weight / 100
    other = metric.stable if role is Role.CANARY else metric.canary
    if share >= 1:
        return True
    if isinstance(other, Missing):
        return True
    total = other.total if isinstance(other, Counts) else getattr(other, "total", None)
    return total is None or total * share / (1 - share) >= EXPECTED_REQUESTS
