"""Requests to the Kubernetes API server, as the adapters share them: one answer per request, never an exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from sparkrelease.decide.facts import Problem

PLAIN_TEXT = "text/plain, */*"
"""What to accept where the answer is text, as a pod's log is."""


class ContentType(StrEnum):
    """How a body is to be understood."""

    JSON = "application/json"
    JSON_PATCH = "application/json-patch+json"
    MERGE_PATCH = "application/merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request.

    `status` is the HTTP status, 0 when no answer came in time (then a write may or may not have been done).
    `body` is the object, the list or the Status the server sent, empty when it sent no JSON object.
    `problem` is None for 2xx, else what a person should know, with its reason.
    """

    status: int
    body: Mapping[str, object] = field(default_factory=dict)
    problem: Problem | None = None
    retry_after: float | None = None
    """Seconds the server asked to stay away."""
    text: str = ""
    """The answer to a request that accepts PLAIN_TEXT, once it was done."""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.problem is None

    @property
    def answered(self) -> bool:
        """Whether the server answered at all."""
        return self.status != 0

    @property
    def not_found(self) -> bool:
        """Whether there is no such object (or no such API)."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def status_reason(self) -> str:
        """The `reason` of the Status the server sent, such as AlreadyExists or Conflict; empty for an object."""
        reason = self.body.get("reason") if self.body.get("kind") == "Status" else None
        return reason if isinstance(reason, str) else ""

    @property
    def already_exists(self) -> bool:
        """Whether a create met an object of that name."""
        return self.status == HTTPStatus.CONFLICT and self.status_reason == "AlreadyExists"

    @property
    def guard_failed(self) -> bool:
        """Whether a write may have failed for its guard: 409, or 422, which is also the answer to an invalid object."""
        if self.status == HTTPStatus.CONFLICT:
            return not self.already_exists
        return self.status == HTTPStatus.UNPROCESSABLE_ENTITY


class ApiServer(Protocol):
    """One lane to the API server: its own connections and its own time limit. Nothing is retried here."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | Sequence[object] | None = None,
        content: ContentType = ContentType.JSON,
        accept: str = "application/json",
        within: float | None = None,
    ) -> Reply:
        """Sends one request.

        `path` is absolute and already quoted. `within` (seconds) overrides the lane's own and bounds everything,
        waiting for a connection and for the end of a pause the server asked for (429) included.
        """
        ...
