"""What of a run remains to be looked at: derived from its evidence, with the owner and the date left to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Verdict
from sparkrelease.documents.burns import Burn
from sparkrelease.documents.people import checks_of, signatures_of
from sparkrelease.documents.record import Run
from sparkrelease.documents.results import Result
from sparkrelease.documents.visits import Visit
from sparkrelease.documents.words import count, help_of

TO_BE_NAMED = "to be named"
"""Stands for what only people can say."""


_LEFT_BEHIND = frozenset({"MitigationKept", "MitigationFailed", "BudgetOverridden"})
"""Kinds of entries about something that is not as it was before the run, or was let pass."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One thing that remains, and what may be done about it. `entry` is where evidence tells of it; 0 for nowhere."""

    description: str
    mitigation: str
    status: str
    entry: int = 0
    owner: str = TO_BE_NAMED
    due: str = TO_BE_NAMED


@dataclass(frozen=True, slots=True)
class Held:
    """Why a run held, how often, and where it is told first."""

    reason: str
    times: int
    message: str
    entry: int


def holds_of(run: Run) -> tuple[Held, ...]:
    """The holds by reason, the most frequent first."""
    told = [entry for entry in run.entries if entry.message.startswith("holding: ")]
    first = {entry.kind: entry for entry in reversed(told)}
    times = Counter(entry.kind for entry in told)
    return tuple(
        Held(kind, number, first[kind].message.removeprefix("holding: "), first[kind].number)
        for kind, number in times.most_common()
    )


def risks_of(run: Run, visits: Sequence[Visit]) -> tuple[Risk, ...]:
    """What remains, what weighs most first."""
    return (*_of_the_end(run), *_of_gates(run, visits), *_of_events(run), *_of_papers(run))


def _of_the_end(run: Run) -> Iterator[Risk]:
    ending = run.ending
    if run.chain.fault:
        yield Risk(f"the evidence is not intact: {run.chain.fault}", "find out who changed it, and when", "open")
    if ending is not None and ending.outcome is Outcome.ROLLED_BACK:
        text = f"{run.version} was rolled back and gets no traffic again without a new version or a recorded retry"
        yield Risk(text, "find the cause, then a new version", "open")
    elif ending is not None and ending.outcome is not Outcome.SETTLED:
        yield Risk(f"the run ended without a result: {ending.message}", "none needed if that was wanted", "open")
    elif ending is None and run.promoted_at is not None:
        text = f"stable does not serve {run.version} yet; until it does, canary is production"
        yield Risk(text, f"roll {run.version} out on stable, or settle by command", "open")
    elif ending is None:
        yield Risk("the run was still under way when this evidence was read", "export it again at its end", "open")


def _of_gates(run: Run, visits: Sequence[Visit]) -> Iterator[Risk]:
    for entry in run.entries:
        if entry.kind == Reason.GATE_PROCEEDED.value:
            yield Risk(
                entry.message, "nothing was shown to be well: more requests, or a longer stage", "open", entry.number
            )
        elif entry.kind == Reason.GATE_SKIPPED.value:
            yield Risk(entry.message, "judge by hand what the gate would have judged", "open", entry.number)
    stages = [visit for visit in visits if not visit.settling]
    judged: tuple[Result | Burn, ...] = (*stages[-1].results, *stages[-1].burns) if stages else ()
    for result in judged:
        if result.verdict not in {Verdict.PASS, Verdict.FAIL}:
            text = f"{result.said} (stage {stages[-1].name}: {result.verdict})"
            yield Risk(text, "measure it another way before it counts as well", "open", stages[-1].last_entry)


def _of_events(run: Run) -> Iterator[Risk]:
    for entry in run.entries:
        if entry.kind == Reason.NOTIFIED.value:
            yield Risk(entry.message, "the trigger only tells; somebody has to look", "open", entry.number)
        elif entry.kind in _LEFT_BEHIND:
            yield Risk(entry.message, help_of(entry.kind) or "read the entry", "open", entry.number)
        elif "fromStage" in entry.data:
            yield Risk(entry.message, "it went on from the lower weight", "seen", entry.number)
    reverts = [entry for entry in run.entries if entry.kind == Reason.TRAFFIC_REVERTED.value]
    if reverts:
        text = f"somebody else changed the weights: {count(len(reverts), 'time')}, first {reverts[0].message}"
        yield Risk(text, "tell the GitOps tool to ignore the weights of this route", "open", reverts[0].number)
    for held in holds_of(run):
        text = f"held {count(held.times, 'time')}: {held.message}"
        yield Risk(text, f"nothing was raised meanwhile. {help_of(held.reason)}".strip(), "seen", held.entry)


def _of_papers(run: Run) -> Iterator[Risk]:
    checks = checks_of(run)
    for check in checks:
        if check.verdict != Verdict.PASS.value:
            text = f"the optional check {check.name} did not pass: {check.message}"
            yield Risk(text, "the run went on without it", "open", check.entry)
    if not signatures_of(run):
        yield Risk("nobody signed a go or a no-go in this run", "ask for approvals before the first stage", "open")
    kinds = {check.kind for check in checks}
    missing = [word for kind, word in (("sbom", "SBOM"), ("provenance", "build provenance")) if kind not in kinds]
    if missing:
        text = f"no {' and no '.join(missing)} was looked at in this run"
        yield Risk(text, "declare a check of the file in spec.preflight", "open")
