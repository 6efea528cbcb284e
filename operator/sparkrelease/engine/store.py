"""The last seen releases and policies, indexed by what they depend on, with the time of the last look at each kind."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from sparkrelease.api.command import COMMAND_ANNOTATION, Command, parse_command
from sparkrelease.api.notifications import Notification
from sparkrelease.api.objects import parse_policy, parse_release
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.resolve import ResolvedSpec, digest, merge_by_name, resolve
from sparkrelease.engine.approvals import Approvals
from sparkrelease.engine.bodies import metadata_of, text_of, texts_of
from sparkrelease.engine.release import Release
from sparkrelease.engine.targets import target_of
from sparkrelease.ports.clock import Clock
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.deployments import both
from sparkrelease.ports.traffic import Target

log = logging.getLogger(__name__)

_Name = tuple[str, str, str]
"""Kind, namespace and name of something releases depend on."""

_POLICY = "ReleasePolicy"


class Change(StrEnum):
    """What a look at an object told."""

    NOTHING = "nothing"
    """Only what this operator itself writes is different."""
    WISHES = "wishes"
    """Spec, command, deletion or finalizer changed: a round is due."""
    NEW = "new"


class Store:
    """Releases and policies as the API server last showed them. Lives in the event loop; not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._releases: dict[ObjectKey, Release] = {}
        self._policies: dict[str, ReleasePolicySpec | Problem] = {}
        self._policy_versions: dict[str, str] = {}
        self._index: defaultdict[_Name, set[ObjectKey]] = defaultdict(set)
        self._names: dict[ObjectKey, tuple[_Name, ...]] = {}
        self._seen_at: dict[str, float] = {}
        self.approvals = Approvals()
        """What people signed, by the release it names."""
        self.missing: set[str] = set()
        """Kinds the cluster does not serve now."""
        self.on_removed: Callable[[Release], None] = lambda _: None
        """Called when a release is forgotten."""
        self.on_wish: Callable[[ObjectKey], None] = lambda _: None
        """Called when the answer to a request of ours shows a wish that no watch will tell of any more."""

    # ------------------------------------------------------------ reading

    def get(self, key: ObjectKey) -> Release | None:
        """The release, or None when it is gone."""
        return self._releases.get(key)

    def __iter__(self) -> Iterator[Release]:
        return iter(tuple(self._releases.values()))

    def __len__(self) -> int:
        return len(self._releases)

    def of_policy(self, name: str) -> frozenset[ObjectKey]:
        """Releases that inherit from the policy."""
        return frozenset(self._index.get((_POLICY, "", name), ()))

    def of_object(self, kind: str, namespace: str, name: str) -> frozenset[ObjectKey]:
        """Releases that depend on a route or a Service."""
        return frozenset(self._index.get((kind, namespace, name), ()))

    def age(self, kind: str) -> float | None:
        """Seconds since the kind was last seen or listed; None before the first time."""
        at = self._seen_at.get(kind)
        return None if at is None else self._clock.monotonic() - at

    def touch(self, kind: str) -> None:
        """Notes that the kind was seen or listed just now."""
        self._seen_at[kind] = self._clock.monotonic()

    # ------------------------------------------------------------ releases

    def put(self, body: Mapping[str, object]) -> Change:
        """Takes a release as it was seen; something older than what is known is left alone."""
        meta = metadata_of(body)
        key = ObjectKey(text_of(meta, "namespace"), text_of(meta, "name"))
        uid, version = text_of(meta, "uid"), text_of(meta, "resourceVersion")
        release = self._releases.get(key)
        if release is not None and (release.resource_version == version or older(version, release.resource_version)):
            # Watches deliver object by object: the last word on one that is gone may come after its namesake's first.
            return Change.NOTHING
        if release is not None and release.uid != uid:
            self.remove(key)
            release = None
        if release is None:
            release = self._releases[key] = Release(key=key, uid=uid)
            self._take(release, body, meta)
            return Change.NEW
        before = _wishes(release)
        self._take(release, body, meta)
        return Change.NOTHING if _wishes(release) == before else Change.WISHES

    def answered(self, release: Release, body: Mapping[str, object], *, asked: bool = False) -> None:
        """Takes what the API server answered to a request about this release just now.

        The watch tells of it again, and is not listened to, because it tells nothing newer: so a wish that came with
        the answer is told here. If the object was deleted and made anew meanwhile, the watch brings the new one.

        Args:
            release: whom the request was about.
            body: the object in the answer.
            asked: whether it was read because what is known was refused: then it counts even if it looks older.
        """
        if self._releases.get(release.key) is not release:
            return
        meta = metadata_of(body)
        if not asked and older(text_of(meta, "resourceVersion"), release.resource_version):
            return
        if text_of(meta, "uid") != release.uid:
            self.remove(release.key)
            return
        before = _asks(release)
        self._take(release, body, meta)
        if _asks(release) != before:
            self.on_wish(release.key)

    def remove(self, key: ObjectKey) -> Release | None:
        """Forgets a release that is gone."""
        release = self._releases.pop(key, None)
        if release is not None:
            self._unindex(key)
            self.on_removed(release)
        return release

    def _take(self, release: Release, body: Mapping[str, object], meta: Mapping[str, object]) -> None:
        generation = meta.get("generation")
        changed = release.generation != generation or not release.resource_version
        release.generation = generation if isinstance(generation, int) else 0
        release.resource_version = text_of(meta, "resourceVersion")
        release.deleting = meta.get("deletionTimestamp") is not None
        finalizers = meta.get("finalizers")
        release.finalizers = tuple(map(str, finalizers)) if isinstance(finalizers, list) else ()
        command = texts_of(meta, "annotations").get(COMMAND_ANNOTATION)
        if command != release.command_text:
            _take_command(release, command)
        status = body.get("status")
        release.keep_status(status if isinstance(status, Mapping) and not release.adopted else None)
        if changed:
            self._take_spec(release, parse_release(body))

    def _take_spec(self, release: Release, spec: SparkReleaseSpec | Problem) -> None:
        release.declared = spec
        if isinstance(spec, SparkReleaseSpec):
            release.wanted_version = spec.version
            release.paused_by_spec = spec.paused
            release.policy = spec.policy_ref.name if spec.policy_ref else None
            release.freeze(release.frozen)
        self._resolve(release)

    def _resolve(self, release: Release) -> None:
        spec = release.declared
        resolved = self._merge(spec) if isinstance(spec, SparkReleaseSpec) else spec
        if isinstance(spec, SparkReleaseSpec):
            release.notifications = self._notifications(spec)
        if isinstance(resolved, ResolvedSpec):
            release.resolved, release.spec_problem = resolved, None
            release.resolved_digest = digest(resolved)
        else:
            release.resolved, release.resolved_digest, release.spec_problem = None, "", resolved
        self.reindex(release)

    def _merge(self, spec: SparkReleaseSpec) -> ResolvedSpec | Problem:
        policy = self._policies.get(spec.policy_ref.name) if spec.policy_ref else None
        return policy if isinstance(policy, Problem) else resolve(spec, policy)

    def _notifications(self, spec: SparkReleaseSpec) -> tuple[Notification, ...]:
        """Who is told, also of a spec that cannot be resolved: that is one of the things to tell."""
        policy = self._policies.get(spec.policy_ref.name) if spec.policy_ref else None
        inherited = policy.notifications if isinstance(policy, ReleasePolicySpec) else ()
        return merge_by_name(inherited, spec.notifications)

    # ------------------------------------------------------------ policies

    def put_policy(self, body: Mapping[str, object]) -> frozenset[ObjectKey]:
        """Takes a policy; answers the releases that resolve to something else now."""
        meta = metadata_of(body)
        name, version = text_of(meta, "name"), text_of(meta, "resourceVersion")
        if self._policy_versions.get(name) == version:
            return frozenset()
        self._policy_versions[name] = version
        self._policies[name] = parse_policy(body)
        return self._resolve_again(name)

    def remove_policy(self, name: str) -> frozenset[ObjectKey]:
        """Forgets a policy that is gone; answers the releases that named it."""
        self._policies.pop(name, None)
        self._policy_versions.pop(name, None)
        return self._resolve_again(name)

    def policies(self) -> frozenset[str]:
        """Names of the known policies."""
        return frozenset(self._policies)

    def _resolve_again(self, policy: str) -> frozenset[ObjectKey]:
        changed = set()
        for key in self.of_policy(policy):
            release = self._releases[key]
            before = (release.resolved_digest, release.spec_problem)
            self._resolve(release)
            if (release.resolved_digest, release.spec_problem) != before:
                changed.add(key)
        return frozenset(changed)

    # ------------------------------------------------------------ indexes

    def reindex(self, release: Release) -> None:
        """Indexes the release by what it depends on now; called when the spec it follows changes."""
        if self._releases.get(release.key) is not release:
            return
        before = self._names.get(release.key)
        self._unindex(release.key)
        release.target = None
        names: list[_Name] = []
        # The declared spec names the traffic also when it cannot be resolved, because its policy is gone.
        for spec in (release.declared, release.spec):
            if spec is None or isinstance(spec, Problem):
                continue
            release.target = target_of(release.key, release.uid, spec.traffic)
            names += _names_of(release.target)
            if spec.workload is not None:
                names += [("Deployment", release.key.namespace, name) for name in both(spec.workload.deployment)]
        if release.home is not None:
            release.target = release.home
            names += _names_of(release.target)
        if release.policy is not None:
            names.append((_POLICY, "", release.policy))
        for name in names:
            self._index[name].add(release.key)
        self._names[release.key] = tuple(names)
        if self._names[release.key] != before:
            release.sides_dirty = True  # what was seen of the pods may be of other Services
            release.workload_dirty = True

    def _unindex(self, key: ObjectKey) -> None:
        for name in self._names.pop(key, ()):
            self._index[name].discard(key)
            if not self._index[name]:
                del self._index[name]


def _names_of(target: Target) -> list[_Name]:
    """What a release with this target depends on: its route and both Services."""
    sides = (target.traffic.stable, target.traffic.canary)
    services = [("Service", target.namespace, side.service) for side in sides]
    return [(target.kind, target.namespace, target.route_name), *services]


def older(version: str, known: str) -> bool:
    """Whether a resourceVersion is before another; the API server lets them be compared as numbers."""
    return version.isdecimal() and known.isdecimal() and int(version) < int(known)


def _wishes(release: Release) -> tuple[object, ...]:
    """What people and other controllers want of the release; the operator's own writes change none of it."""
    return (
        release.generation,
        release.deleting,
        release.command_text,
        release.finalizer,
        release.resolved_digest,
        release.spec_problem,
    )


def _asks(release: Release) -> tuple[object, ...]:
    """The same without what the operator itself writes beside the status."""
    return (release.generation, release.deleting, release.command_text, release.resolved_digest, release.spec_problem)


def _take_command(release: Release, text: str | None) -> None:
    release.command_text = text
    release.command = release.command_problem = None
    if text is None:
        return
    command = parse_command(text)
    if isinstance(command, Command):
        release.command = command
    else:
        release.command_problem = command
