"""A release as a person wants to see it: the object, and the stages its run really follows."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from sparkrelease.api.objects import ParsedRelease, parse_policy, read_release
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.evidence import evidence_of_run
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.seen import as_seen
from sparkrelease.decide.evidence import parse_entry
from sparkrelease.decide.resolve import ResolvedSpec, digest, resolve


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release and its resolved spec. `note` says why the spec is missing, or may not be what the run follows."""

    release: ParsedRelease
    spec: ResolvedSpec | None = None
    note: str = ""

    @property
    def title(self) -> str:
        """`namespace/name`."""
        return f"{self.release.namespace}/{self.release.name}"


def find_release(cluster: ClusterDoor, name: str) -> ParsedRelease:
    """The release of that name; CliError when there is none."""
    body = cluster.release(name)
    if body is None:
        raise CliError(ExitCode.NOT_FOUND, f"there is no SparkRelease {name} in namespace {cluster.namespace}")
    return read_release(body)


def look_at(cluster: ClusterDoor, release: ParsedRelease, before: ReleaseView | None = None) -> ReleaseView:
    """The release with the spec its run follows.

    That is what the object resolves to, or, when it was edited since, what was recorded at the start of the run. A spec
    found by an earlier look is used again while it is the one followed.
    """
    release = as_seen(release)
    run = release.status.run
    followed = run.spec_digest if run is not None and run.end is None else None
    if before is not None and before.spec is not None and digest(before.spec) == followed:
        return ReleaseView(release, before.spec, before.note)
    resolved = _resolved(cluster, release)
    if isinstance(resolved, ResolvedSpec) and followed in (None, digest(resolved)):
        return ReleaseView(release, resolved)
    if run is not None and followed is not None:
        recorded = _recorded(cluster, release, run.id)
        if recorded is not None:
            return ReleaseView(release, recorded, "the spec was edited; this run follows the one it started with")
    if isinstance(resolved, Problem):
        return ReleaseView(release, None, resolved.message)
    return ReleaseView(release, resolved, "the spec was edited; what this run started with cannot be read")


def _resolved(cluster: ClusterDoor, release: ParsedRelease) -> ResolvedSpec | Problem:
    spec = release.spec
    if isinstance(spec, Problem):
        return spec
    policy = _policy(cluster, spec)
    return policy if isinstance(policy, Problem) else resolve(spec, policy)


def _policy(cluster: ClusterDoor, spec: SparkReleaseSpec) -> ReleasePolicySpec | Problem | None:
    if spec.policy_ref is None:
        return None
    body = cluster.policy(spec.policy_ref.name)
    if body is None:
        text = (
            f"stages come from ReleasePolicy {spec.policy_ref.name}, which does not exist or may not be read by you; "
            "have the ClusterRole sparkrelease-policies bound to you"
        )
        return Problem(Reason.POLICY_NOT_FOUND, text)
    return parse_policy(body)


def _recorded(cluster: ClusterDoor, release: ParsedRelease, run: str) -> ResolvedSpec | None:
    """The spec in the first entry of the run's evidence; None when it cannot be read."""
    try:
        stored = evidence_of_run(cluster.evidence(release.name, run), run)
    except CliError:
        return None
    first = parse_entry(stored.lines[0]) if stored.lines else None
    try:
        return ResolvedSpec.model_validate(first.data.get("spec")) if first else None
    except ValidationError:
        return None
