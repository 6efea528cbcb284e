"""Which runs a pass consists of: the tables, the hold-out, faster scrapes, and what the defaults trade for what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from bench.verdicts.cells import (
    CONTROL,
    ERRORS,
    HEALTHY,
    HOLD_OUT,
    LATE,
    MAIN,
    SLOWER,
    Cell,
    Variant,
    bad_cells,
    healthy_cells,
    release,
    with_comparison,
)
from bench.verdicts.engine import NAME
from sparkrelease.api.comparison import Comparison
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate.scenario import Expect, Scenario, parse

CLEAN, NOISY, INCIDENT = HEALTHY
FAST = 1.0


@dataclass(frozen=True)
class Try:
    """One rule's place in one table. `others`: whether other tools are tried in the same cell."""

    section: str
    cell: Cell
    variant: Variant
    rule: str = NAME
    spec: ResolvedSpec | None = None
    scrape: float = 15.0
    others: bool = False
    part: float = 1.0
    """Share of the usual runs."""


def everything() -> Iterator[Try]:
    """Every try of a pass."""
    for cell in healthy_cells():
        yield Try("main", cell, MAIN, others=True, part=1 / 3 if cell.scenario.shared else 1.0)
    yield from (Try("main", cell, MAIN, others=True, part=1 / 4) for cell in bad_cells())
    yield from hold_out()
    yield from faster()
    yield from trade_offs()


def hold_out() -> Iterator[Try]:
    """Another seed and other buckets, nothing tuned on them."""
    for rps in (5.0, 50.0, 500.0):
        cells = [Cell(CLEAN, rps), Cell(NOISY, rps), Cell(INCIDENT, rps, control=True)]
        yield from (Try("hold-out", cell, HOLD_OUT, others=True, part=1 / 5) for cell in cells)
    for scenario in (ERRORS[0], ERRORS[2], ERRORS[4], LATE, SLOWER[1], SLOWER[3]):
        for rps in (50.0, 500.0):
            yield Try("hold-out", Cell(scenario, rps), HOLD_OUT, others=True, part=1 / 5)


def faster() -> Iterator[Try]:
    """20 % errors at 50 requests/s, scraped every second, where the release begins at this weight."""
    cell = Cell(ERRORS[4], 50.0)
    for weight in (1, 2, 5, 10, 25):
        spec = _from(weight)
        yield Try("scraped every second", cell, MAIN, f"from {weight} %", spec, FAST, part=1 / 5)


def _from(weight: int) -> ResolvedSpec:
    """The release without the stages below a weight, counted in windows of a second."""
    spec = release()
    metrics = tuple(metric.model_copy(update={"every": _SECOND}) for metric in spec.metrics)
    stages = tuple(stage for stage in spec.stages if stage.weight >= weight)
    stages = (stages[0].model_copy(update={"weight": weight}), *stages[1:])
    return spec.model_copy(update={"stages": stages, "metrics": metrics})


_SECOND = Comparison.model_validate({"warmup": "1s"}).warmup

MARGINS = ((1.05, 1.05), (1.25, 1.1), (1.25, 1.25), (1.5, 1.25), (2.0, 1.5))
"""Margins for errors and for slow requests; the third pair is the default."""

COLD = Scenario("cold", "healthy, cold for 30s", Expect.PROMOTE, slower=3.0, start=0.0, lasts=timedelta(seconds=30))
"""A canary whose first requests after it got its first weight are slow: an empty cache, code not compiled yet."""


def trade_offs() -> Iterator[Try]:
    """What a smaller margin, a shorter warm-up, a larger alpha or an earlier guard would gain, and cost."""
    cells = (Cell(NOISY, 500.0), Cell(ERRORS[0], 50.0), Cell(SLOWER[0], 500.0), Cell(SLOWER[1], 500.0))
    for errors, slow in MARGINS:
        tests = [{"metric": "http", "margin": errors}, {"metric": "latency", "margin": slow}]
        spec = with_comparison(release(), tests=tests)
        yield from _each("margin", f"{errors:g} / {slow:g}", spec, cells)
    strong = (Cell(NOISY, 500.0), Cell(COLD, 50.0), Cell(COLD, 500.0), Cell(ERRORS[4], 50.0), Cell(SLOWER[3], 500.0))
    for warmup in ("0s", "15s", "30s", "60s"):
        yield from _each("warm-up", warmup, with_comparison(release(), warmup=warmup), strong)
    weak = (Cell(NOISY, 50.0), Cell(ERRORS[0], 50.0), Cell(parse("errors=1%"), 50.0))
    for alpha in (0.01, 0.05):
        yield from _each("alpha", f"{alpha:g}", with_comparison(release(), alpha=alpha), weak)
    for events in (3, 5, 10):
        guarded = (Cell(NOISY, 5.0), Cell(INCIDENT, 50.0, control=True), Cell(ERRORS[4], 50.0))
        spec = with_comparison(_guard(events), keepControl=CONTROL)
        yield from _each("errors the guard waits for", str(events), spec, guarded)


def _each(section: str, rule: str, spec: ResolvedSpec, cells: tuple[Cell, ...]) -> Iterator[Try]:
    yield from (Try(section, cell, MAIN, rule, spec, part=1 / 8) for cell in cells)


def _guard(events: int) -> ResolvedSpec:
    """The release whose guard waits for so many errors."""
    spec = release()
    burst = next(trigger for trigger in spec.triggers if trigger.name == "burst")
    leg = burst.all[0].model_copy(update={"min_events": events})
    kept = tuple(one if one.name != "burst" else burst.model_copy(update={"all": (leg,)}) for one in spec.triggers)
    return spec.model_copy(update={"triggers": kept})
