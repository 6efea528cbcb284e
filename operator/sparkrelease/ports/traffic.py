"""The contract of a traffic provider: every call gets the full plan, all are idempotent; see tests/conformance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from sparkrelease.api.spec import Traffic
from sparkrelease.decide.facts import Finding, Problem, Route
from sparkrelease.decide.plan import ReleaseRoute, SetWeight


class Acceptance(StrEnum):
    """How a provider can tell that its gateway took a weight."""

    NONE = "none"
    GENERATION = "generation"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do."""

    granularity: float
    """Smallest step of a weight, in percent."""
    acceptance: Acceptance
    owned: bool
    """Whether it can keep a route of its own."""
    weights: tuple[float, ...] | None = None
    """The only weights it can give, in percent; None where it can give any."""
    mirror: bool = False
    """Whether it can copy requests to canary, whose answers nobody gets."""


@dataclass(frozen=True, slots=True)
class Target:
    """The route of one release. `kind` is its Kubernetes kind."""

    namespace: str
    release: str
    uid: str
    traffic: Traffic
    kind: str
    route_name: str
    owned: bool


class ApplyOutcome(StrEnum):
    """What became of a write."""

    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    CONFLICT = "Conflict"
    """Somebody wrote between observation and write; observe and decide again."""
    FENCED = "Fenced"
    """A newer leader has stamped the route; this process must stop writing."""
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to a write: the outcome, the route as the server answered it, when, and why it failed."""

    outcome: ApplyOutcome
    at: datetime
    route: Route | None = None
    problem: Problem | None = None


class TrafficProvider(Protocol):
    """Moves traffic for the releases whose spec names this provider."""

    def capabilities(self) -> Capabilities:
        """What it can do; constant."""
        ...

    async def preflight(self, target: Target, mirrors: Sequence[float] = ()) -> tuple[Finding, ...]:
        """Read-only checks and a dry-run write; says what would keep a weight from being reached.

        `mirrors` are the shares of requests (percent) that stages of the release mirror.
        """
        ...

    def observe(self, target: Target) -> Route:
        """The route as the watch last showed it, or a later answer to an own write. No I/O."""
        ...

    async def refresh(self, target: Target) -> Route:
        """Like observe, but asks the API server."""
        ...

    async def apply(self, target: Target, action: SetWeight | ReleaseRoute, epoch: int) -> Applied:
        """Carries the action out in one guarded write (all managed rules at once): weights and mirror.

        Guards: generation, names, old weights, and the epoch stamped on the route; status writes of the gateway do not
        disturb it. Creates an owned route that is not there; adopts one of that name.
        """
        ...

    async def stamp(self, target: Target, epoch: int, *, over: bool = False) -> Applied:
        """Writes the epoch on a route that carries a mark, so that every older leader's write fails from now on.

        A higher epoch is left as it is (Fenced), unless `over`: the caller knows that no leader ever had it.
        """
        ...
