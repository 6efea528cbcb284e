"""Burn rates of the watch: how many times faster than its objective allows canary spends the error budget.

Source: The Site Reliability Workbook, chapter 5, multiwindow, multi-burn-rate alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import BURN_WINDOWS, BurnWindow
from sparkrelease.decide.facts import Counts, MetricFacts, Missing, Reading, SpanAsk
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rules import Judgement, missing_verdict, show

BURN = "burn"
_LEAST_BAD = 5
"""Bad events in the long window; without it one failed request of a quiet canary burns like a fire."""


def burn_factors(spec: ResolvedSpec) -> dict[str, float]:
    """By the name of each burn rate's rule, how many times too fast it may be; none where none is asked for."""
    return {_rule(pair): pair.factor for pair in BURN_WINDOWS} if spec.burn_metric is not None else {}


def burn_asks(spec: ResolvedSpec) -> Iterable[SpanAsk]:
    """Both windows of each burn rate."""
    burn, metric = spec.watch.burn_rates if spec.watch is not None else None, spec.burn_metric
    if burn is None or metric is None:
        return
    allowed = Threshold(name=BURN, metric=metric, max=1 - burn.objective)
    for length in dict.fromkeys(length for pair in BURN_WINDOWS for length in (pair.long, pair.short)):
        yield SpanAsk(_window(length), allowed, length, whole=True)


def judge_burns(spec: ResolvedSpec, spans: Mapping[str, MetricFacts]) -> dict[str, Judgement]:
    """Each pair of windows: Fail when both burn faster than its factor. `spans` by the names of `burn_asks`."""
    burn, name = spec.watch.burn_rates if spec.watch is not None else None, spec.burn_metric
    if burn is None or name is None:
        return {}
    metric, allowed = spec.metric(name), 1 - burn.objective
    found = {}
    for pair in BURN_WINDOWS:
        windows = {length: answer(spans, _window(length)) for length in (pair.long, pair.short)}
        found[_rule(pair)] = _judge(_rule(pair), metric, windows, (pair.factor, allowed))
    return found


def answer(spans: Mapping[str, MetricFacts], name: str) -> Reading:
    """What canary answered for a span."""
    facts = spans.get(name)
    return facts.canary if facts is not None else Missing(Reason.NO_DATA, "not answered")


def _rule(pair: BurnWindow) -> str:
    return f"burn rate {format_duration(pair.long)}"


def _window(length: timedelta) -> str:
    return f"{BURN}/{format_duration(length)}"


def _judge(rule: str, metric: Metric, windows: dict[timedelta, Reading], limits: tuple[float, float]) -> Judgement:
    factor, allowed = limits
    counts = {length: one for length, one in windows.items() if isinstance(one, Counts) and one.total > 0}
    rates = {length: one.bad / one.total / allowed for length, one in counts.items()}
    told = " and ".join(f"{rate:.3g}x over {format_duration(length)}" for length, rate in rates.items())
    text = f"{rule}: {metric.name} burns {told}"
    if any(rate <= factor for rate in rates.values()):
        return Judgement(Verdict.PASS, Reason.WITHIN_LIMIT, told, text)
    missing = next((one for one in windows.values() if isinstance(one, Missing)), None)
    if missing is not None:
        return Judgement(missing_verdict(missing), missing.reason, "", f"{rule}: {metric.name}: {missing.message}")
    long = counts.get(max(windows))
    if len(counts) < len(windows) or long is None or long.bad < _LEAST_BAD:
        few = f"{rule}: {metric.name}: fewer than {_LEAST_BAD} bad events, or no request in one of the windows"
        return Judgement(Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC, told, few)
    return Judgement(Verdict.FAIL, Reason.OVER_LIMIT, told, f"{text}, over {factor:g}x; {show(metric, long)}")
