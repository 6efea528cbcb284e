"""What one round knows of a managed workload: the candidate, the copy that is stable, and both Services."""

from __future__ import annotations

from dataclasses import dataclass

from sparkrelease.api.problem import Problem


@dataclass(frozen=True, slots=True)
class Deployed:
    """A Deployment of a managed workload.

    `template` is the digest of its pod template; of the copy as if it were the candidate's, so that the two compare.
    `copied` is, of the copy alone, the digest of the candidate's template it was made from.
    """

    name: str
    exists: bool = False
    version: str = ""
    """resourceVersion, by which writes are guarded."""
    template: str = ""
    copied: str = ""
    replicas: int = 0
    rolled_out: bool = False
    """All its replicas, at least one, run its newest template and are available."""
    autoscaler: str = ""
    """Name of what scales it, if anything does: its replicas are not ours then."""
    problem: Problem | None = None
    """Why it cannot be the candidate, or is not this release's copy."""


@dataclass(frozen=True, slots=True)
class Selecting:
    """A Service of a managed workload: `selector` is what it has to select by, and `fits` says whether it does."""

    service: str
    selector: tuple[tuple[str, str], ...]
    fits: bool
    refused: str = ""
    """The server's words when somebody else keeps its selector."""


@dataclass(frozen=True, slots=True)
class ManagedWorkload:
    """What runs for a release with spec.workload, by the Deployments themselves."""

    candidate: Deployed
    stable: Deployed
    services: tuple[Selecting, ...] = ()
    parked: str = ""
    """Run after which this operator has scaled the candidate to 0."""
    problem: Problem | None = None
    """Why nobody can say; nothing is raised or written meanwhile."""
    write_problem: Problem | None = None
    """Why the last write failed, for a moment after it; nothing is tried meanwhile."""
