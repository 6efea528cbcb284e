"""Messages as the engine makes them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus, Verdict
from sparkrelease.decide.notices import Notice, RuleSaid, Subject

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)

RULE = RuleSaid(
    rule="burst",
    verdict=Verdict.FAIL,
    value="52.3% (34/65)",
    limit="> 5%",
    message="burst: http 52.3% (34/65) > 0.05",
)
ROLLED_BACK = Notice(
    id="5f2b0c9a7d3e41f8a6b1c2d3e4f50617",
    topic=Topic.ROLLBACK,
    reason=Reason.ROLLED_BACK,
    at=NOW,
    warning=True,
    subject=Subject("shop", "web", "uid-1"),
    version="v3",
    run="v3-6c1f0a",
    phase="RolledBack",
    stage="quarter",
    message="burst: http 52.3% (34/65) > 0.05; traffic back on stable after 0.21 s",
    rules=(RULE,),
    weight_before=25.0,
    weight=0.0,
    seconds=0.21,
    evidence=EvidenceStatus(head="sha256:8f3a", entries=9),
)


def notice(**changes: object) -> Notice:
    """A rolled-back release, with some of it replaced."""
    return dataclasses.replace(ROLLED_BACK, **changes)  # type: ignore[arg-type]  # any field may be replaced
