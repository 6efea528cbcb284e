"""The one door to Kubernetes Events: the same words of a run once in five minutes, and never in anybody's way."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.kubernetes.replies import shorten
from sparkrelease.decide.notices import CLOSING
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.ports.api_server import ApiServer, ContentType, Reply
from sparkrelease.ports.cluster import ObjectKey

log = logging.getLogger(__name__)

WINDOW = 300.0
"""Seconds in which the same words about a run of an object are posted once."""

BURST = 25
"""Events with different words that one object may post in a window, of each kind: more are counted and dropped.

Ends of runs, other Warnings and all the rest have room of their own: none of them can use up that of another.
"""

LONGEST_MESSAGE = 1024
"""Characters of a message; the API server refuses longer ones."""

_REMEMBERED = 4096
_LONGEST_NAME = 253

_Subject = tuple[str, str, str]
"""Uid of the object, reason, hash of run and message."""


class _Kind(Enum):
    """What an Event is, for the room it has."""

    END = auto()
    WARNING = auto()
    OTHER = auto()


@dataclass(slots=True)
class _Post:
    """One Event as it stands in the cluster, and how often it was said since."""

    subject: _Subject
    key: ObjectKey
    draft: EventDraft
    name: str
    first: datetime
    sent: float
    """Monotonic time of the last post."""
    count: int = 1
    created: bool = False


class KubernetesEvents:
    """Posts core/v1 Events (what `kubectl describe` shows) from a bounded queue; an EventRecorder.

    `run` posts; without it Events wait. `instance` is the name of this operator process.
    """

    def __init__(
        self,
        api: ApiServer,
        instance: str,
        *,
        queue_size: int = 1000,
        in_flight: int = 4,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._instance = instance[:128]
        self._in_flight = in_flight
        self._now = now
        self._monotonic = monotonic
        self._queue: asyncio.Queue[_Post] = asyncio.Queue(queue_size)
        self._posts: OrderedDict[_Subject, _Post] = OrderedDict()
        self._bursts: OrderedDict[tuple[str, _Kind], tuple[float, int]] = OrderedDict()
        self.dropped = 0
        """Events nobody will see: the queue was full, an object said too much of a kind, or a post failed."""

    async def emit(self, key: ObjectKey, uid: str, event: EventDraft) -> None:
        """Queues the Event, or counts it when the same words were posted less than five minutes ago."""
        digest = hashlib.sha256(f"{event.run}\n{event.message}".encode()).hexdigest()[:16]
        subject = (uid, str(event.reason), digest)
        now = self._monotonic()
        post = self._posts.get(subject)
        if post is None:
            if not self._within_burst((uid, _kind(event)), now):
                self.dropped += 1
                return
            post = _Post(subject, key, event, _name(key.name, digest, self._now()), self._now(), now)
            self._posts[subject] = post
            if len(self._posts) > _REMEMBERED:
                self._posts.popitem(last=False)
        else:
            self._posts.move_to_end(subject)
            post.count += 1
            if now - post.sent < WINDOW:
                return
            post.sent = now
        try:
            self._queue.put_nowait(post)
        except asyncio.QueueFull:
            self.dropped += 1
            self._posts.pop(subject, None)

    def _within_burst(self, whose: tuple[str, _Kind], now: float) -> bool:
        began, count = self._bursts.get(whose, (now, 0))
        if now - began >= WINDOW:
            began, count = now, 0
        self._bursts[whose] = (began, count + 1)
        self._bursts.move_to_end(whose)
        if len(self._bursts) > _REMEMBERED:
            self._bursts.popitem(last=False)
        return count < BURST

    async def run(self) -> None:
        """Posts until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._in_flight):
                group.create_task(self._work())

    async def flush(self, within: float = 2.0) -> None:
        """Waits until what is queued is posted, at most `within` seconds; `run` must be under way."""
        try:
            async with asyncio.timeout(within):
                await self._queue.join()
        except TimeoutError:
            log.warning("%d events were not posted in time", self._queue.qsize())

    async def _work(self) -> None:
        while True:
            post = await self._queue.get()
            try:
                await self._send(post)
            finally:
                self._queue.task_done()

    async def _send(self, post: _Post) -> None:
        reply = await (self._repeat(post) if post.created else self._create(post))
        if post.created and reply.not_found:
            # The cluster forgets Events after an hour: it is said anew.
            post.created, post.first, post.count = False, self._now(), 1
            reply = await self._create(post)
        if reply.problem is not None:
            self.dropped += 1
            self._posts.pop(post.subject, None)
            log.warning("event %s about %s not posted: %s", post.draft.reason, post.key.name, reply.problem.message)
            return
        post.created = True

    async def _create(self, post: _Post) -> Reply:
        body = self._body(post)
        return await self._api.request("POST", path_of("Event", post.key.namespace), body=body)

    async def _repeat(self, post: _Post) -> Reply:
        return await self._api.request(
            "PATCH",
            path_of("Event", post.key.namespace, post.name),
            body={"count": post.count, "lastTimestamp": _seconds(self._now())},
            content=ContentType.MERGE_PATCH,
        )

    def _body(self, post: _Post) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": post.name, "namespace": post.key.namespace},
            "involvedObject": {
                "apiVersion": "sparkrelease.dev/v1alpha1",
                "kind": "SparkRelease",
                "namespace": post.key.namespace,
                "name": post.key.name,
                "uid": post.subject[0],
            },
            "reason": str(post.draft.reason),
            "message": shorten(post.draft.message, LONGEST_MESSAGE),
            "type": str(post.draft.severity),
            "source": {"component": "sparkrelease"},
            "reportingComponent": "sparkrelease.dev/operator",
            "reportingInstance": self._instance,
            "firstTimestamp": _seconds(post.first),
            "lastTimestamp": _seconds(self._now()),
            "count": post.count,
        }


def _kind(event: EventDraft) -> _Kind:
    if event.reason in CLOSING:
        return _Kind.END
    return _Kind.WARNING if event.severity is Severity.WARNING else _Kind.OTHER


def _name(release: str, digest: str, at: datetime) -> str:
    """A name of its own for each posting, so that a restarted operator never meets an Event of the one before."""
    suffix = f".{digest[:8]}{int(at.timestamp() * 1000):x}"
    return release[: _LONGEST_NAME - len(suffix)].rstrip("-.") + suffix


def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
