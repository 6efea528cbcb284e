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
    WARMUP,
    Cell,
    Variant,
    bad_cells,
    healthy_cells,
    of_cell,
    release,
    with_comparison,
)
from bench.verdicts.engine import DEFAULTS, NAME
from sparkrelease.api.comparison import Comparison
from sparkrelease.decide.comparison import MARGIN
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
        yield Try("main", cell, MAIN, others=True, part=_part(cell))
        yield _by_default(cell, 1 / 8 if cell.scenario.shared else 1 / 4)
    for cell in bad_cells():
        yield Try("main", cell, MAIN, others=True, part=1 / 4)
        yield _by_default(cell, 1 / 8)
    yield from hold_out()
    yield from faster()
    yield from trade_offs()


def _part(cell: Cell) -> float:
    """Where a goal says how few may go back for nothing, as many runs as it takes to show that."""
    if not cell.scenario.shared:
        return 1.0
    return 1 / 2 if cell.control and cell.scenario is INCIDENT else 1 / 6


def _by_default(cell: Cell, part: float) -> Try:
    return Try("main", cell, MAIN, DEFAULTS, of_cell(cell, warmup=WARMUP), part=part)


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
    tests = [{"metric": "http", "minEvents": 1}, {"metric": "latency"}]
    for weight in WEIGHTS:
        begins, spec = f"from {weight} %", _from(weight)
        yield _fast(begins, spec)
        yield _fast(begins + WARM, with_comparison(spec, warmup=WARMUP))
        if weight <= FEW_REQUESTS:
            yield _fast(f"{begins}, minEvents 1", with_comparison(spec, tests=tests))
            yield _fast(f"{begins}, minEvents 1, alpha 5 %", with_comparison(spec, tests=tests, alpha=0.05))


WEIGHTS = (1, 2, 5, 10, 25)
FEW_REQUESTS = 2
"""Percent up to which it is tried what holds the test back there."""

WARM = ", default warm-up"


def _fast(rule: str, spec: ResolvedSpec) -> Try:
    return Try("scraped every second", Cell(ERRORS[4], 50.0), MAIN, rule, spec, FAST, part=1 / 5)


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
        margins = (("http", errors), ("latency", slow))
        tests = [
            {"metric": name} if margin == MARGIN else {"metric": name, "margin": margin} for name, margin in margins
        ]
        spec = with_comparison(release(), tests=tests)
        yield from _each("margin", f"{errors:g} / {slow:g}", spec, cells)
    strong = (Cell(NOISY, 500.0), Cell(COLD, 50.0), Cell(COLD, 500.0), Cell(ERRORS[4], 50.0), Cell(SLOWER[3], 500.0))
    for warmup in ("0s", "15s", "30s", "60s"):
        yield from _each("warm-up", warmup, with_comparison(release(), warmup=warmup), strong)
    weak = (Cell(NOISY, 50.0), Cell(ERRORS[0], 50.0), Cell(parse("errors=1%"), 50.0))
    for alpha in (0.01, 0.05):
        yield from _each("alpha", f"{alpha:g}", with_comparison(release(), alpha=alpha), weak)
    for events in (3, 5, 10, 20):
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
