"""Windows of a metric become what a test has accumulated: each once, in order, or left out for a reason."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sparkrelease.api.metrics import Metric
from sparkrelease.api.status import TestState
from sparkrelease.decide import apart
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.measured import count_between
from sparkrelease.decide.stats import edges, eprocess
from sparkrelease.decide.stats.eprocess import Channel, Hypotheses
from sparkrelease.decide.stats.packing import Seen, State, pack, unpack

MOST_EVENTS = 1e12
"""More in one window is no count of events."""

MOST_EVIDENCE = 1e12
"""Stronger evidence is not told apart."""

_MOST_LOG = 2 * math.log(MOST_EVIDENCE)
_MOST_IN_A_ROW = 255
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Test:
    """What is tested: `limit` is the e-value that rejects, `wanted` the edges that rules of the release look at."""

    __test__ = False  # no test of pytest's

    name: str
    metric: Metric
    margin: float
    limit: float
    min_events: int
    wanted: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """By what windows are counted: the run and its stage, the time left out after a rise, the wobble before the run."""

    started_at: datetime
    stage_at: datetime
    stages: int
    warm_from: datetime | None = None
    warm_until: datetime | None = None
    spread: float = 0.0


class Shown(NamedTuple):
    """The counts that speak for a test: those of the channel and the time with the strongest evidence.

    `log_weight` is the logarithm of its part of the mixture, `sums` what it has accumulated.
    """

    edge: float
    canary_bad: float
    canary: float
    stable_bad: float
    stable: float
    sums: array[float]
    log_weight: float


class _Numbers(NamedTuple):
    """A window as numbers: events per role, and bad ones per channel."""

    canary: float
    stable: float
    bad: tuple[tuple[float, float], ...]


class Counted(NamedTuple):
    """What a test has counted: as the status keeps it, as it is, and what of it people are shown."""

    kept: TestState
    state: State
    shown: Shown | None


def advance(test: Test, known: TestState | None, windows: Sequence[Window], by: Setting) -> Counted | None:
    """Counts every window that `known` does not know yet, in order; None where there is none."""
    until = max(known.counted_until or by.started_at, by.started_at) if known is not None else by.started_at
    last = apart.last_known(windows)
    if last is None or last.end <= until:
        return None
    before = known or TestState(metric=test.name)
    state = read(test, before) or _begin(test, by)
    h = _hypotheses(test)
    e, counted, voided, any_moved = before.e, before.windows, before.voided, False
    logs: list[float] | None = None
    for place, window in enumerate(windows):
        if window.end <= until:
            continue
        if window.end > last.end:
            break
        until, begun = window.end, state.begun
        around = apart.around(windows, place) if window.apart else ()
        state, moved = _add(test, state, window, around, by)
        counted += state.last is Seen.COUNTED
        voided += state.last.void
        if moved or state.begun != begun:
            any_moved, logs = True, _evidence(state, by.stages)
            e = max(e, _e_value(test, state, logs))
    speaks = _shown(state, h, by.stages, logs)
    changes: dict[str, object] = {
        "counted_until": until,
        "windows": counted,
        "voided": voided,
        "state": pack(state),
        "e": e,
    }
    if any_moved and speaks is not None:
        changes |= _estimate(test, h, speaks, e)
    return Counted(before.model_copy(update=changes), state, speaks)


def look(test: Test, known: TestState, stages: int) -> Counted | None:
    """What was counted before; None when it cannot be read."""
    state = read(test, known)
    if state is None:
        return None
    return Counted(known, state, _shown(state, _hypotheses(test), stages))


def _hypotheses(test: Test) -> Hypotheses:
    return eprocess.hypotheses(test.margin, eprocess.FAILING if test.metric.buckets is None else eprocess.SLOW)


def read(test: Test, known: TestState) -> State | None:
    """What a status holds of a test; None when that is nothing that can be read."""
    state = unpack(known.state)
    counts_edges = test.metric.buckets is not None
    if state is None or (not state.channels and not counts_edges):
        return None
    return state


def _evidence(state: State, stages: int) -> list[float]:
    """Logarithm of every channel's e-value."""
    idle = eprocess.idle_weight(state.begun, stages)
    return [eprocess.log_evidence(ch, idle) for ch in state.channels]


