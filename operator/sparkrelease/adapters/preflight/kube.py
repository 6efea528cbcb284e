"""What is read of the Kubernetes API for preflight: paths, and objects without surprises."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.preflight.answers import Unanswered
from sparkrelease.ports.api_server import ApiServer

_APIS = {
    "services": "/api/v1",
    "pods": "/api/v1",
    "configmaps": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
}
_MOST_LISTED = 200
_PASSING = frozenset(
    {
        Reason.API_SERVER_UNREACHABLE,
        Reason.API_SERVER_BUSY,
        Reason.API_SERVER_ERROR,
        Reason.OBJECT_CHANGED,
    }
)

Object = Mapping[str, object]


def path_of(collection: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Path of a collection of a namespace, or of what is in it."""
    parts = [_APIS[collection], "namespaces", quote(namespace, safe=""), collection]
    parts += [quote(part, safe="") for part in (name, subresource) if part]
    return "/".join(parts)


def unanswered(problem: Problem, what: str) -> Unanswered:
    """Why the API server does not give what is needed; a fault of its own passes, all else needs an edit."""
    if problem.reason is Reason.OBJECT_NOT_FOUND:
        return Unanswered(Verdict.ERROR, f"{what} does not exist")
    verdict = Verdict.NO_DATA if problem.reason in _PASSING else Verdict.ERROR
    return Unanswered(verdict, f"{what}: {problem.message}")


async def get(api: ApiServer, collection: str, namespace: str, name: str, what: str) -> Object | Unanswered:
    """One object."""
    reply = await api.request("GET", path_of(collection, namespace, name))
    return reply.body if reply.problem is None else unanswered(reply.problem, what)


async def listed(
    api: ApiServer, collection: str, namespace: str, labels: str, what: str
) -> Sequence[Object] | Unanswered:
    """Objects with these labels; the first of them, where there are very many."""
    query: dict[str, str | int] = {"labelSelector": labels, "limit": _MOST_LISTED}
    reply = await api.request("GET", path_of(collection, namespace), query=query)
    return unanswered(reply.problem, what) if reply.problem is not None else items(reply.body, "items")


def part(body: object, *path: str) -> Object:
    """An object within an object; empty where there is none."""
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body if isinstance(body, Mapping) else {}


def items(body: object, *path: str) -> list[Object]:
    """The objects of a list within an object."""
    *way, last = path
    found = part(body, *way).get(last)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def text(body: Object, field: str) -> str:
    """A text field; empty where there is none."""
    value = body.get(field)
    return value if isinstance(value, str) else ""


def content_of(config_map: Object, key: str) -> bytes | None:
    """A key's content; None when it is not there."""
    plain, binary = part(config_map, "data").get(key), part(config_map, "binaryData").get(key)
    if isinstance(plain, str):
        return plain.encode()
    try:
        return base64.b64decode(binary, validate=True) if isinstance(binary, str) else None
    except ValueError:
        return None
