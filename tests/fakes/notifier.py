"""A notifier whose targets do what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparkrelease.decide.notices import Notice
from sparkrelease.ports.notifier import Delivery, Fate, Settled


@dataclass
class FakeNotifier:
    """Delivers at once, unless `stuck`: then messages wait until `settle`."""

    declared: frozenset[str] = frozenset({"ops"})
    stuck: bool = False
    sent: list[tuple[str, Notice]] = field(default_factory=list)
    _waiting: list[tuple[str, Notice, Settled]] = field(default_factory=list)

    def open_to(self, namespace: str) -> frozenset[str]:
        return self.declared

    def send(self, target: str, notice: Notice, settled: Settled) -> None:
        self.sent.append((target, notice))
        if self.stuck:
            self._waiting.append((target, notice, settled))
        else:
            settled(Delivery(target, notice, Fate.SENT, 1))

    def waiting(self) -> Mapping[str, int]:
        return {name: sum(target == name for target, _, _ in self._waiting) for name in self.declared}

    def settle(self, fate: Fate = Fate.SENT, why: str = "", *, only: str | None = None) -> None:
        """What waits comes to its end, of all targets or one."""
        now, self._waiting = self._waiting, []
        for target, notice, settled in now:
            if only in {None, target}:
                settled(Delivery(target, notice, fate, 1, why))
            else:
                self._waiting.append((target, notice, settled))

    def forget(self) -> None:
        """The process is gone: nobody settles what waited."""
        self._waiting.clear()

    def reasons(self, target: str = "ops") -> list[str]:
        """Reasons of the messages to a target, in order."""
        return [notice.reason.value for name, notice in self.sent if name == target]