def _shown(state: State, h: Hypotheses, stages: int, logs: list[float] | None = None) -> Shown | None:
    """The counts a person is shown; None while nothing is tested yet. `logs` are those of `_evidence`, if known."""
    if not state.channels:
        return None
    ch = state.channels[0]
    if len(state.channels) > 1:
        found = logs or _evidence(state, stages)
        ch = state.channels[found.index(max(found))]
    run, now, before = ch.stage if state.begun == 1 else ch.run, state.requests[:2], state.requests[2:]
    each = -math.log(len(state.channels))
    first = each + math.log(eprocess.FIRST)
    late = eprocess.later_weight(state.begun - 1, stages) if state.begun > 1 else 0.0
    if late > 0 and eprocess.mixed(h, ch.stage) > max(0.0, first - each - math.log(late) + eprocess.mixed(h, run)):
        return Shown(ch.edge, ch.stage[0], now[0], ch.stage[1], now[1], ch.stage, each + math.log(late))
    return Shown(ch.edge, run[0], now[0] + before[0], run[1], now[1] + before[1], run, first)


def _begin(test: Test, by: Setting) -> State:
    counts_edges = test.metric.buckets is not None
    h = _hypotheses(test)
    return State(_seconds(by.stage_at), channels=() if counts_edges else (eprocess.channel(h),))


def _seconds(at: datetime) -> int:
    return int(at.timestamp()) & 0xFFFFFFFF


def _add(test: Test, state: State, window: Window, around: Sequence[Window], by: Setting) -> tuple[State, bool]:
    """The state after one window, and whether its evidence may have moved; `around` as `apart.around` has it."""
    h = _hypotheses(test)
    if state.stage_at != _seconds(by.stage_at) and window.end > by.stage_at:
        state = _begin_stage(state, h, by)
    if not state.channels:
        return _note(_choose(test, h, state, window), Seen.WARMING), False
    if by.warm_from and by.warm_until and by.warm_from < window.end and window.end - window.length < by.warm_until:
        return _note(state, Seen.WARMING), False
    numbers = _numbers(state.channels, window)
    if numbers is None:
        return _note(state, Seen.VOID), False
    if numbers.canary <= 0 or numbers.stable <= 0:
        return _note(state, Seen.RESTED), False
    spread = by.spread * (_MINUTE / window.length)
    if window.apart and (spoilt := _spoilt(test, state.channels, around, spread)) is not None:
        return _note(state, spoilt), False
    stratum = eprocess.stratum(h, numbers.canary, numbers.stable, spread)
    channels = tuple(
        [
            eprocess.observe(ch, h, stratum, canary, stable)
            for ch, (canary, stable) in zip(state.channels, numbers.bad, strict=True)
        ]
    )
    was = state.requests
    requests = array("f", [was[0] + numbers.canary, was[1] + numbers.stable, was[2], was[3]])
    in_a_row = _in_a_row(state, Seen.COUNTED)
    counted = State(state.stage_at, state.begun, Seen.COUNTED, in_a_row, requests, state.candidates, channels)
    return counted, any(canary + stable > 0 for canary, stable in numbers.bad)


def _spoilt(test: Test, channels: Sequence[Channel], around: Sequence[Window], spread: float) -> Seen | None:
    """What makes a window void among these: stable's level is not known in all of them, or moved; else None."""
    bad: list[list[float]] = []
    total: list[float] = []
    for one in around:
        found = None if isinstance(one.stable, Missing) else _bad(channels, one.stable)
        if isinstance(one.stable, Missing) or found is None:
            return Seen.VOID
        bad.append(found)
        total.append(one.stable.total)
    variance = apart.tolerated(spread, test.margin)
    if not bad:
        return Seen.VOID
    return None if apart.stands_still([*zip(*bad, strict=True)], total, variance) else Seen.MOVED


def _note(state: State, seen: Seen) -> State:
    in_a_row = _in_a_row(state, seen)
    return State(state.stage_at, state.begun, seen, in_a_row, state.requests, state.candidates, state.channels)


