"""What is tried: the protocol's release, the service, and the cells of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import yaml

from sparkrelease.api.comparison import Comparison
from sparkrelease.api.objects import parse_release
from sparkrelease.api.problem import Problem
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.simulate.scenario import Scenario, parse
from sparkrelease.simulate.service import GO_EDGES, Traffic

RELEASE = Path(__file__).parent / "release.yaml"
RATES = (5.0, 50.0, 500.0)
"""Requests a second of both versions together."""

FINE_EDGES = (
    *(0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.2),
    *(0.24, 0.3, 0.35, 0.45, 0.6, 0.8, 1.2, 2.0),
)
"""Other buckets, for the hold-out."""

SCRAPE = 15.0
MEDIAN = 0.08
"""Seconds; the 95th percentile is 160 ms."""

BASE_ERRORS = 0.001
ALPHA_OF_ERRORS = 0.01 * 3 / 4
"""What the test of errors has of the release's alpha."""

HORIZON = 90 * 60.0
"""Seconds of the protocol's stages; rules of others are followed until then."""

STAGES = ((1.0, 15), (5.0, 15), (25.0, 15), (50.0, 15), (100.0, 30))
"""Canary weight in percent, minutes."""

WARMUP = Comparison().warmup
"""What a release has that says nothing of a warm-up; the one tried everywhere else has none."""

CONTROL = 1.0
"""Percent that stay on stable to the end where a control group is kept."""


@dataclass(frozen=True)
class Variant:
    """Seeds and buckets of a whole pass."""

    name: str
    seed: int
    edges: tuple[float, ...]


MAIN = Variant("main", 1, GO_EDGES)
HOLD_OUT = Variant("hold-out", 100_001, FINE_EDGES)


@dataclass(frozen=True)
class Cell:
    """One scenario at one rate."""

    scenario: Scenario
    rps: float
    control: bool = False

    @property
    def name(self) -> str:
        """Unique among all cells."""
        return f"{self.scenario.title}, {self.rps:g}/s" + (", control kept" if self.control else "")

    @property
    def harmless(self) -> bool:
        """Whether a rollback would be a false one."""
        return self.scenario.shared or not self.scenario.harmful

    @property
    def by_requests(self) -> bool:
        """Whether all requests count as lost, for each of them is too slow."""
        return self.scenario.slower != 1.0


LONG = replace(parse("incident=5%"), title="incident, errors 5 % for 30m", lasts=timedelta(minutes=30))
HEALTHY = (parse("healthy"), parse("noisy"), parse("incident=5%"))
ERRORS = tuple(parse(f"errors={share}%") for share in ("0.5", "1", "2", "5", "20"))
SLOWER = tuple(parse(f"latency=+{more}%") for more in ("10", "25", "50", "100"))
LATE = parse("late=2%@35m")


def healthy_cells() -> Iterator[Cell]:
    """A/A: nothing is wrong with the release."""
    for rps in RATES:
        yield from (Cell(scenario, rps) for scenario in HEALTHY)
        yield from (Cell(scenario, rps, control=True) for scenario in (HEALTHY[2], LONG))


def bad_cells() -> Iterator[Cell]:
    """Something is."""
    for scenario in (*ERRORS, LATE, *SLOWER):
        for rps in RATES:
            yield Cell(scenario, rps)


def traffic(cell: Cell, variant: Variant, scrape: float = SCRAPE) -> Traffic:
    """The service of a cell."""
    return Traffic(
        rps=cell.rps, errors=BASE_ERRORS, p95=2 * MEDIAN, edges=variant.edges, scrape=timedelta(seconds=scrape)
    )


@cache
def release() -> ResolvedSpec:
    """The protocol's release, from release.yaml."""
    spec = parse_release(yaml.safe_load(RELEASE.read_text(encoding="utf-8")))
    resolved = spec if isinstance(spec, Problem) else resolve(spec, None)
    if isinstance(resolved, Problem):
        raise ValueError(f"{RELEASE.name}: {resolved.message}")
    return resolved


def with_comparison(spec: ResolvedSpec, **changes: object) -> ResolvedSpec:
    """The release with another comparison."""
    old = (spec.comparison or Comparison()).model_dump(by_alias=True, exclude_none=True)
    return spec.model_copy(update={"comparison": Comparison.model_validate(old | changes)})


def of_cell(cell: Cell, **changes: object) -> ResolvedSpec:
    """The release tried in a cell, with these changes of its comparison."""
    changes |= {"keepControl": CONTROL} if cell.control else {}
    return with_comparison(release(), **changes) if changes else release()
