"""How items of spec.preflight are carried out: what only a request to somebody else can tell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sparkrelease.api.preflight import PreflightItem
from sparkrelease.decide.preflight.answers import PreflightAnswer


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose preflight it is. `attempt` names what is made for it, so that nothing is made twice."""

    namespace: str
    release: str
    uid: str
    attempt: str
    canary: str
    """Service of the version on trial."""


class PreflightRunner(Protocol):
    """Carries out items of every kind but promql; bounded in size, and in time by whoever cancels it."""

    def turn(self, item: PreflightItem, /) -> AbstractAsyncContextManager[None]:
        """Entered when the item may be asked, left when it was: only so many are at once, of all releases together.

        The wait is no time of the item, whose timeout begins after it.
        """
        ...

    async def run(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        """Asks. Idempotent: a Job that an operator before this one made for the same attempt is waited for."""
        ...

    async def clean(self, subject: Subject, items: Sequence[PreflightItem]) -> None:
        """Removes what the attempt made. Never raises; what stays goes by its own time limit."""
        ...
