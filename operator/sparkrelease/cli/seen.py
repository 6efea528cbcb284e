"""What rules say, as one person reads it: one verdict a rule."""

from __future__ import annotations

import dataclasses

from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.status import RuleVerdict, SparkReleaseStatus, read_glance
from sparkrelease.decide.rules import WORST_FIRST


def as_seen(release: ParsedRelease) -> ParsedRelease:
    """The release with one verdict a rule: of a threshold the worse of what was judged and what it says now."""
    if not release.status.glances:
        return release
    status = release.status.model_copy(update={"verdicts": _one_each(release.status)})
    return dataclasses.replace(release, status=status)


def _one_each(status: SparkReleaseStatus) -> tuple[RuleVerdict, ...]:
    read = [one for one in map(read_glance, status.glances) if one is not None]
    now = {one.rule: one for one in read}
    judged = [_worse(v, now.pop(v.rule, v)) if v.kind == "threshold" else v for v in status.verdicts]
    return (*judged, *now.values())


def _worse(judged: RuleVerdict, now: RuleVerdict) -> RuleVerdict:
    """The worse of two words on one threshold; that of now where they are alike."""
    return min((now, judged), key=lambda v: WORST_FIRST.index(v.verdict))
