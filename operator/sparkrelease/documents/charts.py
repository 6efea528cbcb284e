"""The charts of a run: canary's weight over time, and each metric with its limits, on the stages as a background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sparkrelease.api.metrics import Metric
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.facts import MetricFacts, Role
from sparkrelease.documents.drawing import Frame, Point, framed, line, stairs, thinned
from sparkrelease.documents.record import Run
from sparkrelease.documents.results import limits_of, number
from sparkrelease.documents.view import View
from sparkrelease.documents.visits import Visit, weights_of
from sparkrelease.documents.words import clock, given, seconds, span, value

_OFF = 3.0
"""A trigger's limit this many times above everything else is told in words: drawn, it would flatten the lines."""

_ROOM = 1.12
_LETTER = 6.2
"""Width of a letter in a chart, for what has room."""


_LABEL_HEIGHT = 13.0
_MOST_SHARES, _MOST_STEPS, _MOST_BANDS = 100, 200, 60
"""What a picture shows of a run without end."""

_NARROWEST = 2.0
"""Width of a stage's background below which nobody sees it."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place along an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Band:
    """A stage behind the lines; the text is empty where it has no room."""

    x: float
    width: float
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as a line across. `kind` is `threshold` or `trigger`."""

    y: float
    kind: str
    text: str
    label: str
    """What is written at the line; empty where another one's label stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """Path data of one role, or of the weight; `kind` names its look."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One reading; the text says all of it."""

    x: float
    y: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, as a line from bottom to top."""

    x: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture, ready to be written down. `name` is the metric's, `note` what the picture cannot show."""

    name: str
    frame: Frame
    bands: tuple[Band, ...]
    times: tuple[Label, ...]
    values: tuple[Label, ...]
    limits: tuple[Limit, ...]
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    marks: tuple[Mark, ...]
    note: str = ""
    latest: str = ""
    """Canary's last value, in words."""
    verdict: str = ""
    """What the metric's objective came to last."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time a run's charts show: from its start to its promotion or its end, the way back if it is not far."""

    start: datetime
    end: datetime
    cut: bool

    def seconds(self, at: datetime) -> float:
        """Seconds since the start."""
        return (at - self.start).total_seconds()

    @property
    def length(self) -> float:
        """Seconds from start to end."""
        return max(self.seconds(self.end), 1.0)


def timeline_of(run: Run) -> Timeline:
    """A promoted run may wait for days until it is settled, and its stages must not shrink to a line for that."""
    ending = run.ending
    whole = ending.at if ending is not None else run.last_at
    stages = run.promoted_at or whole
    far = stages + (stages - run.started_at)
    return Timeline(run.started_at, whole, cut=False) if whole <= far else Timeline(run.started_at, stages, cut=True)


# ---------------------------------------------------------------- the weight


def weight_chart(view: View, *, width: float, height: float) -> Chart:
    """Canary's weight in steps, with the shares that requests showed."""
    run = view.run
    time = timeline_of(run)
    steps = [(time.seconds(at), weight) for at, weight in weights_of(run) if at <= time.end]
    most = max([weight for _, weight in steps], default=100.0)
    high = 100.0 if most > 50 else most * _ROOM  # noqa: PLR2004 - above half, the whole is the scale
    frame = framed(width, height, (0, time.length), (0, max(high, 1.0)), left=44)
    dots = [
        Dot(frame.x.at(time.seconds(at)), frame.y.at(share), "share", f"{clock(at)} UTC: {share:.3g} % of requests")
        for at, share in _shares(run)
        if at <= time.end
    ]
    return Chart(
        name="canary weight",
        frame=frame,
        bands=_bands(view, time, frame),
        times=_times(frame),
        values=tuple(Label(frame.y.at(one), f"{one:g} %") for one in frame.y.ticks()),
        limits=(),
        lines=(Line("weight", stairs(frame, _ends(steps, _MOST_STEPS), time.length)),),
        dots=tuple(_ends(dots, _MOST_SHARES)),
        marks=_marks(view, time, frame),
        note="The way back to stable came later and is not drawn." if time.cut else "",
    )


def _shares(run: Run) -> Iterator[tuple[datetime, float]]:
    """Shares of requests canary really got, in percent, as decisions saw them."""
    last: datetime | None = None
    for decision in run.decisions:
        facts = decision.inputs.facts if decision.inputs is not None else None
        # Copies are no share of the users' requests.
        share = facts.share if facts is not None and not facts.route.mirror else None
        if share is not None and share.canary + share.stable > 0 and share.at != last:
            last = share.at
            yield share.at, 100 * share.canary / (share.canary + share.stable)


def _bands(view: View, time: Timeline, frame: Frame) -> tuple[Band, ...]:
    found: list[Band] = []
    for visit in view.visits:
        begin = frame.x.at(time.seconds(visit.entered_at))
        end = frame.x.at(time.seconds(visit.left_at or time.end))
        unseen = end - begin < _NARROWEST or visit.entered_at >= time.end
        if unseen and found:
            continue
        room = end - begin > _LETTER * len(visit.name) + 6
        found.append(Band(begin, max(end - begin, 0.0), visit.name if room else "", _band_title(visit)))
    return tuple(_ends(found, _MOST_BANDS))


def _band_title(visit: Visit) -> str:
    return f"{visit.name}: canary {given(visit.weight, visit.mirror)}"


