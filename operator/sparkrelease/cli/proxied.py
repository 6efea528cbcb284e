"""A Service asked through the API server's proxy: the way into the cluster that a person has.

The proxy answers with the Service's answer, or with one of its own. Which of the two it is, and what of it is the
Service's, is told apart here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote

from sparkrelease.adapters.kubernetes.replies import shorten
from sparkrelease.adapters.preflight.hosts import Place
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import HttpAnswer, Unanswered

WRITTEN_BY_PROXY = frozenset(
    {
        "audit-id",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "location",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "warning",
        "x-content-type-options",
        "x-kubernetes-pf-flowschema-uid",
        "x-kubernetes-pf-prioritylevel-uid",
    }
)
"""Headers that the API server adds, guesses, rewrites or drops: what they say need not be what the Service said."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back of one GET. `body` is None where it was longer than was allowed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Unseen:
    """It could not be looked at from here, and why. Nothing is said of the Service."""

    why: str


def why_not_by_proxy(item: PreflightItem, place: Place) -> Unseen | None:
    """Why the proxy would ask something else than the operator does, or answer something else than the Service does."""
    if place.scheme != "http":
        return Unseen("the API server's proxy checks no certificate; the operator does")
    path = place.path.partition("?")[0]
    if not _is_plain(path):
        return Unseen(f"the API server's proxy rewrites the path {path}")
    written = [one.subject for one in item.expected if one.subject.lower() in WRITTEN_BY_PROXY]
    if written:
        return Unseen(f"header {', '.join(written)} may be the API server's own behind its proxy")
    return None


def path_through_proxy(namespace: str, place: Place) -> str:
    """Path and query of the Service's port below the API server."""
    port = quote(f"{place.scheme}:{place.service}:{place.port}", safe=":")
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{port}/proxy{place.path}"


def answer_of(url: str, place: Place, fetched: Fetched, most: int) -> HttpAnswer | Unanswered | Unseen:
    """The Service's answer, that it gives none, or that it was not reached; `most` is the longest body in bytes."""
    status = _status_of(fetched)
    if status is not None:
        return _refused(place, fetched.status, status)
    if fetched.body is None:
        return Unanswered(Verdict.ERROR, f"the body has more than {most} bytes")
    headers = tuple((name, value) for name, value in fetched.headers if name.lower() not in WRITTEN_BY_PROXY)
    return HttpAnswer(url, fetched.status, headers, fetched.body, fetched.seconds)


def _is_plain(path: str) -> bool:
    """Whether proxy and client library leave the path as it is. Dots would lead out of the proxy, to other objects."""
    parts = unquote(path).split("/")
    return "%2f" not in path.lower() and "//" not in path and not {".", ".."} & set(parts)


def _status_of(fetched: Fetched) -> Mapping[str, object] | None:
    """The Status object by which the API server refuses, None where the answer is the Service's."""
    if fetched.status < HTTPStatus.BAD_REQUEST or not fetched.body:
        return None
    try:
        body: object = json.loads(fetched.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, Mapping) or (body.get("kind"), body.get("apiVersion")) != ("Status", "v1"):
        return None
    return body if (body.get("status"), body.get("code")) == ("Failure", fetched.status) else None


def _refused(place: Place, code: int, status: Mapping[str, object]) -> Unanswered | Unseen:
    what, words = f"Service {place.service}", shorten(str(status.get("message") or ""))
    match code:
        case HTTPStatus.FORBIDDEN:
            return Unseen(f"the right to get services/proxy is missing: {words}")
        case HTTPStatus.NOT_FOUND:  # the same of a Service that is there, and has no Endpoints
            return Unseen(f"{what} has no Endpoints to go to for the API server's proxy: {words}")
        case HTTPStatus.SERVICE_UNAVAILABLE if "no service port" in words:
            return Unanswered(Verdict.ERROR, f"{what} has no port {place.port}")
        case HTTPStatus.SERVICE_UNAVAILABLE if "no endpoints available" in words:
            return Unanswered(Verdict.NO_DATA, f"{what} has no ready endpoint")
        case HTTPStatus.SERVICE_UNAVAILABLE if "error trying to reach service" in words and "dial" not in words:
            return Unanswered(Verdict.NO_DATA, f"no answer: {words}")
        case HTTPStatus.SERVICE_UNAVAILABLE if "error trying to reach service" in words:
            return Unseen(f"the API server has no connection to {what}, which the operator may have: {words}")
        case _:
            return Unseen(f"the API server did not ask {what}: {code} {words}")
