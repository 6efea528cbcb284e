"""Items of spec.preflight before a run's first weight: which attempt it is, how far it is, when the next is.

An attempt has a name that a restarted operator finds again: the run that would begin, the spec it would follow, what is
signed for it where people sign, and a number. What the attempt makes (a Job) is named after it, so nothing is made
twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, PreflightStatus, RuleVerdict, Verdict
from sparkrelease.decide.budget import budget_asks
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Check, Finding
from sparkrelease.decide.plan import Wants

KIND: Final = "preflight"

BEFORE = "checks before any traffic moves"

LOOK_AGAIN = timedelta(seconds=5)
"""Longest pause between two looks at items under way; an item that ends wakes its release at once."""

PREFLIGHT_AGAIN = timedelta(seconds=30)
"""Longest pause before checks that are built in are tried again by themselves.

The first is a tick: what is missing is most often on its way, as the first scrape of a new pod is.
"""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)
"""Pause between a failed attempt and the next; doubled with each one that follows."""

_DIGITS = 8
_MOST_SHIFTS = 10
_SHOWN = 300
_NAMED = 3


def checked(d: Draft, subject: str) -> bool:
    """Whether nothing that was looked at keeps traffic where it is; else it asks, or says what does."""
    findings = d.facts.preflight
    if d.spec.preflight:
        if not items_passed(d, subject):
            return False
    elif findings is None:
        ask(d, Wants(preflight=True), BEFORE)
        return False
    for finding in findings or ():
        if not finding.fatal:
            d.event(finding.problem.reason, f"{finding.check}: {finding.problem.message}", warning=True)
    fatal = [finding for finding in findings or () if finding.fatal]
    if fatal:
        say_blocked(d, fatal[0].problem.reason, "; ".join(f"{f.check}: {f.problem.message}" for f in fatal))
        d.wake_at = d.now + _pause_of_looks(d)
    return not fatal


def _pause_of_looks(d: Draft) -> timedelta:
    """As long as the release has been blocked by now, so the pauses double; from a tick to the longest."""
    blocked = find(d.status.conditions, ConditionType.PROGRESSING)
    since = d.now if blocked is None else blocked.last_transition_time
    return min(max(d.now - since, d.facts.tick), PREFLIGHT_AGAIN)


def items_passed(d: Draft, subject: str) -> bool:
    """Whether every required item passed and what is built in was looked at after them.

    Else it says where the attempt stands, asks for what is not known, and names what keeps traffic where it is.
    `subject` says what the attempts are about: `subject_of` a run that would begin, or of one that is signed.
    """
    again = pause_left(d, subject)
    if again is not None:
        say_blocked(d, *_last_failure(d))
        d.wake_at = again
        return False
    attempt, checks, findings = attempt_of(d, subject), d.facts.checks, d.facts.preflight
    if checks is None:
        known = begun(d, attempt)
        ask(d, Wants(preflight=not known, checks=attempt), say_progress(d, ()) if known else BEFORE)
        return False
    note_checks(d, attempt, checks)
    fatal = [finding for finding in findings or () if finding.fatal]
    if under_way(checks) and not fatal:
        say_running(d, say_progress(d, checks))
        d.wake_at = d.now + LOOK_AGAIN
        return False
    failed = failures(checks)
    if failed or fatal:
        _fail(d, attempt, failed, fatal)
        return False
    if findings is None:
        ask(d, Wants(preflight=True, checks=attempt), say_progress(d, checks))
        return False
    for check in warnings(checks):
        d.event(Reason.PREFLIGHT_WARNING, f"{check.name}: {check.message}", warning=True)
    return True


def ask(d: Draft, wants: Wants, text: str) -> None:
    """Wants facts, and says so unless the release is blocked: a look that only repeats the last one changes nothing."""
    d.wants = replace(wants, spans=budget_asks(d.spec))
    if d.before.phase is not Phase.BLOCKED:
        say_running(d, text)
    d.wake_at = d.now + d.facts.tick


def say_running(d: Draft, text: str) -> None:
    """The checks are under way."""
    d.condition(ConditionType.PROGRESSING, "True", Reason.PREFLIGHT_RUNNING, text)
    d.stand(Phase.PREFLIGHT, "False", Reason.PREFLIGHT_RUNNING, text, reconciling=True)


def say_blocked(d: Draft, reason: Reason, text: str) -> None:
    """The checks failed; nothing is shifted."""
    if d.before.phase is not Phase.BLOCKED:
        d.event(Reason.PREFLIGHT_FAILED, text, warning=True)
    d.condition(ConditionType.PROGRESSING, "False", Reason.PREFLIGHT_FAILED, text)
    d.stand(Phase.BLOCKED, "False", reason, text, stalled=True)


def _fail(d: Draft, attempt: str, failed: Sequence[Check], fatal: Sequence[Finding]) -> None:
    note_failed(d, attempt, fatal)
    texts = [say_failures(failed)] if failed else []
    texts += [f"{finding.check}: {finding.problem.message}" for finding in fatal]
    say_blocked(d, Reason.PREFLIGHT_FAILED if failed else fatal[0].problem.reason, "; ".join(texts))
    d.wake_at = d.now + _pause(attempt)


# ---------------------------------------------------------------- which attempt


def subject_of(run: str, spec_digest: str, signed: Sequence[str] = ()) -> str:
    """What attempts are about: a run, the spec it follows, and the names of the signatures that are counted for it.

    Whoever signs last relies on checks made after that, so what was found before is another subject.
    """
    parts = [run, spec_digest.removeprefix("sha256:")[:_DIGITS]]
    if signed:
        parts.append(hashlib.sha256("\n".join(signed).encode()).hexdigest()[:_DIGITS])
    return ".".join(parts)


def attempt_of(d: Draft, subject: str) -> str:
    """Name of the attempt that is due: the one under way, or the next one behind a failed one.

    A changed spec, other pods and another version are another subject, which begins with its first attempt.
    """
    known = d.status.preflight
    number = 1
    if known is not None and _is_of(known, subject):
        number = _number(known.attempt) + (known.failed_at is not None)
    return f"{subject}.{number}"


def pause_left(d: Draft, subject: str) -> datetime | None:
    """When the next attempt may begin; None when it may now."""
    known = d.status.preflight
    if known is None or known.failed_at is None or not _is_of(known, subject):
        return None
    again = known.failed_at + _pause(known.attempt)
    return again if known.failed_at <= d.now < again else None


def begun(d: Draft, attempt: str) -> bool:
    """Whether the status tells of this attempt already."""
    known = d.status.preflight
    return known is not None and known.attempt == attempt and known.failed_at is None


# ---------------------------------------------------------------- what is written down


def note_checks(d: Draft, attempt: str, checks: Sequence[Check]) -> None:
    """Writes down how far the attempt is: the number of items that passed, and what each says."""
    passed = sum(check.verdict is Verdict.PASS for check in checks)
    d.put(
        preflight=PreflightStatus(attempt=attempt, progress=f"{passed}/{len(checks)}"),
        verdicts=tuple(_verdict(check) for check in checks),
    )


def note_failed(d: Draft, attempt: str, fatal: Sequence[Finding] = ()) -> None:
    """Writes down that the attempt failed, and what else was found than the items themselves."""
    known = d.status.preflight or PreflightStatus(attempt=attempt)
    built_in = tuple(_built_in(finding, Verdict.FAIL) for finding in fatal)
    verdicts = tuple(verdict for verdict in d.status.verdicts if verdict.kind == KIND)
    d.put(preflight=known.model_copy(update={"failed_at": d.now}), verdicts=(*verdicts, *built_in))


def warned(d: Draft) -> tuple[RuleVerdict, ...]:
    """What was found and only warns, as the status has it until its rules have verdicts: who signs has to see it."""
    return tuple(_built_in(finding, Verdict.INCONCLUSIVE) for finding in d.facts.preflight or () if not finding.fatal)


def _built_in(finding: Finding, verdict: Verdict) -> RuleVerdict:
    return RuleVerdict(
        rule=finding.check[:80],
        kind=KIND,
        verdict=verdict,
        reason=finding.problem.reason.value,
        message=finding.problem.message[:512],
    )


def failures(checks: Sequence[Check]) -> list[Check]:
    """Items that keep the run from starting."""
    return [check for check in checks if check.verdict not in {None, Verdict.PASS} and not check.optional]


def warnings(checks: Sequence[Check]) -> list[Check]:
    """Optional items that failed."""
    return [check for check in checks if check.verdict not in {None, Verdict.PASS} and check.optional]


def under_way(checks: Sequence[Check]) -> list[str]:
    """Names of the items that have not ended."""
    return [check.name for check in checks if check.verdict is None]


def say_progress(d: Draft, checks: Sequence[Check]) -> str:
    """How far the attempt is, for a person."""
    known, waits = d.status.preflight, under_way(checks)
    progress = known.progress if known is not None else ""
    named = ", ".join(waits[:_NAMED]) + (f" and {len(waits) - _NAMED} more" if len(waits) > _NAMED else "")
    return f"{BEFORE}: {progress}" + (f", waiting for {named}" if waits else "")


def say_failures(failed: Sequence[Check]) -> str:
    """The items that failed, each with what it says."""
    return "; ".join(f"{check.name}: {check.message[:_SHOWN]}" for check in failed)


def _last_failure(d: Draft) -> tuple[Reason, str]:
    """The reason, and what failed, of an attempt the status alone remembers."""
    optional = {item.name for item in d.spec.preflight if item.optional}
    told = [v for v in d.status.verdicts if v.kind == KIND and v.verdict not in {Verdict.PASS, Verdict.INCONCLUSIVE}]
    failed = [verdict for verdict in told if verdict.rule not in optional]
    first = failed[0].reason if failed else ""
    reason = next((known for known in Reason if known.value == first), Reason.PREFLIGHT_FAILED)
    return reason, "; ".join(f"{verdict.rule}: {verdict.message[:_SHOWN]}" for verdict in failed)


def record_passed(d: Draft) -> None:
    """Adds the entry that says what the items said; nothing where there are none."""
    checks = d.facts.checks
    if checks is not None:
        done = f"{d.status.preflight.progress if d.status.preflight else ''} items of preflight passed"
        d.entry(Reason.PREFLIGHT_PASSED, done, evidence_of(d, checks))


def evidence_of(d: Draft, checks: Sequence[Check]) -> Mapping[str, object]:
    """Everything the items said, for the run's evidence."""
    known = d.status.preflight
    return {
        "attempt": known.attempt if known is not None else "",
        "items": [
            {
                "name": check.name,
                "optional": check.optional,
                "verdict": check.verdict.value if check.verdict is not None else "",
                "message": check.message,
                "details": dict(check.details),
            }
            for check in checks
        ],
    }


def _verdict(check: Check) -> RuleVerdict:
    reason = {None: Reason.PREFLIGHT_RUNNING, Verdict.PASS: Reason.PREFLIGHT_PASSED}.get(check.verdict)
    if reason is None:
        reason = Reason.PREFLIGHT_WARNING if check.optional else Reason.PREFLIGHT_FAILED
    verdict = Verdict.INCONCLUSIVE if check.verdict is None else check.verdict
    return RuleVerdict(rule=check.name, kind=KIND, verdict=verdict, reason=reason.value, message=check.message)


def _is_of(known: PreflightStatus, subject: str) -> bool:
    return known.attempt.rpartition(".")[0] == subject


def _pause(attempt: str) -> timedelta:
    doubled: int = 2 ** min(_number(attempt) - 1, _MOST_SHIFTS)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


def _number(attempt: str) -> int:
    number = attempt.rpartition(".")[2]
    return max(int(number), 1) if number.isdecimal() else 1
