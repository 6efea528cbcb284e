"""How fast the desk lives: at a pace of 60 a minute's events happen in a second, and a drill lasts no hour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Everything the policies measure in time is divided by `factor`; what a request itself takes is not."""

    factor: float = 1.0

    def seconds(self, span: float) -> float:
        """How long `span` seconds last here."""
        return span / self.factor

    def rate(self, per_minute: float) -> float:
        """Events a second here, of so many a minute."""
        return per_minute * self.factor / 60


class Share:
    """Picks a share of events, evenly: of a hundred, two percent are two, and not about two."""

    def __init__(self) -> None:
        self._owed = 0.0

    def due(self, share: float) -> int:
        """How many are due after another event (or another `share` of one)."""
        self._owed += share
        whole = int(self._owed + 1e-9)
        self._owed -= whole
        return whole
