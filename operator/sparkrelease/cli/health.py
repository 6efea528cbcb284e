"""How a release is, in one word: healthy, breached or unknown. Nothing counts as healthy that was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.conditions import ConditionType, find, is_true
from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.status import Phase, SparkReleaseStatus, Verdict
from sparkrelease.cli.exits import ExitCode

SILENCE = timedelta(minutes=3)
"""An operator writes the clock of a stage that runs once a minute; older than this it says nothing any more."""

_GONE_BACK = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.BLOCKED})


@dataclass(frozen=True, slots=True)
class Health:
    """The word, why, and the exit code that says the same."""

    word: str
    why: str
    code: ExitCode


def health_of(release: ParsedRelease, now: datetime) -> Health:
    """Breached: gone back, blocked, stalled, or a rule fails. Healthy: every rule passes, or the release is settled."""
    status = release.status
    bad = _breach(status)
    if bad:
        return Health("breached", bad, ExitCode.BAD)
    blank = _blank(release, now)
    if blank:
        return Health("unknown", blank, ExitCode.UNKNOWN)
    passing = sum(one.verdict is Verdict.PASS for one in status.verdicts)
    return Health("healthy", f"{passing} rules pass" if _under_way(status) else status.phase.help, ExitCode.FINE)


def silence_of(status: SparkReleaseStatus, now: datetime) -> timedelta | None:
    """For how long the operator has said nothing of a run whose clock should run; None while that is no news."""
    stage = status.stage
    if not _under_way(status) or stage is None or stage.counted_until is None or stage.stalled_since is not None:
        return None
    silent = now - stage.counted_until
    return silent if silent > SILENCE else None


def _under_way(status: SparkReleaseStatus) -> bool:
    return status.run is not None and status.run.end is None


def _breach(status: SparkReleaseStatus) -> str:
    ready = find(status.conditions, ConditionType.READY)
    if status.phase in _GONE_BACK or is_true(status.conditions, ConditionType.STALLED):
        return ready.message if ready is not None and ready.message else status.phase.help
    failing = [one.message or one.rule for one in status.verdicts if one.verdict is Verdict.FAIL]
    return "; ".join(failing) if _under_way(status) else ""


def _blank(release: ParsedRelease, now: datetime) -> str:
    """What is not known."""
    status = release.status
    if find(status.conditions, ConditionType.READY) is None or status.observed_generation < release.generation:
        return "the operator has not looked at this release, or not at its last edit"
    if not _under_way(status):
        return "" if status.phase is Phase.SUCCEEDED else status.phase.help
    measured = find(status.conditions, ConditionType.METRICS_AVAILABLE)
    if measured is None or measured.status != "True":
        return measured.message if measured is not None else "nothing was measured yet"
    silent = silence_of(status, now)
    if silent is not None:
        return f"the operator has not said anything for {silent.total_seconds():.0f} s"
    if not status.verdicts:
        return "no rule has spoken yet"
    open_ones = [one.message or one.rule for one in status.verdicts if one.verdict is not Verdict.PASS]
    return "; ".join(open_ones)
