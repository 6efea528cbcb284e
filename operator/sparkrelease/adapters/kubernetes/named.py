"""Watches of single objects by name: what a Role with resourceNames allows where a list of the kind is not allowed."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ApiServer

LASTS = 240
"""Seconds after which the server ends a watch, so that one that died silently is not waited on for ever."""

_MOST = 4_000_000
"""Bytes of one event; a ConfigMap is a mebibyte at most."""


class Streams(Protocol):
    """A lane on which an answer is read while it is being sent."""

    def stream(self, path: str, query: Mapping[str, str | int]) -> AsyncGenerator[bytes | Problem]:
        """Pieces of the answer to a GET as they come; a Problem, as the last one, when it is refused or breaks off."""
        ...


class NamedObjects:
    """A NamedWatch. `api` is for reading, `streams` has connections of its own: each watch keeps one busy."""

    def __init__(self, api: ApiServer, streams: Streams) -> None:
        self._api = api
        self._streams = streams

    async def follow(
        self, kind: str, namespace: str, name: str, see: Callable[[str, str, Mapping[str, object]], None]
    ) -> Problem | None:
        """See NamedWatch."""
        reply = await self._api.request("GET", path_of(kind, namespace, name))
        if not reply.ok and not reply.not_found:
            return reply.problem
        body = reply.body if reply.ok else {"metadata": {"namespace": namespace, "name": name}}
        see(kind, "MODIFIED" if reply.ok else "DELETED", body)
        query: dict[str, str | int] = {"watch": 1, "fieldSelector": f"metadata.name={name}", "timeoutSeconds": LASTS}
        metadata = body.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
        if isinstance(version, str):
            query["resourceVersion"] = version
        async with aclosing(_lines(self._streams, path_of(kind, namespace), query)) as lines:
            async for line in lines:
                if isinstance(line, Problem):
                    return line
                event, seen = _event(line)
                if event == "ERROR":
                    return None  # the version is too old to go on from: it begins anew
                if event in {"ADDED", "MODIFIED", "DELETED"}:
                    see(kind, "MODIFIED" if event == "ADDED" else event, seen)
        return None


async def _lines(streams: Streams, path: str, query: Mapping[str, str | int]) -> AsyncGenerator[bytes | Problem]:
    """The answer line by line; the library's own reader refuses lines of more than a few pages."""
    rest = b""
    async with aclosing(streams.stream(path, query)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Problem):
                yield piece
                return
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > _MOST:
                yield Problem(Reason.API_SERVER_ERROR, f"GET {path}: an event of more than {_MOST} bytes")
                return
            for line in whole:
                yield line


def _event(line: bytes) -> tuple[str, Mapping[str, object]]:
    try:
        event = json.loads(line)
    except ValueError:
        return "ERROR", {}
    body = event.get("object") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(body, Mapping):
        return "ERROR", {}
    return str(event.get("type")), body
