"""What runs of one rule in one cell amount to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.stats import beta

from bench.verdicts.cells import Cell
from bench.verdicts.others import Run
from sparkrelease.simulate.outcome import Ending

FILE = Path(__file__).parent.parent / "results" / "verdicts" / "figures.json"
_NEVER = float("inf")


@dataclass(frozen=True)
class Figure:
    """Runs, how many went back, minutes until then (None: never), and requests lost; medians and 95th percentiles."""

    runs: int
    back: int
    after: float | None
    after_95: float | None
    lost: float
    lost_95: float
    held: int
    rules: Mapping[str, int]
    sentence: str
    promoted: int = 0
    promoted_after: float | None = None
    """Median of the minutes from the start to the promotion, of the runs that were promoted."""

    @property
    def share(self) -> float:
        """Percent of runs that went back."""
        return 100 * self.back / self.runs

    @property
    def at_most(self) -> float:
        """Percent that is surely not exceeded: upper end of the exact one-sided 95 % interval."""
        return 100.0 if self.back == self.runs else 100 * float(beta.ppf(0.95, self.back + 1, self.runs - self.back))


def figure(cell: Cell, runs: Sequence[Run]) -> Figure:
    """Sums runs up."""
    after = sorted(_NEVER if run.after is None else run.after / 60 for run in runs)
    lost = sorted(run.requests if cell.by_requests else run.failed for run in runs)
    rules = Counter(run.rule for run in runs if run.after is not None and run.rule)
    most = rules.most_common(1)
    promoted = sorted(run.lasted / 60 for run in runs if run.rule == Ending.PROMOTED.value)
    sentence = next((run.sentence for run in runs if most and run.rule == most[0][0]), "")
    return Figure(
        runs=len(runs),
        back=sum(run.after is not None for run in runs),
        after=_finite(_middle(after)),
        after_95=_finite(after[_last(len(after))]),
        lost=_middle(lost),
        lost_95=lost[_last(len(lost))],
        held=sum(run.rule == Ending.HELD.value for run in runs),
        rules=dict(rules.most_common()),
        sentence=sentence,
        promoted=len(promoted),
        promoted_after=_middle(promoted) if promoted else None,
    )


def _middle(values: Sequence[float]) -> float:
    half = len(values) // 2
    return float(values[half]) if len(values) % 2 else (values[half - 1] + values[half]) / 2


def _last(count: int) -> int:
    return min(count - 1, int(0.95 * count))


def _finite(value: float) -> float | None:
    return None if value == _NEVER else value


Figures = dict[str, dict[str, Figure]]
"""By cell, by rule."""


@dataclass(frozen=True)
class Found:
    """All figures of a pass, by section: `main`, `hold-out`, and the trade-offs; seconds of processor time."""

    sections: Mapping[str, Figures]
    machine: str
    at: str
    seconds: float


def save(found: Found) -> None:
    """Keeps them."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def load() -> Found | None:
    """The ones kept last."""
    if not FILE.exists():
        return None
    raw: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    sections = {
        name: {cell: {rule: Figure(**one) for rule, one in rules.items()} for cell, rules in cells.items()}
        for name, cells in raw["sections"].items()
    }
    return Found(sections, raw["machine"], raw["at"], raw["seconds"])
