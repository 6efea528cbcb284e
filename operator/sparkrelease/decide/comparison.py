"""The comparison of canary with stable, and legs of kind sequential: what their tests say, and the sentence for it.

The tests themselves are in `stats.eprocess`, what they count in `counting`. Nothing here is written while no window
ends; a crash loses at most what no status write has kept, and those windows are asked for again, because the end of
the last one counted is kept together with what was counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sparkrelease.api.comparison import Comparison, ComparisonTest
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict, TestState, Verdict
from sparkrelease.api.triggers import Leg, LegKind, Trigger
from sparkrelease.decide.answers import late
from sparkrelease.decide.apart import last_known
from sparkrelease.decide.counting import Counted, Setting, Shown, Test, advance, look
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.resolve import ResolvedSpec, per_spec
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.stats.packing import Seen
from sparkrelease.decide.verdicts import remember, said

KIND = "comparison"

MARGIN = 1.25
"""How many times worse canary may be where nothing is said."""

_PARTS = {False: 3, True: 1}
"""Parts of the alpha by whether a test counts slow events: of those there are many, so its share costs it less time."""

_ALPHA = 0.01
"""Of a sequential leg that names none."""

_REQUESTS_PER_EVENT = 30
"""Canary requests per event of minEvents before a test that found nothing is a pass: by then, had a tenth of them
failed, enough bad events would have been seen with 99 %."""

_VOID_FOR_LONG = 4
"""Void windows in a row after which the test says that it has no data; one alone is a pod that was replaced."""


def rule_name(metric: str) -> str:
    """Name of the comparison's verdict on a metric."""
    return f"{KIND}/{metric}"


def compare(d: Draft) -> RuleVerdict | None:
    """Counts new windows for every test of the comparison and says what it shows; answers a verdict that is Fail.

    Puts the tests' states and verdicts into the status, and leaves both alone while no window has ended.
    """
    comparison = d.spec.comparison
    if comparison is None or not comparison.tests or d.run is None:
        return None
    before = {v.rule: v for v in d.status.verdicts if v.kind == KIND}
    verdicts = [_compare(d, item, before.get(rule_name(item.metric))) for item in comparison.tests]
    news = [v for v in verdicts if before.get(v.rule) is not v]
    if news:
        remember(d, news)
    return next((v for v in verdicts if v.verdict is Verdict.FAIL), None)


def _compare(d: Draft, item: ComparisonTest, old: RuleVerdict | None) -> RuleVerdict:
    known = _known(d, item.metric)
    last = last_known(d.facts.windows.get(item.metric, ()))
    test, begin = _tests(d.spec)[item.metric], f"{item.metric}: "
    if last is None or (known and known.counted_until and last.end <= known.counted_until):
        unheard = _unheard(d, test, known, begin)
        if unheard is not None:
            return said(rule_name(item.metric), KIND, unheard, None, old)
        if old is not None:
            return old
    judgement = _judge(test, _counted(d, test, known), begin, " -> rollback")
    return said(rule_name(item.metric), KIND, judgement, None, old)


def sequential(d: Draft, trigger: Trigger, index: int, leg: Leg) -> Judgement:
    """What a sequential leg shows: Fail once canary is worse than margin times stable, by a test of its own alpha."""
    test, begin = _tests(d.spec)[f"{trigger.name}/{index}"], f"{trigger.name}: {leg.metric}: "
    known = _known(d, test.name)
    unheard = None if d.facts.windows.get(leg.metric) else _unheard(d, test, known, begin)
    return unheard or _judge(test, _counted(d, test, known), begin, "")


def _unheard(d: Draft, test: Test, known: TestState | None, begin: str) -> Judgement | None:
    """That windows do not come, where none came for long; void ones are windows, too."""
    run = d.run
    if run is None:
        return None
    last = known.counted_until if known is not None and known.counted_until is not None else run.started_at
    if d.now - last <= (_VOID_FOR_LONG + 1) * test.metric.every + late(d.facts.tick):
        return None
    text = f"{begin}no window has come since {last.astimezone(UTC):%H:%M:%S} UTC"
    return Judgement(Verdict.NO_DATA, Reason.WINDOW_VOID, str(Reason.WINDOW_VOID), text)


def without_a_window(d: Draft) -> str | None:
    """The metric of a test that has had nothing but void windows in this run, or none; None when there is none."""
    tests = d.spec.comparison.tests if d.spec.comparison is not None else ()
    return next((test.metric for test in tests if _nothing_yet(d, test.metric)), None)


