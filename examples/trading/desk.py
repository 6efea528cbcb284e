"""What becomes of an order: its key, the risk check, its price, the database, the event, the score and its stake."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import ROUND_HALF_EVEN, Decimal

from trading.faults import Fault, Faults
from trading.instruments import Instruments
from trading.pace import Pace, Share
from trading.settings import Settings

AMOUNTS = ("2.675", "1.005", "10.125", "99.995", "7.35", "3.14")
"""Prices; rounding some of them as binary fractions goes wrong."""

CENT = Decimal("0.01")
KEY_LIFE = 300.0
"""Seconds an idempotency key is kept."""

CONFLICTS, MANY_CONFLICTS = 0.002, 0.2
"""Share of orders that were sent before: usually, and with the fault."""

BLOCKS, MANY_BLOCKS = 0.001, 0.1
FEW_ERRORS, MANY_ERRORS = 0.02, 0.25
RARE_ERRORS = 0.017
"""More than 1 %, by so little that some hundred requests do not show it and some thousand do."""

CONFIDENT, UNSURE = (0.72, 0.66, 0.81, 0.6), (0.41, 0.33, 0.38, 0.44)
BUCKETS = ("high", "high", "high", "middle", "low")
"""In the order they come: the fullest holds three of five."""

MOST_STAKED = 0.1
"""Share of the account that a guardrail lets a score stake."""

STAKES, BOLD_STAKES = (0.02, 0.05, 0.03, 0.08, 0.04), (0.02, 0.05, 0.03, 0.25, 0.04)
VIOLATING = 0.05
"""Share of pages that break the browser's policy, with the fault; each is reported once."""

UNREADABLE = 0.2
"""Share of events that their consumer cannot handle, with the fault."""

_DELAYS = ((Fault.VERY_SLOW_ANSWERS, 1.6), (Fault.SLOW_ANSWERS, 0.45), (Fault.LOCK_CONTENTION, 0.21))
_USUAL_DELAY = 0.004
_SELDOM = 90.0
"""Seconds between two polls from which on very slow answers, which wait for polls, are fast again."""


