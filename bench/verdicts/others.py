"""Runs of other tools' rules, and of the oracle. Every rule's decision reaches the requests one scrape late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.verdicts.cells import ALPHA_OF_ERRORS, BASE_ERRORS, SCRAPE, STAGES, Cell, Variant
from bench.verdicts.peers import alerts, argo, flagger, kayenta, oracle
from bench.verdicts.streams import PER_MINUTE, SCRAPES, Floats, Ints, Seen, Service, schedule
from sparkrelease.decide.comparison import MARGIN

LAG = 1
NEVER = SCRAPES

ARGO_DOCS, ARGO_TUNED = "Argo Rollouts, documented", "Argo Rollouts, tuned"
KAYENTA, ALERTS, ORACLE = "Kayenta", "two triggers alone", "oracle"
TOLERANT = "oracle with the margin"
"""It knows as much and tolerates as much as SparkRelease's test, with the alpha that test has."""

FLAGGER_1, FLAGGER_5, FLAGGER_10 = "Flagger, threshold 1 (default)", "Flagger, threshold 5", "Flagger, threshold 10"
FLAGGER_TUTORIAL = "Flagger, tutorial"
FLAGGERS = (FLAGGER_1, FLAGGER_5, FLAGGER_10, FLAGGER_TUTORIAL)
RULES = (ARGO_DOCS, ARGO_TUNED, KAYENTA, ALERTS, *FLAGGERS, TOLERANT, ORACLE)

ORACLE_RUNS = 300
"""Runs of the oracles at least. All others are measured by them, and medians of whole requests leap: of a few runs, an
oracle that loses 2.7 requests on average has a median of two or of three."""

_DELAY = 60.0
"""Argo's `initialDelay`. Without it five empty answers in the first 40 s abort a canary that had no request yet."""


@dataclass(frozen=True)
class Run:
    """What came of one run: seconds from the harm to the decision (None: never), and requests canary lost.

    `lasted` is how long it took to its end, in seconds; of our own rules alone.
    """

    after: float | None
    failed: int
    requests: int
    rule: str = ""
    sentence: str = ""
    lasted: float = 0.0


def try_others(cell: Cell, variant: Variant, runs: int) -> dict[str, list[Run]]:
    """Every rule of others in one cell."""
    service = Service(cell, variant.edges, runs, variant.seed)
    weights = schedule()
    canary, stable = service.record(weights, canary=True), service.record(weights, canary=False)
    found = {name: _told(service, canary, stops) for name, stops in _scheduled(service, canary, stable)}
    if not cell.harmless:
        found |= _oracles(Service(cell, variant.edges, max(runs, ORACLE_RUNS), variant.seed))
    for name, analysis in _ANALYSES.items():
        found[name] = _flagger(Service(cell, variant.edges, runs, variant.seed + 1), analysis)
    return found


def _scheduled(service: Service, canary: Seen, stable: Seen) -> Iterator[tuple[str, Ints]]:
    """The scrape at which each rule that does not move the weight itself goes back."""
    minute = canary.over(PER_MINUTE)
    ratio, p95 = minute.ratio(), minute.quantile(0.95, service.edges)
    yield ARGO_DOCS, _argo(argo.DOCUMENTED, (1 - canary.ratio(),))
    yield ARGO_TUNED, _argo(argo.TUNED, (1 - ratio, p95))
    yield KAYENTA, _kayenta(service, minute, stable.over(PER_MINUTE))
    yield ALERTS, _alerts((ratio, p95))


def _oracles(service: Service) -> dict[str, list[Run]]:
    canary = service.record(schedule(), canary=True)
    found = {ORACLE: _told(service, canary, _oracle(service, canary))}
    if service.cell.scenario.errors is not None:
        found[TOLERANT] = _told(service, canary, _oracle(service, canary, MARGIN, ALPHA_OF_ERRORS))
    return found


def _told(service: Service, canary: Seen, stops: Ints) -> list[Run]:
    """What canary lost until each run's decision took effect."""
    harm = np.stack([service.begins <= scrape * SCRAPE + 1e-6 for scrape in range(SCRAPES)])
    served = np.arange(SCRAPES)[:, None] <= stops + LAG
    counted = harm & served if service.cell.scenario.harmful else served
    failed, requests = (np.where(counted, part, 0).sum(axis=0) for part in (canary.bad, canary.total))
    return [
        Run(None if stop >= NEVER else max(0.0, (stop + 1) * SCRAPE - begin), int(bad), int(total))
        for stop, begin, bad, total in zip(stops, service.begins, failed, requests, strict=True)
    ]


# ---------------------------------------------------------------- each tool


def _argo(metrics: tuple[argo.Metric, ...], values: tuple[Floats, ...]) -> Ints:
    return np.array([_argo_once(metrics, [one[:, run] for one in values]) for run in range(values[0].shape[1])])


