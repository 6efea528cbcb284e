"""The one door to the Deployments and Services of managed workloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import Deployed, ManagedWorkload
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import WorkloadStep


def both(deployment: str) -> tuple[str, str]:
    """Names of the candidate's Deployment and of the copy that is stable."""
    return deployment, f"{deployment}-stable"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose workload it is. `services` are the names of stable's and of canary's Service."""

    namespace: str
    release: str
    deployment: str
    services: tuple[str, str]


class Deployments(Protocol):
    """Reads and writes what a release with spec.workload names, in its own namespace."""

    async def look(self, owner: Owner) -> ManagedWorkload:
        """Candidate, copy, what scales them, and the selectors of both Services; `problem` when they cannot be read."""
        ...

    async def carry_out(self, owner: Owner, step: WorkloadStep) -> Problem | None:
        """Takes one step, guarded by what was looked at. Repeating it does nothing; OBJECT_CHANGED asks to look again.

        A selector that somebody else keeps is no problem of the write: the next look says whose it is.
        """
        ...


class NoDeployments:
    """A process that keeps no workloads."""

    async def look(self, owner: Owner) -> ManagedWorkload:
        """See Deployments."""
        candidate, copy = both(owner.deployment)
        text = "this operator keeps no workloads"
        return ManagedWorkload(Deployed(candidate), Deployed(copy), problem=Problem(Reason.FORBIDDEN, text))

    async def carry_out(self, owner: Owner, step: WorkloadStep) -> Problem | None:
        """See Deployments; nothing is written."""
        del owner, step
        return Problem(Reason.FORBIDDEN, "this operator keeps no workloads")