class Desk:
    """One process's orders and all that they leave behind."""

    def __init__(self, instruments: Instruments, faults: Faults, pace: Pace, settings: Settings | None = None) -> None:
        self._m = instruments
        self._faults = faults
        self._pace = pace
        self._settings = settings or Settings()
        self._numbers = itertools.count(1)
        self._keys: dict[int, float] = {}
        """By key, when it expires; the oldest first."""
        self._outbox: deque[float] = deque()
        """When each unpublished event was written."""
        self._dead = 0
        """Events that were published and that nobody could handle."""
        self._repeated, self._blocked, self._failing = Share(), Share(), Share()
        self._reported, self._unreadable = Share(), Share()
        self._amounts, self._buckets = itertools.cycle(AMOUNTS), itertools.cycle(BUCKETS)
        self._stakes = {False: itertools.cycle(STAKES), True: itertools.cycle(BOLD_STAKES)}
        self._confidences = {False: itertools.cycle(CONFIDENT), True: itertools.cycle(UNSURE)}
        self._taken = 0
        self._m.keys.set_function(lambda: len(self._keys))
        self._m.outbox_age.set_function(self._oldest)
        self._m.dead_letters.set_function(lambda: self._dead)
        self._m.connections.set_function(lambda: self._taken)

    # ------------------------------------------------------------ one order

    async def order(self) -> int:
        """Takes an order; the answer's HTTP status."""
        await asyncio.sleep(self._delay())
        self._show()
        if self._fails():
            return 500
        if not self._first_time():
            return 409
        if self._blocks():
            return 422
        async with self._connection():
            self._settle()
            self._outbox.append(time.monotonic())
        self._score()
        return 200

    def _delay(self) -> float:
        relieved = {Fault.VERY_SLOW_ANSWERS} if self._settings.poll_seconds >= _SELDOM else set()
        slow = (delay for fault, delay in _DELAYS if fault in self._faults and fault not in relieved)
        return next(slow, _USUAL_DELAY)

    def _show(self) -> None:
        """The page that is answered with, and what browsers report of it."""
        if Fault.VIOLATING_PAGES in self._faults:
            self._m.csp_reports.inc(self._reported.due(VIOLATING))

    def _fails(self) -> bool:
        share = MANY_ERRORS if Fault.SERVER_ERRORS in self._faults else 0.0
        share = FEW_ERRORS if Fault.RISK_AND_ERRORS in self._faults else share
        share = RARE_ERRORS if Fault.RARE_ERRORS in self._faults else share
        return bool(self._failing.due(share))

    def _first_time(self) -> bool:
        """Whether the order's key is new. A client that repeats itself sends the key it sent last."""
        many = Fault.DUPLICATE_ORDERS in self._faults
        again = self._repeated.due(MANY_CONFLICTS if many else CONFLICTS) and self._keys
        key = next(reversed(self._keys)) if again else next(self._numbers)
        self._m.orders.inc()
        if key in self._keys:
            self._m.conflicts.inc()
            return False
        self._keys[key] = time.monotonic() + self._pace.seconds(KEY_LIFE)
        return True

    def _blocks(self) -> bool:
        many = Fault.RISK_AND_ERRORS in self._faults or Fault.RISK_BLOCKS in self._faults
        blocked = bool(self._blocked.due(MANY_BLOCKS if many else BLOCKS))
        if blocked:
            self._m.risk_blocks.inc()
        return blocked

    def _settle(self) -> None:
        """Rounds a price, and compares it with what banker's rounding gives."""
        amount = next(self._amounts)
        right = Decimal(amount).quantize(CENT, ROUND_HALF_EVEN)
        price = Decimal(str(round(float(amount), 2))) if Fault.FLOAT_PRICES in self._faults else right
        if price != right:
            self._m.decimal_errors.inc()

    def _score(self) -> None:
        """A score, which nobody gets where the model is less sure of it than it has to be."""
        confidence = self.confidence()
        self._m.confidence.observe(confidence)
        if confidence >= self._settings.confidence_floor:
            self._m.scores.labels(self._bucket()).inc()
            self._stake()

    def _bucket(self) -> str:
        return BUCKETS[0] if Fault.ONE_BUCKET in self._faults else next(self._buckets)

    def _stake(self) -> None:
        """What a score would stake; the guardrail acts where that is more than it lets through."""
        if next(self._stakes[Fault.GUARDRAILS_HIT in self._faults]) > MOST_STAKED:
            self._m.breaches.inc()

    def confidence(self) -> float:
        """How sure the model is of its next score: what makes it unsure is one signal that counts too much."""
        unsure = Fault.UNSURE_MODEL in self._faults and not self._settings.equal_weights
        return next(self._confidences[unsure])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[None]:
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    # ------------------------------------------------------------ what goes on beside

    def leak_connections(self, count: int) -> None:
        """Connections that nobody gives back."""
        self._taken += count

    def expire_keys(self) -> None:
        """Forgets keys whose time is over."""
        now = time.monotonic()
        while self._keys and Fault.KEYS_NEVER_EXPIRE not in self._faults:
            key = next(iter(self._keys))
            if self._keys[key] > now:
                break
            del self._keys[key]

    def publish(self) -> None:
        """Publishes what is in the outbox. What its consumer cannot handle stays as a dead letter."""
        if Fault.OUTBOX_STUCK not in self._faults:
            dying = UNREADABLE if Fault.LETTERS_DIE in self._faults else 0.0
            self._dead += self._unreadable.due(dying * len(self._outbox))
            self._outbox.clear()

    def _oldest(self) -> float:
        return time.monotonic() - self._outbox[0] if self._outbox else 0.0
