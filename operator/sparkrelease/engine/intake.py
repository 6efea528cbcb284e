"""Everything the watches show comes in here; it wakes exactly the releases it concerns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from sparkrelease.api.objects import APPROVAL_KIND
from sparkrelease.engine.adopt import closed
from sparkrelease.engine.bodies import metadata_of, text_of, texts_of
from sparkrelease.engine.metrics import OperatorMetrics
from sparkrelease.engine.store import Change, Store, older
from sparkrelease.engine.targets import FLAG
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.watch import ObjectCache

log = logging.getLogger(__name__)

Body = Mapping[str, object]

RELEASE, POLICY, SLICE, SERVICE = "SparkRelease", "ReleasePolicy", "EndpointSlice", "Service"
ROUTES = ("HTTPRoute", "GRPCRoute")
KINDS = (POLICY, APPROVAL_KIND, *ROUTES, SERVICE, SLICE, RELEASE)
"""Watched kinds; of each a full list is wanted before the first decision."""

OPTIONAL = (*ROUTES, APPROVAL_KIND)
"""Those the cluster may lack: releases that need one of them wait, others are served."""

DEPLOYMENT = "Deployment"
"""Watched from the first managed workload on, never listed: what a watch misses of one is seen at its next change."""

GATEWAYS = ("GatewayClass", "Gateway")
"""Watched where it is allowed, never listed: they only help to tell which controller has to accept a route."""

NAMED = (FLAG,)
"""Shown one by one, for the releases that need them; the operator may not list them all."""

_Place = tuple[str, str]
"""Namespace and name."""

_Known = tuple[str, str]
"""resourceVersion last seen, and for an EndpointSlice its Service: the same object again is no news."""

_SERVICE_LABEL = "kubernetes.io/service-name"


class Intake:
    """Feeds the store and the adapters' caches; `wake` asks for a round of a release."""

    def __init__(
        self,
        store: Store,
        caches: Sequence[ObjectCache],
        metrics: OperatorMetrics,
        *,
        wake: Callable[[ObjectKey], None],
        mind_epoch: Callable[[Body], None],
    ) -> None:
        self._store = store
        kinds = (*KINDS, *GATEWAYS, *NAMED, DEPLOYMENT)
        self._caches = {kind: [c for c in caches if kind in c.kinds()] for kind in kinds}
        self._metrics = metrics
        self._wake = wake
        self._mind_epoch = mind_epoch
        self._known: dict[str, dict[_Place, _Known]] = {kind: {} for kind in self._caches}
        self._shown: dict[str, set[_Place]] = {}
        """Per kind of which a list is under way: what watches showed meanwhile, which the list may not know yet."""

    def see(self, kind: str, event: str | None, body: Body) -> None:
        """Takes what a watch shows: ADDED, MODIFIED or DELETED; None of an object as it is in a list. Never raises."""
        if kind not in self._known:
            return
        self._store.touch(kind)
        if kind in self._shown:
            self._shown[kind].add(_place_of(body))
        self._take(kind, event, body)

    def listing(self, kind: str) -> None:
        """Notes that a full list begins."""
        self._shown[kind] = set()

    def page(self, kind: str, bodies: Iterable[Body]) -> None:
        """Takes a part of a full list.

        A list is a picture of the moment it began at: of what watches showed since, it says nothing.
        """
        there = self._shown.setdefault(kind, set())
        for body in bodies:
            place = _place_of(body)
            if place not in there:
                there.add(place)
                self._take(kind, None, body)

    def listed(self, kind: str, bodies: Iterable[Body] = ()) -> None:
        """Takes the last part of a full list, and the disappearance of what was in none of them."""
        self.page(kind, bodies)
        known, there = self._known[kind], self._shown.pop(kind)
        for namespace, name in [place for place in known if place not in there]:
            self._metrics.ghosts.labels(kind).inc()
            log.info("%s %s/%s vanished without a watch event", kind, namespace, name)
            self._take(kind, "DELETED", _ghost(kind, namespace, name, known[(namespace, name)][1]))
        self._store.touch(kind)

    def _take(self, kind: str, event: str | None, body: Body) -> None:
        try:
            meta, place = metadata_of(body), _place_of(body)
            gone = event == "DELETED"
            owner = texts_of(meta, "labels").get(_SERVICE_LABEL, "") if kind == SLICE else ""
            version = text_of(meta, "resourceVersion")
            known = self._known[kind]
            last = known.get(place, ("", ""))[0]
            if (gone and older(version, last)) or (not gone and version and last == version):
                return  # the end of an object whose namesake was seen already, or no news
            if gone:
                known.pop(place, None)
            else:
                known[place] = (version, owner)
            for cache in self._caches[kind]:
                cache.see(kind, event, body)
            self._route(kind, place, owner, body, gone=gone)
        except Exception:
            log.exception("cannot take in %s %s", kind, text_of(metadata_of(body), "name"))

    def _route(self, kind: str, place: tuple[str, str], owner: str, body: Body, *, gone: bool) -> None:
        namespace, name = place
        if kind == RELEASE:
            self._release(ObjectKey(namespace, name), body, gone=gone)
        elif kind == POLICY:
            changed = self._store.remove_policy(name) if gone else self._store.put_policy(body)
            self._wake_all(changed)
        elif kind == APPROVAL_KIND:
            self._wake_all(self._store.approvals.take(body, gone=gone))
        elif kind in (*ROUTES, *NAMED):
            self._wake_all(self._store.of_object(kind, namespace, name))
        elif kind in {SERVICE, SLICE}:
            service = name if kind == SERVICE else owner
            self._side_changed(self._store.of_object(SERVICE, namespace, service), slices=kind == SLICE)
            if kind == SERVICE:
                self._workload_changed(self._store.of_object(SERVICE, namespace, service))
        elif kind == DEPLOYMENT:
            self._workload_changed(self._store.of_object(DEPLOYMENT, namespace, name))

    def _workload_changed(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            release = self._store.get(key)
            if release is not None:
                release.workload_dirty = True
                self._wake(key)

    def _release(self, key: ObjectKey, body: Body, *, gone: bool) -> None:
        if gone:
            release = self._store.get(key)
            uid = text_of(metadata_of(body), "uid")
            if release is not None and uid in {"", release.uid}:
                self._store.remove(key)
            return
        self._mind_epoch(body)
        if self._store.put(body) is not Change.NOTHING:
            self._wake(key)

    def _side_changed(self, keys: Iterable[ObjectKey], *, slices: bool) -> None:
        for key in keys:
            release = self._store.get(key)
            if release is None:
                continue
            release.sides_dirty = True
            if not (slices and release.adopted and closed(release)):
                self._wake(key)

    def _wake_all(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            self._wake(key)


def _place_of(body: Body) -> _Place:
    meta = metadata_of(body)
    return text_of(meta, "namespace"), text_of(meta, "name")


def _ghost(kind: str, namespace: str, name: str, owner: str) -> Body:
    """What is left to say of an object nobody saw go."""
    labels = {_SERVICE_LABEL: owner} if owner else {}
    return {"kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": labels}}