def _nothing_yet(d: Draft, metric: str) -> bool:
    known = _known(d, metric)
    return known is None or (not known.windows and known.voided > 0)


def first_windows(d: Draft, rule: str) -> bool:
    """Whether a test's NoData is of its first few windows: a canary that has just got requests has no series yet."""
    known = next((s for s in d.status.tests if rule in {rule_name(s.metric), s.metric.rpartition("/")[0]}), None)
    return known is not None and not known.windows and 0 < known.voided < _VOID_FOR_LONG


@per_spec
def _tests(spec: ResolvedSpec) -> Mapping[str, Test]:
    """Every test by its name: the comparison's, and those of legs of kind sequential."""
    found: dict[str, Test] = {}
    for item in spec.comparison.tests if spec.comparison else ():
        metric, limit = spec.metric(item.metric), 1 / alpha_of(spec, spec.comparison or Comparison(), item)
        wanted = _wanted(spec, item.metric)
        found[item.metric] = Test(item.metric, metric, item.margin or MARGIN, limit, item.min_events, wanted)
    for trigger in spec.triggers:
        for place, leg in enumerate(trigger.all):
            if leg.kind is LegKind.SEQUENTIAL:
                name, metric, limit = f"{trigger.name}/{place}", spec.metric(leg.metric), 1 / (leg.alpha or _ALPHA)
                wanted = _wanted(spec, leg.metric)
                found[name] = Test(name, metric, leg.margin or MARGIN, limit, leg.min_events, wanted)
    return found


def alpha_of(spec: ResolvedSpec, comparison: Comparison, item: ComparisonTest) -> float:
    """A test's part of the comparison's alpha: the parts add up to it."""
    parts = {test.metric: _PARTS[spec.metric(test.metric).buckets is not None] for test in comparison.tests}
    return comparison.alpha * parts[item.metric] / sum(parts.values())


def _wanted(spec: ResolvedSpec, metric: str) -> tuple[float, ...]:
    """Edges that rules of this metric look at."""
    limits = [t.max for t in spec.thresholds if t.metric == metric]
    limits += [leg.value for t in spec.triggers for leg in t.all if leg.metric == metric]
    return tuple(sorted({limit for limit in limits if limit is not None and limit > 0}))


def _known(d: Draft, name: str) -> TestState | None:
    """The test's state; None when it is of another run, or has counted nothing."""
    run = d.run
    known = next((state for state in d.status.tests if state.metric == name), None)
    if run is None or known is None or known.counted_until is None or known.counted_until <= run.started_at:
        return None
    return known


def _counted(d: Draft, test: Test, known: TestState | None) -> Counted | None:
    """The test with all windows counted, put into the status where there was a new one."""
    run, stage = d.run, d.status.stage
    windows = d.facts.windows.get(test.metric.name, ())
    found = None
    if run is not None and stage is not None and windows:
        spread = next((b.spread for b in d.status.baselines if b.metric == test.metric.name), 0.0)
        rose, warm = d.status.weight.changed_at, _warm_until(d)
        by = Setting(run.started_at, stage.entered_at, len(d.spec.stages), rose, warm, max(spread, 0.0))
        found = advance(test, known, windows, by)
    if found is None:
        return look(test, known, len(d.spec.stages)) if known is not None else None
    names = [state.metric for state in d.status.tests]
    place = names.index(test.name) if test.name in names else len(names)
    d.put(tests=(*d.status.tests[:place], found.kept, *d.status.tests[place + 1 :]))
    return found


def _warm_until(d: Draft) -> datetime | None:
    changed = d.status.weight.changed_at
    warmup = (d.spec.comparison or Comparison()).warmup
    return changed + warmup if changed is not None and warmup else None


# ---------------------------------------------------------------- what evidence keeps


def told_tests(d: Draft) -> dict[str, object]:
    """By the name of each test that has counted in this run, what it knows and by which terms, for evidence."""
    verdicts = {v.rule: v.verdict.value for v in d.status.verdicts if v.kind == KIND}
    spreads = {b.metric: b.spread for b in d.status.baselines}
    found: dict[str, object] = {}
    for name, test in _tests(d.spec).items():
        known = _known(d, name)
        if known is not None and known.counted_until is not None:
            found[name] = {
                "metric": test.metric.name,
                **({"verdict": verdicts[rule_name(name)]} if rule_name(name) in verdicts else {}),
                **_told_sides(look(test, known, len(d.spec.stages))),
                "margin": test.margin,
                "alpha": 1 / test.limit,
                "eValue": known.e,
                "p": min(1.0, 1 / known.e) if known.e > 0 else 1.0,
                "ratio": known.ratio,
                "ci": [known.low, known.high],
                "s2": max(spreads.get(test.metric.name, 0.0), 0.0),
                "windowEnd": known.counted_until.astimezone(UTC).isoformat(),
                "windowSeconds": test.metric.every.total_seconds(),
                "windows": known.windows,
                "voided": known.voided,
            }
    return found


