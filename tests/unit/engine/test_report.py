"""Which statuses say the same: those that are not worth a write before the next heartbeat."""

from __future__ import annotations

import pytest

from sparkrelease.api.status import GLANCE, RuleVerdict, SparkReleaseStatus, Verdict
from sparkrelease.engine.report import says_the_same


def status(*verdicts: tuple[str, Verdict]) -> SparkReleaseStatus:
    said = [{"rule": f"rule-{n}", "kind": kind, "verdict": verdict} for n, (kind, verdict) in enumerate(verdicts)]
    return SparkReleaseStatus(verdicts=tuple(RuleVerdict.model_validate(one) for one in said))


@pytest.mark.parametrize(
    ("kind", "before", "now", "same"),
    [
        (GLANCE, Verdict.PASS, Verdict.INCONCLUSIVE, True),
        (GLANCE, Verdict.NO_DATA, Verdict.PASS, True),
        (GLANCE, Verdict.PASS, Verdict.FAIL, False),
        (GLANCE, Verdict.FAIL, Verdict.INCONCLUSIVE, False),
        ("threshold", Verdict.PASS, Verdict.INCONCLUSIVE, False),
        ("trigger", Verdict.NO_DATA, Verdict.PASS, False),
    ],
)
def test_a_glance_is_news_when_it_fails_or_no_longer_fails(
    kind: str, before: Verdict, now: Verdict, same: bool
) -> None:
    assert says_the_same(status((kind, before)), status((kind, now))) is same


def test_a_first_glance_is_news() -> None:
    assert not says_the_same(status(), status((GLANCE, Verdict.PASS)))
