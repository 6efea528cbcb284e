"""Telling people outside of Kubernetes. Nothing that is decided waits for it, and nothing fails with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sparkrelease.decide.notices import Notice


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    FAILED = "failed"
    """The target refused it, or did not take it in time."""
    DROPPED = "dropped"
    """Too many were waiting, and it was the oldest."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one message at one target. `why` is a sentence without any secret; empty when it was sent."""

    target: str
    notice: Notice
    fate: Fate
    tries: int
    why: str = ""


Settled = Callable[[Delivery], None]


class Notifier(Protocol):
    """The targets the administrator declared."""

    def open_to(self, namespace: str) -> frozenset[str]:
        """Targets that releases of the namespace may name."""
        ...

    def send(self, target: str, notice: Notice, settled: Settled) -> None:
        """Queues a message for a declared target; returns at once and never raises.

        `settled` is called once, from the event loop: at the end of the tries, or when the message makes way.
        A message on its way when the process ends is not settled.
        """
        ...

    def waiting(self) -> Mapping[str, int]:
        """By target, messages that are not settled."""
        ...


class NoNotifier:
    """A process without targets."""

    def open_to(self, namespace: str) -> frozenset[str]:
        """See Notifier."""
        del namespace
        return frozenset()

    def send(self, target: str, notice: Notice, settled: Settled) -> None:
        """See Notifier; nobody is declared, so nothing is sent."""
        settled(Delivery(target, notice, Fate.FAILED, 0, "no such target is declared"))

    def waiting(self) -> Mapping[str, int]:
        """See Notifier."""
        return {}
