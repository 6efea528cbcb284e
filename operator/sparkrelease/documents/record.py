"""A run as its evidence tells it: its decisions in order, each with what it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.inputs import KEY, Inputs, unpack
from sparkrelease.decide.resolve import ResolvedSpec


class UnreadableRunError(ValueError):
    """The evidence does not hold what every document needs: the entry of the run's start with its spec."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What checking the chain came to. `fault` says what is wrong with it; empty when every link holds.

    `anchored`: its head is the one the release's status knows, so that no end is missing either.
    """

    head: str
    entries: int
    fault: str = ""
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """One look of the operator that led to entries. `inputs` is None where what it was made from cannot be read."""

    entries: tuple[Entry, ...]
    inputs: Inputs | None

    @property
    def at(self) -> datetime:
        """When it was decided."""
        return self.inputs.now if self.inputs is not None else time_of(self.entries[0])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: outcome, reason, sentence and time."""

    outcome: Outcome
    reason: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a metric of stable was before the run; `value` is None where `problem` says why there is none."""

    metric: str
    value: float | None
    query: str
    over_seconds: float | None
    problem: str


@dataclass(frozen=True, slots=True)
class Run:
    """The run: whose it is, the spec it followed, what stood against what, and every decision."""

    release: str
    id: str
    spec: ResolvedSpec
    spec_digest: str
    generation: int | None
    stable: str
    canary: str
    capacity_floor: int | None
    started_at: datetime
    baselines: tuple[Baseline, ...]
    decisions: tuple[Decision, ...]
    chain: Chain

    @property
    def version(self) -> str:
        """Version on trial."""
        return self.spec.version

    @property
    def namespace(self) -> str:
        """Namespace of the release."""
        return self.release.partition("/")[0]

    @property
    def name(self) -> str:
        """Name of the release."""
        return self.release.partition("/")[2]

    @property
    def entries(self) -> Iterator[Entry]:
        """All entries in order."""
        return (entry for decision in self.decisions for entry in decision.entries)

    @property
    def last_at(self) -> datetime:
        """Time of the last entry."""
        return time_of(self.decisions[-1].entries[-1])

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is under way, as far as this evidence knows."""
        for entry in self.entries:
            word = entry.data.get("outcome")
            if isinstance(word, str) and word in {one.value for one in Outcome}:
                return Ending(_outcome(word), entry.kind, entry.message, time_of(entry))
        return None

    @property
    def promoted_at(self) -> datetime | None:
        """When the last gate passed; None when it did not."""
        return next((time_of(entry) for entry in self.entries if entry.kind == Reason.PROMOTED.value), None)

    def baseline(self, metric: str) -> float | None:
        """What the metric was before the run, frozen; None when that is not known."""
        return next((one.value for one in self.baselines if one.metric == metric), None)


def read_run(entries: Sequence[Entry], chain: Chain) -> Run:
    """Puts a run together; UnreadableRunError when its start is missing or was written by a version that differs."""
    begun = [place for place, entry in enumerate(entries) if entry.kind == Reason.RUN_STARTED.value]
    if not begun:
        raise UnreadableRunError("no entry tells of the start of the run")
    entries = entries[begun[-1] :] if len(begun) > 1 else entries  # the spec was edited before an earlier start counted
    start = next(entry for entry in entries if entry.kind == Reason.RUN_STARTED.value)
    try:
        spec = ResolvedSpec.model_validate(start.data.get("spec"))
    except ValidationError as problem:
        line = " ".join(str(problem).split())[:200]
        raise UnreadableRunError(f"the spec in entry {start.number} cannot be read: {line}") from problem
    floor, generation = _last(entries, "capacityFloor"), start.data.get("generation")
    return Run(
        release=start.release,
        id=start.run,
        spec=spec,
        spec_digest=text_of(start.data, "specDigest"),
        generation=generation if isinstance(generation, int) else None,
        stable=text_of(start.data, "stable"),
        canary=text_of(start.data, "canary"),
        capacity_floor=floor if isinstance(floor, int) else None,
        started_at=time_of(start),
        baselines=tuple(_baselines(_last(entries, "baselines"))),
        decisions=tuple(_decisions(entries, spec)),
        chain=chain,
    )


def _last(entries: Sequence[Entry], key: str) -> object:
    """What the last entry that has it says: what was taken at the start is taken anew after a wait for signatures."""
    return next((entry.data[key] for entry in reversed(entries) if key in entry.data), None)


def _decisions(entries: Sequence[Entry], spec: ResolvedSpec) -> Iterator[Decision]:
    """The entries by decision: the first one of each says how many are its own."""
    place = 0
    while place < len(entries):
        inputs = _inputs(entries[place], spec)
        length = min(inputs.entries, len(entries) - place) if inputs is not None else 1
        yield Decision(tuple(entries[place : place + length]), inputs)
        place += length


def _inputs(entry: Entry, spec: ResolvedSpec) -> Inputs | None:
    data = entry.data.get(KEY)
    if data is None:
        return None
    try:
        return unpack(data, spec)
    except ValueError:
        return None


def _baselines(data: object) -> Iterator[Baseline]:
    for metric, seen in sorted(data.items()) if isinstance(data, Mapping) else ():
        if isinstance(seen, Mapping):
            yield Baseline(
                metric=str(metric),
                value=number_in(seen, "value"),
                query=text_of(seen, "query"),
                over_seconds=number_in(seen, "overSeconds"),
                problem=text_of(seen, "problem"),
            )


def _outcome(word: str) -> Outcome:
    return next(one for one in Outcome if one.value == word)


# ---------------------------------------------------------------- what an entry holds


def time_of(entry: Entry) -> datetime:
    """When the entry was decided, UTC."""
    return datetime.fromisoformat(entry.at).astimezone(UTC)


def text_of(data: Mapping[str, object], key: str) -> str:
    """A text in an entry's data; empty when there is none."""
    value = data.get(key)
    return value if isinstance(value, str) else ""


def number_in(data: Mapping[str, object], key: str) -> float | None:
    """A number in an entry's data; None when there is none."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
