"""Which statuses say the same: those that are not worth a write before the next heartbeat."""

from __future__ import annotations

import json

import pytest

from sparkrelease.api.status import SparkReleaseStatus, Verdict
from sparkrelease.engine.report import says_the_same


def status(*said: Verdict) -> SparkReleaseStatus:
    body = [{"rule": f"rule-{n}", "kind": "threshold", "verdict": verdict} for n, verdict in enumerate(said)]
    return SparkReleaseStatus(glances=tuple(json.dumps(one) for one in body))


@pytest.mark.parametrize(
    ("told", "now", "same"),
    [
        (Verdict.PASS, Verdict.INCONCLUSIVE, True),
        (Verdict.NO_DATA, Verdict.PASS, True),
        (Verdict.FAIL, Verdict.PASS, True),
        (Verdict.FAIL, Verdict.FAIL, True),
        (Verdict.PASS, Verdict.FAIL, False),
        (Verdict.INCONCLUSIVE, Verdict.FAIL, False),
    ],
)
def test_what_a_threshold_says_now_is_news_when_it_begins_to_fail(told: Verdict, now: Verdict, same: bool) -> None:
    assert says_the_same(status(Verdict.PASS, now), status(Verdict.PASS, told)) is same


def test_another_value_of_a_threshold_that_fails_is_no_news() -> None:
    now, told = (
        SparkReleaseStatus(glances=(json.dumps({"rule": "errors", "verdict": "Fail", "value": value}),))
        for value in ("3%", "2%")
    )
    assert says_the_same(now, told)


def test_the_first_word_of_a_threshold_is_news() -> None:
    assert not says_the_same(status(Verdict.PASS), status())


def test_what_cannot_be_read_is_no_news() -> None:
    garbled = SparkReleaseStatus(glances=("{", "[]", '{"verdict": 1}'))
    assert says_the_same(garbled, status(Verdict.PASS, Verdict.PASS, Verdict.PASS))
