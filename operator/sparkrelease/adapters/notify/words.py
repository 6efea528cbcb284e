"""What every form of a message says: its headline, and its facts in order."""

from __future__ import annotations

from collections.abc import Iterator

from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.notices import Notice, RuleSaid

HEADLINES = {
    Topic.START: "run started",
    Topic.STAGE: "stage",
    Topic.GATE: "gate",
    Topic.COMMAND: "command",
    Topic.BLOCKED: "blocked",
    Topic.ALERT: "alert",
    Topic.WARNING: "needs a look",
    Topic.ROLLBACK: "rollback",
    Topic.PROMOTED: "promoted",
    Topic.END: "run ended",
}
_SHARPER = {
    Reason.STEPPED_BACK: "stepped back",
    Reason.SHARED_INCIDENT: "incident of both versions",
    Reason.ROLLED_BACK: "rolled back",
    Reason.ROLLING_BACK: "rolling back, not done yet",
    Reason.SETTLED: "settled",
    Reason.SUPERSEDED: "superseded",
    Reason.CANCELLED: "cancelled",
}


def shorten(text: str, limit: int) -> str:
    """The text on one line, without control characters, cut to `limit` characters with a mark where it was cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def headline(notice: Notice, cluster: str) -> str:
    """`shop/shop v2 rolled back (cluster prod-1)`."""
    what = _SHARPER.get(notice.reason, HEADLINES[notice.topic])
    parts = (f"{notice.subject.namespace}/{notice.subject.name}", notice.version, what)
    where = f" (cluster {cluster})" if cluster else ""
    return " ".join(part for part in parts if part) + where


def _traffic(notice: Notice) -> Iterator[tuple[str, str]]:
    """What canary gets, and before a rollback got: copies of requests, or requests."""
    if notice.mirror_before:
        yield "Mirrored to canary", f"{notice.mirror_before:.6g} % → {notice.mirror:.6g} %"
    elif notice.mirror:
        yield "Mirrored to canary", f"{notice.mirror:.6g} %"
    elif notice.weight_before is not None:
        yield "Canary weight", f"{notice.weight_before:.6g} % → {notice.weight:.6g} %"
    elif notice.run:
        yield "Canary weight", f"{notice.weight:.6g} %"


def facts(notice: Notice) -> Iterator[tuple[str, str]]:
    """Titles and texts, the most telling first."""
    for rule in notice.rules:
        yield "Rule", _rule(rule)
    yield from _traffic(notice)
    if notice.seconds is not None:
        yield "Back on stable after", f"{notice.seconds:g} s"
    if notice.stage:
        yield "Stage", notice.stage
    if notice.run:
        yield "Run", notice.run
    yield "Reason", notice.reason.value
    yield "At", f"{notice.at:%Y-%m-%d %H:%M:%S} UTC"
    if notice.evidence.head:
        yield "Evidence", f"{notice.evidence.head} ({notice.evidence.entries} entries)"
    if notice.again:
        yield "Note", "sent after a restart of the operator; it may have come before"


def _rule(rule: RuleSaid) -> str:
    against = f"; limit {rule.limit}" if rule.limit else ""
    return f"{rule.rule} {rule.verdict.value}: {rule.value}{against}"