def _in_a_row(state: State, seen: Seen) -> int:
    same = state.last is seen or (state.last.void and seen.void)
    return min(state.in_a_row + 1, _MOST_IN_A_ROW) if same else 1


def _begin_stage(state: State, h: Hypotheses, by: Setting) -> State:
    """Another part of the mixture begins, unless as many have begun as were planned."""
    weight = eprocess.later_weight(state.begun, by.stages)
    if weight <= 0:
        return state._replace(stage_at=_seconds(by.stage_at))
    n = state.requests
    return state._replace(
        stage_at=_seconds(by.stage_at),
        begun=state.begun + 1,
        requests=array("f", [0.0, 0.0, n[0] + n[2], n[1] + n[3]]),
        channels=tuple(eprocess.begin_again(ch, h, weight) for ch in state.channels),
    )


def _choose(test: Test, h: Hypotheses, state: State, window: Window) -> State:
    """Adds stable's part of the window to what edges are chosen by; the test begins with the window after."""
    stable = window.stable
    if not isinstance(stable, Buckets) or not _counts(stable.at_or_below.values(), stable.total):
        return state
    candidates = edges.add_window(state.candidates, stable.at_or_below, stable.total)
    if candidates is None or candidates.total < edges.ENOUGH:
        return state._replace(candidates=candidates)
    chosen = edges.choose(candidates, test.wanted, 1 - (test.metric.quantile or 0.95))
    return state._replace(candidates=None, channels=tuple(eprocess.channel(h, edge) for edge in chosen))


def _numbers(channels: Sequence[Channel], window: Window) -> _Numbers | None:
    """The window as numbers; None when it cannot be known what they are."""
    canary, stable = window.canary, window.stable
    if isinstance(canary, Missing) or isinstance(stable, Missing):
        return None
    ours, theirs = _bad(channels, canary), _bad(channels, stable)
    if ours is None or theirs is None:
        return None
    return _Numbers(canary.total, stable.total, tuple(zip(ours, theirs, strict=True)))


def _bad(channels: Sequence[Channel], side: Counts | Buckets) -> list[float] | None:
    """Bad events of one role per channel; None when they are no counts, or an edge is not among them."""
    if isinstance(side, Counts):
        fits = len(channels) == 1 and channels[0].edge == 0
        return [side.bad] if fits and _counts((side.bad,), side.total) else None
    counts = edges.by_edge(side.at_or_below)
    found = [counts.get(ch.edge) for ch in channels]
    known = [count for count in found if count is not None]
    if len(known) < len(channels):
        between = [count_between(counts, side.total, ch.edge) for ch in channels]
        known = [count for count in between if count is not None]
    if len(known) < len(channels) or not _counts(known, side.total):
        return None
    return [side.total - count for count in known]


def _counts(parts: Iterable[float], total: float) -> bool:
    """Whether these are events out of a total: nothing negative, nothing endless, no part above the whole."""
    return 0 <= total <= MOST_EVENTS and all(0 <= part <= total for part in parts)


def _e_value(test: Test, state: State, logs: list[float]) -> float:
    """The mean of the e-values of all channels; one with too few bad events of canary adds nothing."""
    if not state.channels:
        # A histogram without an edge to compare at shows nothing.
        return 1.0
    enough = [
        math.exp(min(log, _MOST_LOG))
        for ch, log in zip(state.channels, logs, strict=True)
        if ch.stage[0] + ch.before[0] >= test.min_events
    ]
    return min(sum(enough) / len(state.channels), MOST_EVIDENCE)


def _estimate(test: Test, h: Hypotheses, speaks: Shown, e: float) -> dict[str, float | None]:
    """The ratio and its confidence interval. What the test rejects is outside the interval, whatever it shows."""
    low, high = eprocess.interval(h, speaks.sums, math.log(test.limit) - speaks.log_weight)
    if e >= test.limit:
        low = max(low or 0.0, test.margin)
    if low is not None and high is not None and high <= low:
        high = None
    return {"ratio": eprocess.ratio(speaks.sums), "low": low, "high": high}
