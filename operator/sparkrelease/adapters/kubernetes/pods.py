"""Pods by the selectors of Services: what several Services of a namespace want at the same time is one LIST."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sparkrelease.adapters.kubernetes.fingerprint import began, fingerprint
from sparkrelease.adapters.kubernetes.lists import list_pages
from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ApiServer

GATHERING = 0.01
"""Seconds a LIST waits for others that want the same: both sides of a release at least."""

PAUSE = 0.2
"""Seconds between two LISTs of one namespace by the same labels; the first is sent at once. When hundreds of releases
start together, most of them find their pods in an answer they share."""

MOST = 64
"""Selectors put together in one LIST, so that its address stays short."""

Selector = tuple[tuple[str, str], ...]
"""Labels and values, sorted by label."""

_Family = tuple[str, tuple[str, ...]]
"""Namespace, and the labels that are selected by: selectors of one family can be put together."""


class Pods:
    """The answer to one LIST: what each pod runs, worked out once for all who ask."""

    def __init__(self, found: list[Mapping[str, object]]) -> None:
        self._pods = {_uid(pod): pod for pod in found}
        self._prints: dict[str, str] = {}

    def fingerprint(self, uid: str) -> str | None:
        """Fingerprint of a pod; None when it is not among them."""
        known = self._prints.get(uid)
        if known is None and (pod := self._pods.get(uid)) is not None:
            known = self._prints[uid] = fingerprint(pod)
        return known

    def began(self, uid: str) -> datetime | None:
        """When a pod's newest container began; None when that, or the pod, is not known."""
        pod = self._pods.get(uid)
        return None if pod is None else began(pod)


@dataclass(slots=True)
class _Batch:
    selectors: set[Selector] = field(default_factory=set)
    task: asyncio.Task[Pods | Problem] | None = None


class PodReader:
    """Reads pods; never more than `concurrent_reads` LISTs at once."""

    def __init__(self, api: ApiServer, reads: asyncio.Semaphore, *, pause: float = PAUSE) -> None:
        self._api = api
        self._reads = reads
        self._pause = pause
        self._waiting: dict[_Family, _Batch] = {}
        self._sent_at: dict[_Family, float] = {}

    async def pods(self, namespace: str, selector: Selector) -> Pods | Problem:
        """The pods with these labels, and perhaps others, as they are after this call began."""
        family = (namespace, tuple(label for label, _ in selector))
        batch = self._waiting.get(family)
        if batch is None or (len(batch.selectors) >= MOST and selector not in batch.selectors):
            batch = self._waiting[family] = _Batch()
        batch.selectors.add(selector)
        if batch.task is None:
            batch.task = asyncio.create_task(self._list(family, batch), name=f"pods of {namespace}")
        # One who is cut short must not take the answer away from the others.
        return await asyncio.shield(batch.task)

    async def _list(self, family: _Family, batch: _Batch) -> Pods | Problem:
        now = asyncio.get_running_loop().time()
        rest = self._sent_at.get(family, now - self._pause) + self._pause - now
        await asyncio.sleep(max(rest, GATHERING))
        async with self._reads:
            # From here on nobody joins: the answer must not be older than the question.
            if self._waiting.get(family) is batch:
                del self._waiting[family]
            self._note_sent(family)
            found = await list_pages(self._api, path_of("Pod", family[0]), labels=_query(batch.selectors))
        return found if isinstance(found, Problem) else Pods(found)

    def _note_sent(self, family: _Family) -> None:
        now = asyncio.get_running_loop().time()
        for other in [other for other, at in self._sent_at.items() if now - at > self._pause]:
            del self._sent_at[other]
        self._sent_at[family] = now


def _query(selectors: set[Selector]) -> str:
    """A label query that all of them match. With several labels it may match more: every mixture of their values."""
    values: dict[str, set[str]] = {}
    for selector in selectors:
        for label, value in selector:
            values.setdefault(label, set()).add(value)
    return ",".join(
        f"{label}={next(iter(wanted))}" if len(wanted) == 1 else f"{label} in ({','.join(sorted(wanted))})"
        for label, wanted in values.items()
    )


def _uid(pod: Mapping[str, object]) -> str:
    metadata = pod.get("metadata")
    return str(metadata.get("uid") or "") if isinstance(metadata, Mapping) else ""
