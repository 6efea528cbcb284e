"""Who may write: one Lease, a deadline on the monotonic clock, and an epoch that never comes back."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from sparkrelease.api.config import LeaseConfig
from sparkrelease.ports.api_server import ApiServer, Reply

log = logging.getLogger(__name__)

_EPOCH_ORIGIN = datetime(2025, 1, 1, tzinfo=UTC)
_TRIES_PER_DEADLINE = 4
_LONGEST_TRY = 2.0
_PAUSE_AFTER_FAILURE = 0.5
_TOO_LATE = "the Lease was not renewed before its deadline"
_FIELD_MANAGER = "sparkrelease"


def new_identity() -> str:
    """Name of this process in the Lease: the pod's name and something no other start of it has."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True, slots=True)
class Record:
    """A Lease as the API server has it."""

    version: str
    holder: str
    duration: float
    """Seconds its holder promised to renew within."""
    transitions: int
    body: Mapping[str, object]


class LeaseHolder:
    """Takes the Lease, renews it, and knows at every moment whether it surely still holds it; a Leadership.

    No two machines' clocks are compared. A follower takes the Lease only after seeing it unchanged for its whole
    duration by its own monotonic clock. A holder counts from the start of its last successful try, so a process that
    was frozen knows at once that its time is over. While `may_renew` says no, the Lease is left to run out.

    Raises ValueError unless renew < deadline < duration: a holder has to stop before another may start.
    """

    def __init__(
        self,
        api: ApiServer,
        config: LeaseConfig,
        identity: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        may_renew: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api = api
        self._config = config
        self.identity = identity
        self._monotonic = monotonic
        self._now = now
        self._may_renew = may_renew
        self._renew = config.renew.total_seconds()
        self._deadline = config.deadline.total_seconds()
        if not 0 < self._renew < self._deadline < config.duration.total_seconds():
            raise ValueError("of a Lease, renew must be shorter than deadline, and deadline shorter than duration")
        self._try = min(_LONGEST_TRY, self._deadline / _TRIES_PER_DEADLINE)
        self._epoch = 0
        self._valid_until = float("-inf")
        self._held: Record | None = None
        self._watched: Record | None = None
        self._watched_since = 0.0
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()

    # ------------------------------------------------------------ Leadership

    @property
    def epoch(self) -> int:
        """Number of this leadership; 0 while not leading, and as soon as the deadline has passed."""
        return self._epoch if self.valid_for(0) else 0

    def valid_for(self, seconds: float) -> bool:
        """Whether the leadership surely lasts that long, by the monotonic clock."""
        return self._monotonic() + seconds < self._valid_until

    async def still_held(self) -> bool | None:
        """Reads the Lease: whether it names this process and this epoch; None when it cannot be read."""
        reply = await self._send("GET")
        if reply.not_found:
            return False
        record = read_record(reply.body) if reply.ok else None
        if record is None:
            return None
        return (record.holder, record.transitions) == (self.identity, self.epoch)

    # ------------------------------------------------------------ life

    async def run(self, on_started: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        """Waits for the Lease, calls `on_started` once, and keeps it.

        Calls `on_lost(why)` at once when the deadline passes without a renewal or somebody else holds the Lease; the
        process must then stop without writing anything. Returns after that, or after `stop`.
        """
        self._stopped.clear()
        try:
            if not await self._acquire():
                return
            log.info("leading as %s with epoch %d", self.identity, self._epoch)
            on_started()
            why = await self._keep()
            self._valid_until = float("-inf")
            if why is None:
                await self._release()
            else:
                on_lost(why)
                log.error("leadership lost: %s", why)
        finally:
            self._valid_until = float("-inf")
            self._stopped.set()

    async def stop(self) -> None:
        """Gives the Lease back, for a clean end: stop writing first. Returns when `run` has."""
        self._valid_until = float("-inf")
        self._stopping.set()
        await self._stopped.wait()

    # ------------------------------------------------------------ following

    async def _acquire(self) -> bool:
        """Waits until this process holds the Lease; False when stopped before."""
        while not self._stopping.is_set():
            if await self._try_to_take():
                return True
            # Spread out, so that several followers do not always meet.
            await self._pause(self._renew * random.uniform(0.8, 1.2))
        return False

    async def _try_to_take(self) -> bool:
        started = self._monotonic()
        reply = await self._send("GET")
        if reply.not_found:
            return self._took(await self._create(), started)
        record = read_record(reply.body) if reply.ok else None
        if record is None:
            log.warning("cannot read the Lease: %s", reply.problem.message if reply.problem else "it is malformed")
            return False
        if record.holder == self.identity:
            # It was taken and the reply was lost: it counts only once a renewal has been answered.
            return self._took(await self._replace(record, record.transitions), started)
        if not self._is_free(record):
            return False
        return self._took(await self._replace(record, record.transitions + 1), started)

    def _is_free(self, record: Record) -> bool:
        """Whether nobody holds it, or its holder was seen to be silent for the whole duration."""
        if not record.holder:
            return True
        if self._watched is None or self._watched.version != record.version:
            self._watched, self._watched_since = record, self._monotonic()
        silent = self._monotonic() - self._watched_since
        return silent >= max(record.duration, self._config.duration.total_seconds())

    def _took(self, reply: Reply, started: float) -> bool:
        record = read_record(reply.body) if reply.ok else None
        if record is None or record.holder != self.identity:
            return False
        self._hold(record, started)
        self._epoch = record.transitions
        return True

    def _hold(self, record: Record, started: float) -> None:
        self._held = record
        self._valid_until = started + self._deadline

    # ------------------------------------------------------------ leading

    async def _keep(self) -> str | None:
        """Renews until stopped (None) or lost (why)."""
        renewing = asyncio.create_task(self._renew_for_ever())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while True:
                left = self._valid_until - self._monotonic()
                if self._stopping.is_set():
                    return None
                if left <= 0:
                    return _TOO_LATE
                done, _ = await asyncio.wait({renewing, stopping}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if renewing in done:
                    return renewing.result()
        finally:
            renewing.cancel()
            stopping.cancel()
            await asyncio.gather(renewing, stopping, return_exceptions=True)

    async def _renew_for_ever(self) -> str:
        """Renews again and again; answers why when the Lease belongs to somebody else."""
        pause = self._renew
        while True:
            await asyncio.sleep(pause)
            held, started = self._held, self._monotonic()
            if held is None or started >= self._valid_until:
                return _TOO_LATE
            pause = min(self._renew, _PAUSE_AFTER_FAILURE)
            if not self._may_renew():
                log.warning("Lease not renewed: what it is held for hangs")
                continue
            reply = await self._replace(held, held.transitions)
            record = read_record(reply.body) if reply.ok else None
            if record is not None:
                self._hold(record, started)
                pause = self._renew
            elif reply.guard_failed or reply.not_found:
                why = await self._look_again()
                if why is not None:
                    return why
            elif reply.problem is not None:
                log.warning("Lease not renewed, trying again: %s", reply.problem.message)

    async def _look_again(self) -> str | None:
        """After a refused renewal: why the Lease is lost, or None when it is still ours or cannot be read."""
        reply = await self._send("GET")
        if reply.not_found:
            return "the Lease was deleted"
        record = read_record(reply.body) if reply.ok else None
        if record is None:
            return None
        if record.holder != self.identity or record.transitions != self._epoch:
            return f"{record.holder or 'nobody'} holds the Lease"
        # An earlier renewal arrived although its reply did not; the next one starts from its version.
        self._held = record
        return None

    async def _release(self) -> None:
        """Makes the Lease free at once. The epoch stays in it, so the next holder has a higher one."""
        held = self._held
        if held is None:
            return
        reply = await self._send("PUT", self._body(held, "", held.transitions))
        if reply.guard_failed and await self._look_again() is None:
            # A renewal cut short by the stop had arrived all the same.
            held = self._held or held
            reply = await self._send("PUT", self._body(held, "", held.transitions))
        if reply.problem is not None:
            log.warning("Lease not released, it runs out by itself: %s", reply.problem.message)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    # ------------------------------------------------------------ requests

    async def _send(self, method: str, body: Mapping[str, object] | None = None) -> Reply:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(self._config.namespace, safe='')}/leases"
        if method != "POST":
            path = f"{path}/{quote(self._config.name, safe='')}"
        query = {"fieldManager": _FIELD_MANAGER} if body is not None else None
        return await self._api.request(method, path, query=query, body=body, within=self._try)

    async def _create(self) -> Reply:
        """Creates the Lease. Its first epoch is the time in seconds: a Lease made anew starts above a deleted one."""
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._config.name, "namespace": self._config.namespace},
            "spec": self._spec(self.identity, max(1, int((self._now() - _EPOCH_ORIGIN).total_seconds()))),
        }
        return await self._send("POST", body)

    async def _replace(self, record: Record, transitions: int) -> Reply:
        return await self._send("PUT", self._body(record, self.identity, transitions))

    def _body(self, record: Record, holder: str, transitions: int) -> dict[str, object]:
        """The Lease with a new spec; its resourceVersion makes the write fail when somebody else wrote meanwhile."""
        before = record.body.get("spec")
        spec = self._spec(holder, transitions)
        if isinstance(before, Mapping) and record.transitions == transitions and before.get("acquireTime"):
            spec["acquireTime"] = before["acquireTime"]
        return {**record.body, "spec": spec}

    def _spec(self, holder: str, transitions: int) -> dict[str, object]:
        now = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._config.duration.total_seconds())),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }


def read_record(body: Mapping[str, object]) -> Record | None:
    """The Lease in an answer; None when it cannot be read as one."""
    metadata, spec = body.get("metadata"), body.get("spec")
    if not isinstance(metadata, Mapping) or not metadata.get("resourceVersion"):
        return None
    said = spec if isinstance(spec, Mapping) else {}
    duration, transitions = said.get("leaseDurationSeconds"), said.get("leaseTransitions")
    return Record(
        version=str(metadata["resourceVersion"]),
        holder=str(said.get("holderIdentity") or ""),
        duration=float(duration) if isinstance(duration, int) else 0.0,
        transitions=transitions if isinstance(transitions, int) else 0,
        body=body,
    )