def _argo_once(metrics: tuple[argo.Metric, ...], values: list[Floats]) -> int:
    run = argo.AnalysisRun(metrics, start=_DELAY)
    while True:
        place, metric = min(enumerate(run.metrics), key=lambda pair: pair[1].due)
        scrape = int(metric.due // SCRAPE) - 1
        if scrape >= NEVER:
            return NEVER
        value = float(values[place][scrape])
        born = not np.isnan(values[place][: scrape + 1]).all()
        metric.measure(metric.due, value if born else None)
        if run.aborts:
            return scrape


def _kayenta(service: Service, canary: Seen, stable: Seen) -> Ints:
    at = slice(PER_MINUTE - 1, None, PER_MINUTE)
    pairs = [
        (canary.ratio()[at], stable.ratio()[at]),
        (canary.quantile(0.95, service.edges)[at], stable.quantile(0.95, service.edges)[at]),
    ]
    every = int(kayenta.EVERY / kayenta.POINT)
    stops = np.full(service.runs, NEVER)
    for run in range(service.runs):
        for minutes in range(every, SCRAPES // PER_MINUTE + 1, every):
            judged = (kayenta.classify(one[:minutes, run], other[:minutes, run]) for one, other in pairs)
            if kayenta.Class.HIGH in judged:
                stops[run] = minutes * PER_MINUTE - 1
                break
    return stops


def _alerts(values: tuple[Floats, ...]) -> Ints:
    """Alerts by run length: how many evaluations in a row the value was above its limit."""
    stops = np.full(values[0].shape[1], NEVER)
    for rule, value in zip(alerts.PROTOCOL, values, strict=True):
        needed = math.ceil(rule.hold / SCRAPE) + 1
        row = np.zeros(value.shape[1], int)
        for scrape in range(SCRAPES):
            above = np.nan_to_num(value[scrape], nan=-1.0) > rule.limit
            row = np.where(above, row + 1, 0)
            stops = np.where((row >= needed) & (stops > scrape), scrape, stops)
    return stops


def _oracle(service: Service, canary: Seen, margin: float = 1.0, alpha: float = oracle.ALPHA) -> Ints:
    scenario = service.cell.scenario
    harm = np.stack([service.harmed(scrape) for scrape in range(SCRAPES)])[..., None]
    if scenario.errors is not None:
        counts = np.stack([canary.total - canary.bad, canary.bad], axis=-1)
        allowed = margin * BASE_ERRORS
        good, bad = np.array([1 - allowed, allowed]), np.array([1 - scenario.errors, scenario.errors])
    else:
        counts, good, bad = canary.boxes, service.shares(1.0), service.shares(scenario.slower)
    return oracle.first_sure(np.where(harm, counts, 0).astype(np.float64), good, bad, alpha=alpha)


_HELD = flagger.held([weight for weight, _ in STAGES], [minutes for _, minutes in STAGES])
_ANALYSES = {
    FLAGGER_1: flagger.Analysis(_HELD, flagger.BUILT_IN),
    FLAGGER_5: flagger.Analysis(_HELD, flagger.BUILT_IN, threshold=5),
    FLAGGER_10: flagger.Analysis(_HELD, flagger.BUILT_IN, threshold=10),
    FLAGGER_TUTORIAL: flagger.Analysis.stepping(10, 50, threshold=5, checks=flagger.BUILT_IN),
}


def _flagger(service: Service, analysis: flagger.Analysis) -> list[Run]:
    """Closed loop: a failed check keeps the weight, so every run has a pace of its own."""
    canaries = [flagger.Canary(analysis) for _ in range(service.runs)]
    stops = np.full(service.runs, NEVER)
    drawn: list[tuple[Ints, Ints, Ints]] = []
    before = weight = np.zeros(service.runs)
    for scrape in range(SCRAPES):
        if scrape % PER_MINUTE == 0:
            before, weight = weight, _tick(service, canaries, drawn)
            before = before if scrape else weight
            failed = np.array([canary.phase is flagger.Phase.FAILED for canary in canaries])
            stops = np.where(failed & (stops == NEVER), scrape - 1, stops)
        drawn.append(service.draw(scrape, before if scrape % PER_MINUTE < LAG else weight, canary=True))
    seen = Seen(*(np.stack(part) for part in zip(*drawn, strict=True)))
    return _told(service, seen, stops)


def _tick(
    service: Service, canaries: list[flagger.Canary], drawn: list[tuple[Ints, Ints, Ints]]
) -> npt.NDArray[np.float64]:
    """One tick of every canary, on the last minute."""
    last = drawn[-PER_MINUTE:]
    if last:
        seen = Seen(*(np.sum(part, axis=0) for part in zip(*last, strict=True)))
        values = np.stack([100 * (1 - seen.ratio()), 1000 * seen.quantile(0.99, service.edges)], axis=-1)
    else:
        values = np.full((service.runs, 2), np.nan)
    for canary, row in zip(canaries, values, strict=True):
        canary.tick([float(value) for value in row])
    return np.array([canary.weight for canary in canaries])