def _told_sides(counted: Counted | None) -> dict[str, object]:
    """The counts that the sentence has."""
    seen = counted.shown if counted is not None else None
    if seen is None:
        return {}
    return {
        "canary": {"bad": seen.canary_bad, "total": seen.canary},
        "stable": {"bad": seen.stable_bad, "total": seen.stable},
        **({"slowerThan": float(f"{seen.edge:.6g}")} if seen.edge else {}),  # it is kept as float32
    }


# ---------------------------------------------------------------- what people read


_MOVED = ", because stable's level moves and the roles are scraped at different moments"


def _judge(test: Test, counted: Counted | None, begin: str, end: str) -> Judgement:
    if counted is None:
        return _waits(Reason.INSUFFICIENT_TRAFFIC, f"{begin}no window has been counted yet")
    known, state, seen = counted.kept, counted.state, counted.shown
    if seen is None:
        return _waits(Reason.WARMING_UP, f"{begin}too few stable events yet to choose the edges compared")
    facts = f"{begin}{_sides(test, seen)}"
    value = f"{_percent(seen.canary_bad, seen.canary)} vs {_percent(seen.stable_bad, seen.stable)}"
    if known.e >= test.limit:
        text = f"{facts}; worse than {test.margin:g}x stable, anytime p={min(1.0, 1 / known.e):.1g}{end}"
        return Judgement(Verdict.FAIL, Reason.WORSE_THAN_STABLE, value, text)
    if state.last.void and (state.in_a_row >= _VOID_FOR_LONG or not known.windows):
        text = f"{facts}; the last {state.in_a_row} windows are void{_MOVED if state.last is Seen.MOVED else ''}"
        return Judgement(Verdict.NO_DATA, Reason.WINDOW_VOID, value, text)
    if state.last is Seen.WARMING and not known.windows:
        return _waits(Reason.WARMING_UP, f"{begin}the weight has just risen")
    least = _REQUESTS_PER_EVENT * test.min_events
    if sum(state.requests[::2]) < least:
        return Judgement(
            Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC, value, f"{facts}; fewer than {least} canary events"
        )
    rests = "; rests, because one role gets no requests" if state.last is Seen.RESTED else ""
    text = f"{facts}; {_estimate(known)}not worse than {test.margin:g}x stable as far as is known{rests}"
    return Judgement(Verdict.PASS, Reason.NOT_WORSE, value, text)


def _waits(reason: Reason, text: str) -> Judgement:
    return Judgement(Verdict.INCONCLUSIVE, reason, str(reason), text)


def _sides(test: Test, seen: Shown) -> str:
    """`canary 2.1% (11/524) vs stable 0.10% (52/51876)`."""
    canary = f"canary {_percent(seen.canary_bad, seen.canary)} ({seen.canary_bad:.0f}/{seen.canary:.0f})"
    stable = f"stable {_percent(seen.stable_bad, seen.stable)} ({seen.stable_bad:.0f}/{seen.stable:.0f})"
    slower = f" slower than {seen.edge:.4g}{test.metric.unit or ''}" if test.metric.buckets else ""
    return f"{canary} vs {stable}{slower}"


def _percent(bad: float, total: float) -> str:
    """Two digits that count: `2.1%`, `0.10%`, `35%`."""
    if bad <= 0 or total <= 0:
        return "0%"
    percent = 100 * bad / total
    return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:#.2g}%"  # noqa: PLR2004 - rounds to two digits


def _estimate(known: TestState) -> str:
    """`1.1x stable (0.6x to 2.4x), `, as far as it is known."""
    if known.ratio is None:
        return ""
    ratio = f"{known.ratio:.2g}x stable"
    if known.low is None:
        return f"{ratio}, " if known.high is None else f"{ratio} (up to {known.high:.2g}x), "
    above = f"at least {known.low:.2g}x" if known.high is None else f"{known.low:.2g}x to {known.high:.2g}x"
    return f"{ratio} ({above}), "
