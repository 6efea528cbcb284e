"""What rules say, as one person reads it: one verdict a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sparkrelease.api.objects import ParsedRelease
from sparkrelease.api.status import GLANCE, RuleVerdict
from sparkrelease.decide.rules import WORST_FIRST


def as_seen(release: ParsedRelease) -> ParsedRelease:
    """The release with one verdict a rule: of a threshold the worse of what was judged and what it says now."""
    verdicts = release.status.verdicts
    if all(v.kind != GLANCE for v in verdicts):
        return release
    status = release.status.model_copy(update={"verdicts": _one_each(verdicts)})
    return dataclasses.replace(release, status=status)


def _one_each(verdicts: Sequence[RuleVerdict]) -> tuple[RuleVerdict, ...]:
    now = {v.rule: v.model_copy(update={"kind": "threshold"}) for v in verdicts if v.kind == GLANCE}
    judged = [v for v in verdicts if v.kind != GLANCE]
    shown = [_worse(v, now.pop(v.rule, v)) if v.kind == "threshold" else v for v in judged]
    return (*shown, *now.values())


def _worse(judged: RuleVerdict, now: RuleVerdict) -> RuleVerdict:
    """The worse of two words on one threshold; that of now where they are alike."""
    return min((now, judged), key=lambda v: WORST_FIRST.index(v.verdict))
