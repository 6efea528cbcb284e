"""The error budget: when it is spent, a new run waits until some of it is back, or until a person overrides it."""

from __future__ import annotations

from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.answers import pause_over, silent
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Counts, Missing, Problem, SpanAsk
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rules import sound

BUDGET = "error-budget"
"""Name of the span that is asked for."""


def budget_asks(spec: ResolvedSpec) -> tuple[SpanAsk, ...]:
    """What has to be asked before a run may start: bad events and all of them, over the budget's time."""
    budget = spec.error_budget
    if budget is None:
        return ()
    allowed = Threshold(name=BUDGET, metric=budget.metric, max=1 - budget.objective)
    return (SpanAsk(BUDGET, allowed, budget.window, whole=True),)


def budget_pause(d: Draft) -> timedelta:
    """Pause before the budget is looked at again: it comes back no faster than its window moves."""
    window = d.spec.error_budget.window if d.spec.error_budget is not None else timedelta(0)
    return max(pause_over(window), d.facts.tick)


def spent_budget(d: Draft) -> Problem | None:
    """Why no run may start; None while there is budget left.

    Both roles served the requests of this time, so both count. What cannot be read is not taken for unspent.
    """
    budget = d.spec.error_budget
    if budget is None:
        return None
    seen = (d.facts.spans or {}).get(BUDGET)
    sides = [sound(side) for side in (seen.stable, seen.canary)] if seen is not None else []
    counts = [side for side in sides if isinstance(side, Counts)]
    holes = [side for side in sides if isinstance(side, Missing)]
    blind = next((side for side in holes if not counts or not silent(side)), None)
    if blind is not None or seen is None:
        reason, why = (blind.reason, blind.message) if blind is not None else (Reason.NO_DATA, "not answered")
        return Problem(reason, f"the error budget cannot be read: {budget.metric}: {why}")
    bad, total = sum(one.bad for one in counts), sum(one.total for one in counts)
    allowed = total * (1 - budget.objective)
    if bad < allowed or bad <= 0:
        return None
    share = f"{100 * bad / allowed:.0f} %" if allowed > 0 else "all"
    text = f"{bad:.6g} of {total:.6g} events of {budget.metric} were bad in {format_duration(budget.window)}"
    return Problem(Reason.BUDGET_EXHAUSTED, f"{text}: {share} of what {budget.objective:g} allows")
