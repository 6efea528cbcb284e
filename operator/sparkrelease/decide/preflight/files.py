"""What is wrong with a file: its digest, its signature, and what it must say by its kind."""

from __future__ import annotations

from collections.abc import Iterator

from sparkrelease.api.preflight import FileRef, PreflightItem
from sparkrelease.decide.preflight.answers import FileAnswer

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
"""From the worst to the least; unknown is what a report gives no severity for."""

SLSA = "https://slsa.dev/provenance/"
"""How the predicate types of SLSA's provenance begin."""

_SHOWN = 12
_MOST = 3


def file_faults(item: PreflightItem, answer: FileAnswer) -> Iterator[str]:
    """Nothing more is said of a file that is another one, or that somebody else signed."""
    file = item.file
    wanted = file.sha256 if isinstance(file, FileRef) else None  # a registry's manifest is compared where it is read
    if wanted is not None and answer.sha256 != wanted:
        yield f"the digest is sha256:{answer.sha256[:_SHOWN]}..., expected sha256:{wanted[:_SHOWN]}..."
        return
    if answer.signature:
        yield answer.signature
        return
    if answer.fault:
        yield answer.fault
        return
    match item.asks:
        case "sbom":
            yield from _sbom_faults(item, answer)
        case "vulnerabilities":
            yield from _vulnerability_faults(item, answer)
        case "dashboard":
            yield from _dashboard_faults(item, answer)
        case "provenance":
            yield from _provenance_faults(item, answer)
        case _:
            return


def say_file(answer: FileAnswer) -> str:
    """What a file that is as expected holds."""
    words = [answer.form or f"{answer.size} bytes"]
    if answer.packages:
        words.append(f"{answer.packages} packages")
    if answer.counts:
        words += [f"{answer.counts[level]} {level}" for level in SEVERITIES if answer.counts.get(level)] or ["none"]
    if answer.variables:
        words.append(f"{answer.variables} variables with defaults")
    if answer.subjects:
        words.append(f"by {answer.builder}" if answer.builder else "no builder")
    return ", ".join(words)


def _sbom_faults(item: PreflightItem, answer: FileAnswer) -> Iterator[str]:
    if not answer.packages:
        yield "it lists no package"
    for expected in item.expected:
        if expected.subject == "packages" and not expected.holds_of(str(answer.packages)):
            yield f"{answer.packages} packages, expected {expected.text}"
        elif expected.subject == "licenses" and answer.refused_count:
            yield f"{answer.refused_count} packages under other licences: {', '.join(answer.refused[:_MOST])}"


def _vulnerability_faults(item: PreflightItem, answer: FileAnswer) -> Iterator[str]:
    """Findings of a severity are those of every worse one, too. Without an expectation nothing critical is borne."""
    if not item.expected and answer.counts.get("critical", 0):
        yield f"{answer.counts['critical']} critical findings, expected none"
    for expected in item.expected:
        found = at_least(expected.subject, answer)
        if not expected.holds_of(str(found)):
            yield f"{found} findings that are {expected.subject} or worse, expected {expected.text}"


def at_least(severity: str, answer: FileAnswer) -> int:
    """Findings of a severity and of every worse one; `unknown` counts for itself alone."""
    if severity == "unknown":
        return answer.counts.get("unknown", 0)
    return sum(answer.counts.get(worse, 0) for worse in SEVERITIES[: SEVERITIES.index(severity) + 1])


def _dashboard_faults(item: PreflightItem, answer: FileAnswer) -> Iterator[str]:
    """A variable without a default shows an empty dashboard to whoever opens it in a hurry."""
    if answer.without_default:
        names, more = answer.without_default[:_MOST], len(answer.without_default) - _MOST
        yield f"variables without a default: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")
    for expected in item.expected:
        if not expected.holds_of(str(answer.variables)):
            yield f"{answer.variables} variables, expected {expected.text}"


def _provenance_faults(item: PreflightItem, answer: FileAnswer) -> Iterator[str]:
    found = {"builder": answer.builder, "predicate": answer.predicate}
    if not (any(e.subject == "predicate" for e in item.expected) or answer.predicate.startswith(SLSA)):
        yield f"the predicate is {answer.predicate or 'not said'}, expected {SLSA}..."
    for expected in item.expected:
        if not expected.holds_of(found[expected.subject]):
            yield f"the {expected.subject} is {found[expected.subject] or 'not said'}, expected {expected.text}"
    if not answer.images:
        yield "no pod of canary is there to compare it with"
        return
    named = frozenset(answer.subjects)
    for pod, digests in answer.images:
        if not named & frozenset(digests):
            shown = ", ".join(f"sha256:{digest[:_SHOWN]}..." for digest in digests[:_MOST]) or "an image without digest"
            yield f"it does not name what pod {pod} runs ({shown})"