def _times(frame: Frame) -> tuple[Label, ...]:
    return tuple(Label(frame.x.at(at), span(timedelta(seconds=at)) if at else "0") for at in frame.x.times())


def _marks(view: View, time: Timeline, frame: Frame) -> tuple[Mark, ...]:
    rollback = view.rollback
    if rollback is None:
        return ()
    text = f"{clock(rollback.decided_at)} UTC: rolled back by {rollback.rule}, {seconds(rollback.seconds)} to the route"
    return (Mark(frame.x.at(time.seconds(rollback.decided_at)), "rollback", text),)


# ---------------------------------------------------------------- metrics


def metric_charts(view: View, *, size: tuple[float, float], points: int) -> tuple[Chart, ...]:
    """A chart for each metric that was read; `size` is width and height, with at most so many points a line."""
    time = timeline_of(view.run)
    found = (_metric_chart(view, metric, time, size, points) for metric in view.run.spec.metrics)
    return tuple(chart for chart in found if chart is not None)


def _metric_chart(view: View, metric: Metric, time: Timeline, size: tuple[float, float], most: int) -> Chart | None:
    run = view.run
    seen = [facts for facts in _readings(run, metric.name) if run.started_at <= facts.at <= time.end]
    canary, stable = _points(metric, seen, time, Role.CANARY), _points(metric, seen, time, Role.STABLE)
    judged = [(visit, one) for visit in view.visits for one in visit.results if one.metric == metric.name]
    known = [number for _, number in (*canary, *stable) if number is not None]
    known += [one.number for _, one in judged if one.number is not None]
    if not known:
        return None
    limits, note = _limits(run, metric, known)
    span_of = [*known, *(limit for _, _, limit in limits)]
    high, low = max(span_of), min(0.0, *span_of)
    frame = framed(*size, (0, time.length), (low, low + (high - low) * _ROOM or 1.0), left=52)
    dots = [
        Dot(
            frame.x.at(time.seconds(visit.left_at or time.end)),
            frame.y.at(one.number),
            one.verdict.value,
            f"{visit.name}: {one.threshold} {one.verdict}, {value(metric, one.number)} over the stage",
        )
        for visit, one in judged
        if one.number is not None and one.whole_stage
    ]
    return Chart(
        name=metric.name,
        frame=frame,
        bands=tuple(replace(band, text="") for band in _bands(view, time, frame)),
        times=_times(frame),
        values=tuple(Label(frame.y.at(tick), value(metric, tick)) for tick in frame.y.ticks()),
        limits=_labelled([Limit(frame.y.at(limit), kind, text, text) for kind, text, limit in limits]),
        lines=tuple(
            Line(kind, line(frame, thinned(points, most)))
            for kind, points in (("stable", stable), ("canary", canary))
            if any(number is not None for _, number in points)
        ),
        dots=tuple(_ends(dots, most)),
        marks=_marks(view, time, frame),
        note=note,
        latest=value(metric, next((number for _, number in reversed(canary) if number is not None), None)),
        verdict=judged[-1][1].verdict.value if judged else "",
    )


_Item = TypeVar("_Item")


def _ends(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    """The first and the last ones, where there are too many to be seen."""
    return items if len(items) <= most else [*items[: most // 2], *items[-(most // 2) :]]


def _labelled(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """The limits without the labels that would stand on another one."""
    taken: list[float] = []
    found = []
    for limit in limits:
        free = all(abs(limit.y - other) >= _LABEL_HEIGHT for other in taken)
        found.append(limit if free else replace(limit, label=""))
        taken += [limit.y] if free else []
    return tuple(found)


def _readings(run: Run, metric: str) -> Iterator[MetricFacts]:
    last: datetime | None = None
    for decision in run.decisions:
        facts = decision.inputs.facts.metrics.get(metric) if decision.inputs is not None else None
        if facts is not None and facts.at != last:
            last = facts.at
            yield facts


def _points(metric: Metric, seen: Sequence[MetricFacts], time: Timeline, role: Role) -> list[Point]:
    sides = ((facts.at, facts.canary if role is Role.CANARY else facts.stable) for facts in seen)
    return [(time.seconds(at), number(metric, reading)) for at, reading in sides]


def _limits(run: Run, metric: Metric, known: Sequence[float]) -> tuple[list[tuple[str, str, float]], str]:
    """Limits to draw as (kind, text, number), and in words those that lie too far off."""
    drawn = [
        ("threshold", f"{threshold.name}: {sign} {value(metric, limit)}", limit)
        for threshold in run.spec.thresholds
        if threshold.metric == metric.name
        for sign, limit in limits_of(run, threshold)
    ]
    top = max([*(abs(number) for number in known), *(abs(limit) for _, _, limit in drawn)])
    far: list[str] = []
    for trigger in run.spec.triggers:
        for leg in trigger.all:
            if leg.metric != metric.name or leg.kind is not LegKind.THRESHOLD or leg.value is None:
                continue
            text = f"{trigger.name} ({trigger.action}): {leg.comparator} {value(metric, leg.value)}"
            if abs(leg.value) <= _OFF * top:
                drawn.append(("trigger", text, leg.value))
            else:
                far.append(text)
    return drawn, f"Off the chart: {'; '.join(far)}." if far else ""
