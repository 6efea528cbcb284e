"""Full lists of watched kinds, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from sparkrelease.adapters.kubernetes.paths import CLUSTER_SCOPED, path_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ApiServer

PAGE = 200
"""Objects per page: reading one page must not hold up the event loop."""

Take = Callable[[Sequence[Mapping[str, object]]], None]
"""Takes one page."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ObjectLists:
    """Lists objects in the namespaces served (all when none are named); an ObjectLister."""

    def __init__(self, api: ApiServer, namespaces: Sequence[str] = (), page: int = PAGE) -> None:
        self._api = api
        self._namespaces = tuple(namespaces)
        self._page = page

    async def list_objects(self, kind: str, take: Take) -> Problem | str:
        """Hands over all objects of a kind. One the cluster does not serve answers Problem(ROUTE_API_MISSING)."""
        everywhere = not self._namespaces or kind in CLUSTER_SCOPED
        began = ""
        for namespace in (None,) if everywhere else self._namespaces:
            walked = await walk_pages(self._api, path_of(kind, namespace), take, page=self._page)
            if isinstance(walked, Problem) and walked.reason is Reason.OBJECT_NOT_FOUND:
                return Problem(Reason.ROUTE_API_MISSING, f"the cluster does not serve {kind}")
            if isinstance(walked, Problem):
                return walked
            began = began or walked
        return began


async def list_pages(
    api: ApiServer,
    path: str,
    *,
    labels: str = "",
    accept: str = "application/json",
    page: int = PAGE,
) -> list[Mapping[str, object]] | Problem:
    """All objects of a collection with these labels. A list that expires between two pages is begun anew, once."""
    found: list[Mapping[str, object]] = []
    walked = await walk_pages(api, path, found.extend, labels=labels, accept=accept, page=page, anew=found.clear)
    return walked if isinstance(walked, Problem) else found


async def walk_pages(
    api: ApiServer,
    path: str,
    take: Take,
    *,
    labels: str = "",
    accept: str = "application/json",
    page: int = PAGE,
    anew: Callable[[], None] = lambda: None,
) -> Problem | str:
    """Hands over a collection page by page; `anew` is called before a list that expired is begun anew, once.

    Answers the resourceVersion of the first page, of a list begun anew that of the expired one: some of its objects
    may have been taken as they were then.
    """
    began = ""
    for _ in range(2):
        walked = await _walk(api, path, take, accept, {"limit": page} | ({"labelSelector": labels} if labels else {}))
        if isinstance(walked, Problem):
            return walked
        began = began or walked.version
        if not walked.expired:
            return began
        anew()
    return Problem(Reason.API_SERVER_ERROR, f"GET {path}: the list expired between two pages, twice")


@dataclass(frozen=True, slots=True)
class _Walked:
    """The resourceVersion of the first page, and whether the server forgot the list before the last one."""

    version: str
    expired: bool = False


async def _walk(
    api: ApiServer, path: str, take: Take, accept: str, asked: Mapping[str, str | int]
) -> Problem | _Walked:
    """One walk over the pages."""
    token = version = ""
    while True:
        query = {**asked, "continue": token} if token else asked
        reply = await api.request("GET", path, query=query, accept=accept)
        if reply.status == HTTPStatus.GONE and token:
            return _Walked(version, expired=True)
        if reply.problem is not None:
            return reply.problem
        items = reply.body.get("items")
        if isinstance(items, list):
            take([item for item in items if isinstance(item, Mapping)])
        metadata = reply.body.get("metadata")
        if isinstance(metadata, Mapping):
            version = version or str(metadata.get("resourceVersion") or "")
            token = str(metadata.get("continue") or "")
        if not isinstance(metadata, Mapping) or not token:
            return _Walked(version)
