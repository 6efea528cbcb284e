"""A release and its policy from files, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from sparkrelease.api.objects import POLICY_KIND, RELEASE_KIND, parse_policy, parse_release
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.look import find_release, look_at
from sparkrelease.decide.approvals import unsigned
from sparkrelease.decide.resolve import ResolvedSpec, resolve


@dataclass(frozen=True, slots=True)
class Manifest:
    """A release from a file, its policy merged in."""

    name: str
    spec: ResolvedSpec
    namespace: str = ""
    """As its metadata says; empty when it does not."""

    def placed(self, namespace: str | None) -> Manifest:
        """In the namespace asked for, else the one it says, else `default`."""
        return replace(self, namespace=namespace or self.namespace or "default", name=self.name or "release")


def read_manifest(files: Sequence[Path], policies: Sequence[Path]) -> Manifest:
    """The one SparkRelease in these files, with the policy it names from them or from `policies`.

    CliError when a file cannot be read, holds no release or several, or when the operator would refuse it.
    """
    bodies = [body for file in files for body in _documents(file)]
    releases = [body for body in bodies if body.get("kind") == RELEASE_KIND]
    if len(releases) != 1:
        found = f"{len(releases)} SparkReleases" if releases else "no SparkRelease"
        raise CliError(ExitCode.USAGE, f"{_names(files)} has {found}; give the file of one")
    release = releases[0]
    spec = parse_release(release)
    if isinstance(spec, Problem):
        raise CliError(ExitCode.USAGE, f"{_names(files)}: {spec.message}")
    bodies += [body for file in policies for body in _documents(file)]
    policy = _policy(bodies, spec.policy_ref.name) if spec.policy_ref is not None else None
    resolved = resolve(spec, policy)
    if isinstance(resolved, Problem):
        hint = "; give its file with --policy" if resolved.reason is Reason.POLICY_NOT_FOUND else ""
        raise CliError(ExitCode.USAGE, f"{_names(files)}: {resolved.message}{hint}")
    return Manifest(_meta(release, "name"), unsigned(resolved), _meta(release, "namespace"))


def release_of(cluster: ClusterDoor, name: str) -> Manifest:
    """A release of the cluster, with the spec its run follows, or that the next one would."""
    view = look_at(cluster, find_release(cluster, name))
    if view.spec is None:
        raise CliError(ExitCode.BAD, view.note)
    return Manifest(name, unsigned(view.spec), view.release.namespace)


def _documents(file: Path) -> Iterator[Mapping[str, object]]:
    try:
        loaded = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as fault:
        raise CliError(ExitCode.USAGE, f"{file} cannot be read: {fault}") from fault
    except yaml.YAMLError as fault:
        raise CliError(ExitCode.USAGE, f"{file} is not YAML: {fault}") from fault
    for document in loaded:
        if isinstance(document, Mapping):
            yield document


def _policy(bodies: Sequence[Mapping[str, object]], name: str) -> ReleasePolicySpec | None:
    for body in bodies:
        if body.get("kind") == POLICY_KIND and _meta(body, "name") == name:
            policy = parse_policy(body)
            if isinstance(policy, Problem):
                raise CliError(ExitCode.USAGE, policy.message)
            return policy
    return None


def _meta(body: Mapping[str, object], field: str) -> str:
    meta = body.get("metadata")
    value = meta.get(field) if isinstance(meta, Mapping) else None
    return value if isinstance(value, str) else ""


def _names(files: Sequence[Path]) -> str:
    return ", ".join(str(file) for file in files)
