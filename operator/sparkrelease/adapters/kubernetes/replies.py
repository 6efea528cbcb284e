"""From what the API server said to a Reply: every outcome is a value with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply

LONGEST_MESSAGE = 400
"""Characters of a server's message that go into a Problem."""

DEFAULT_RETRY_AFTER = 1.0
"""Seconds to stay away after a 429 that does not say how long."""

_REASONS: Mapping[int, Reason] = {
    HTTPStatus.UNAUTHORIZED: Reason.FORBIDDEN,
    HTTPStatus.FORBIDDEN: Reason.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Reason.OBJECT_NOT_FOUND,
    HTTPStatus.CONFLICT: Reason.OBJECT_CHANGED,
    HTTPStatus.GONE: Reason.OBJECT_CHANGED,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.API_SERVER_BUSY,
}


def shorten(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """The text on one line, cut to `limit` characters with a mark where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def read_body(data: bytes) -> Mapping[str, object]:
    """The JSON object in an answer; empty when there is none."""
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def cause_reasons(body: Mapping[str, object]) -> frozenset[str]:
    """The reasons in `details.causes` of a Status."""
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    if not isinstance(causes, list):
        return frozenset()
    return frozenset(str(cause.get("reason")) for cause in causes if isinstance(cause, Mapping))


def _reason(status: int, body: Mapping[str, object]) -> Reason:
    if "NamespaceTerminating" in cause_reasons(body):
        return Reason.NAMESPACE_TERMINATING
    known = _REASONS.get(status)
    if known is not None:
        return known
    return Reason.REFUSED if status < HTTPStatus.INTERNAL_SERVER_ERROR else Reason.API_SERVER_ERROR


def retry_after(value: str | None) -> float | None:
    """Retry-After in seconds; the API server never sends the date form, so that counts as not said."""
    if value is None or not value.strip().isdigit():
        return None
    return float(value)


def reply_of(method: str, path: str, status: int, data: bytes, wait: str | None) -> Reply:
    """The Reply to an answered request."""
    body = read_body(data)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if body:
            return Reply(status, body)
        return Reply(status, {}, Problem(Reason.API_SERVER_ERROR, f"{method} {path}: the answer is not a JSON object"))
    words = body.get("message")
    said = words if isinstance(words, str) and words else HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    problem = Problem(_reason(status, body), shorten(f"{method} {path}: {status} {said}"))
    seconds = retry_after(wait)
    if status == HTTPStatus.TOO_MANY_REQUESTS and seconds is None:
        seconds = DEFAULT_RETRY_AFTER
    return Reply(status, body, problem, seconds)


def unanswered(method: str, path: str, why: str) -> Reply:
    """The Reply to a request without an answer."""
    return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, shorten(f"{method} {path}: {why}")))


def kept_back(method: str, path: str, seconds: float) -> Reply:
    """The Reply to a request whose time ran out during a pause the server asked for."""
    text = f"{method} {path}: the API server asked to wait {seconds:.1f} s more"
    return Reply(0, {}, Problem(Reason.API_SERVER_BUSY, text), seconds)
