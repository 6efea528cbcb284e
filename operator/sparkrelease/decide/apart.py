"""Roles that are scraped at different moments: whether what both suffer may have been seen of one of them alone.

A window counts between the newest samples at its ends. Where canary and stable are scraped apart, the time it counts of
one is later than that of the other, by up to one scrape. While the level both share stands still, that is nothing; when
it jumps, one role has seen more of it. Stable alone tells whether it has moved, for a defect of canary leaves it alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparkrelease.decide.facts import Window

AROUND = 3
"""Windows that are looked at: the one in question, the one before it and the one after it."""

_CHANCE = 0.05
"""How often, about, windows of a level that stands still are taken for some of one that moves."""

_WITHIN = 1 / 5
"""Part of the margin's excess by which a level may wobble: three times that makes no equal canary look worse."""


def last_known(windows: Sequence[Window]) -> Window | None:
    """The newest window that can be counted now: one of roles scraped apart waits until the next is known."""
    if windows and windows[-1].apart:
        return windows[-2] if len(windows) > 1 else None
    return windows[-1] if windows else None


def around(windows: Sequence[Window], place: int) -> tuple[Window, ...]:
    """The window before, the one at this place and the one after it; none where they are not all there."""
    found = tuple(windows[max(0, place - 1) : place + 2])
    ends = [one.end for one in found]
    length = windows[place].length
    return found if len(found) == AROUND and ends[2] - ends[1] == ends[1] - ends[0] == length else ()


def tolerated(spread: float, margin: float) -> float:
    """The relative variance from window to window that is no move, given the one seen before the run."""
    return spread + (_WITHIN * (margin - 1)) ** 2


def stands_still(bad: Sequence[Sequence[float]], total: Sequence[float], variance: float) -> bool:
    """Whether stable's share is the same in all windows as far as chance can tell.

    `bad` has for each question the bad events of each window, `total` all events of each. What is looked at is the
    logarithm of how much better a level for each window explains them than one for all: above x by chance with
    exp(-x), for three windows of many events. `variance` takes from it what it takes from evidence.
    """
    most = math.log(len(bad) / _CHANCE)
    return all(_gain(one, total, variance) <= most for one in bad)


def _gain(bad: Sequence[float], total: Sequence[float], variance: float) -> float:
    all_bad, everything = sum(bad), sum(total)
    if all_bad <= 0 or everything <= 0:
        return 0.0
    share = all_bad / everything
    gain = sum(_part(b, n * share) + _part(n - b, n * (1 - share)) for b, n in zip(bad, total, strict=True))
    return gain / (1 + variance * all_bad / len(bad))


def _part(seen: float, expected: float) -> float:
    return seen * math.log(seen / expected) if seen > 0 and expected > 0 else 0.0
