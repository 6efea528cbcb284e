"""Which Events are messages, about what; and what a rule's limit is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import HistoryEntry, Outcome, Rollback, RuleVerdict, SparkReleaseStatus, Verdict
from sparkrelease.decide.limitwords import limit_of
from sparkrelease.decide.notices import Subject, closing_event, notice_of, topic_of, worth_telling
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import spec

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHOP = Subject("shop", "web", "uid-1")


def draft(reason: Reason, *, warning: bool = False, message: str = "said") -> EventDraft:
    return EventDraft(reason, message, Severity.WARNING if warning else Severity.NORMAL)


@pytest.mark.parametrize(
    ("event", "topic"),
    [
        (draft(Reason.RUN_STARTED), Topic.START),
        (draft(Reason.GATE_PASSED), Topic.GATE),
        (draft(Reason.WATCH_STARTED), Topic.STAGE),
        (draft(Reason.WATCH_CHECKED), Topic.GATE),
        (draft(Reason.WATCH_CHECKED, warning=True), Topic.GATE),
        (draft(Reason.ROLLED_BACK, warning=True), Topic.ROLLBACK),
        (draft(Reason.NOTIFIED, warning=True), Topic.ALERT),
        (draft(Reason.MITIGATING, warning=True), Topic.ALERT),
        (draft(Reason.NO_DATA, warning=True), Topic.WARNING),
        (draft(Reason.INTERNAL_ERROR, warning=True), Topic.WARNING),
        (draft(Reason.WEIGHT_VERIFIED), None),
        (draft(Reason.NOTIFICATION_LOST, warning=True), None),
        (draft(Reason.NOTIFICATION_TARGET_UNKNOWN, warning=True), None),
    ],
)
def test_an_event_is_about_one_topic_or_no_message(event: EventDraft, topic: Topic | None) -> None:
    assert topic_of(event) is topic


def test_a_rollback_done_at_once_is_one_message_and_one_under_way_is_told() -> None:
    begun, done = draft(Reason.ROLLING_BACK, warning=True), draft(Reason.ROLLED_BACK, warning=True)
    assert worth_telling([begun, done]) == [done]
    assert worth_telling([begun]) == [begun]


def ended(run: str, seconds: float = 0.2) -> SparkReleaseStatus:
    entry = HistoryEntry(
        run=run,
        version="v2",
        outcome=Outcome.ROLLED_BACK,
        reason="RolledBack",
        started_at=NOW - timedelta(hours=1),
        ended_at=NOW,
    )
    rollback = Rollback(
        run=run, trigger="gate ten", reason="GateFailed", message="errors: 2% > 1%", decided_at=NOW, seconds=seconds
    )
    verdicts = (
        RuleVerdict(rule="errors", kind="threshold", verdict=Verdict.FAIL, value="2%", message="errors: 2% > 1%"),
        RuleVerdict(rule="p95", kind="threshold", verdict=Verdict.PASS, value="0.1s", message="p95: fine"),
        RuleVerdict(rule="other", kind="trigger", verdict=Verdict.FAIL, value="9", message="other: bad"),
    )
    return SparkReleaseStatus(rollback=rollback, history=(entry,), verdicts=verdicts)


def test_a_rollback_by_a_gate_names_the_thresholds_that_failed() -> None:
    status = ended("v2-a")
    event = closing_event(status.history[0], status)
    assert event.message == "errors: 2% > 1%; traffic back on stable after 0.2 s"
    notice = notice_of(event, SHOP, None, status, NOW + timedelta(hours=1), ended=status.history[0])
    assert [rule.rule for rule in notice.rules] == ["errors"]
    assert (notice.at, notice.run) == (NOW, "v2-a"), "the time is that of the end, however late it is told"


def test_the_end_of_a_run_has_the_same_identity_however_and_whenever_it_is_told() -> None:
    status = ended("v2-a")
    entry = status.history[0]
    told = [
        notice_of(
            draft(Reason.ROLLED_BACK, message=words), SHOP, None, status, NOW + timedelta(seconds=late), ended=entry
        )
        for words, late in (("one", 0), ("other words", 900))
    ]
    assert told[0].id == told[1].id
    other = ended("v2-b")
    assert notice_of(draft(Reason.ROLLED_BACK), SHOP, None, other, NOW, ended=other.history[0]).id != told[0].id


def test_two_messages_of_one_reason_are_two() -> None:
    status = SparkReleaseStatus()
    told = [notice_of(draft(Reason.GATE_PASSED, message=text), SHOP, None, status, NOW) for text in ("one", "two")]
    assert told[0].id != told[1].id


COUNTS = {"name": "http", "bad": "errors", "total": "requests"}
SECONDS = {"name": "lag", "value": "lag{$sel}", "unit": "s"}
LIMITS = [
    ({"op": ">", "value": 0.03}, "> 3%"),
    ({"not": True, "op": "<", "value": 0.03}, "not < 3%"),
    ({"kind": "vsStable", "factor": 2}, "> 2x stable"),
    ({"kind": "vsBaseline", "factor": 1.5, "op": ">="}, ">= 1.5x the baseline"),
    ({"kind": "growth", "factor": 3, "over": "10m"}, "> 3x before"),
    ({"kind": "burnRate", "objective": 0.999}, "the budget of 0.999 burns too fast"),
    ({"kind": "sequential"}, "worse than stable"),
]


def resolved(**parts: object) -> ResolvedSpec:
    found = resolve(spec(metrics=[COUNTS, SECONDS], thresholds=[], **parts), None)
    assert isinstance(found, ResolvedSpec), found
    return found


@pytest.mark.parametrize(("leg", "limit"), LIMITS)
def test_a_triggers_limit_is_told_in_the_form_of_its_values(leg: dict[str, object], limit: str) -> None:
    made = resolved(triggers=[{"name": "bad", "all": [{"metric": "http", **leg}]}])
    assert limit_of("trigger", "bad", made) == limit


def test_several_legs_name_their_metrics() -> None:
    legs = [
        {"metric": "http", "op": ">", "value": 0.01},
        {"metric": "lag", "kind": "trend", "over": "10m", "slopePerMinute": 2},
    ]
    made = resolved(triggers=[{"name": "bad", "all": legs}])
    assert limit_of("trigger", "bad", made) == "http > 1% and lag > 2s a minute"


def test_a_thresholds_limits_are_all_told() -> None:
    limits = [{"name": "lag", "metric": "lag", "min": 1, "max": 2, "maxVsBaseline": 1.1}]
    found = resolve(spec(metrics=[COUNTS, SECONDS], thresholds=limits, triggers=[]), None)
    assert isinstance(found, ResolvedSpec)
    assert limit_of("threshold", "lag", found) == "at most 2s, at least 1s, at most 1.1x the baseline"
    assert limit_of("comparison", "comparison/http", found) == "worse than stable"
    assert limit_of("trigger", "gone", found) == ""
