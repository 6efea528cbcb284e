"""What a backtest keeps is bounded; what it does not keep is counted, told, and judged all the same."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import RuleVerdict, SparkReleaseStatus, Verdict
from sparkrelease.cli.backtest.outcome import MOST_STRETCHES, MOST_TRIALS, Ending, Incident, Outcome, Trial
from sparkrelease.cli.backtest.record import MOST_TOLD, PARTS, Recorder
from sparkrelease.cli.render.backtested import describe_outcome, render_outcome, table_of
from sparkrelease.decide.facts import Counts, MetricFacts
from sparkrelease.decide.plan import EntryDraft
from unit.evidence.test_inputs import resolved

T0 = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_what_is_kept_does_not_grow_with_the_past() -> None:
    """Points of the chart, decisions, releases, times of a rule that flaps: after two days and after a month."""
    spec = resolved(triggers=[{"name": "burst", "all": [{"metric": "http", "value": 0.05}]}])
    verdict = RuleVerdict(rule="burst", kind="trigger", verdict=Verdict.FAIL, message="burst: 20%")
    flapping = SparkReleaseStatus(verdicts=(verdict,))
    kept = []
    for days in (2, 30):
        end = T0 + days * 24 * HOUR
        recorder = Recorder(spec, T0, end, timedelta(minutes=1))
        for minute in range(0, days * 24 * 60, 3):
            now = T0 + timedelta(minutes=minute)
            recorder.note_readings({"http": MetricFacts("q", now, HOUR, Counts(1, 9), Counts(0, 9))}, now)
            recorder.note_entries([EntryDraft(Reason.SHARED_INCIDENT, "both", {})], now)
            recorder.note_status(flapping, now)
            recorder.note_trial(Trial(now, now, Ending.ROLLED_BACK, "burst"))
        (rule,) = (one for one in recorder.rules.values() if one.name == "burst")
        times = len(rule.stretches) + rule.more
        assert times == rule.acted == rule.rollbacks == recorder.trials.endings.total() == days * 480
        assert len(rule.stretches) <= MOST_STRETCHES and len(recorder.trials.kept) <= MOST_TRIALS
        points = sum(len(line.points) for line in recorder.lines())
        kept.append((points <= PARTS, len(recorder.told) <= MOST_TOLD, len(recorder.told) + recorder.untold))
    assert kept == [(True, True, 960), (True, True, 14400)]


def test_what_is_not_kept_is_counted_told_and_judged_all_the_same() -> None:
    incident = Incident(T0 + HOUR, T0 + 2 * HOUR)
    spec = resolved(triggers=[{"name": "burst", "all": [{"metric": "http", "value": 0.05}]}])
    recorder = Recorder(spec, T0, T0 + 24 * HOUR, timedelta(minutes=1), [incident])
    for _ in range(MOST_TRIALS):
        recorder.note_trial(Trial(T0, T0, Ending.PROMOTED))
    calm = found_by(recorder)
    assert calm.disappoints and "counted and not kept" not in printed(calm), "nobody saw the incident so far"
    recorder.note_trial(Trial(T0, T0 + 1.5 * HOUR, Ending.ROLLED_BACK, "burst"))
    (rule,) = (one for one in recorder.rules.values() if one.name == "burst")
    for minute in range(MOST_STRETCHES + 7):
        rule.act(rule.begin(T0 + minute * HOUR, ""), T0 + minute * HOUR, f"{minute}")
    outcome = found_by(recorder)
    assert not outcome.disappoints and outcome.trials.caught[incident].rule == "burst"
    text = printed(outcome)
    assert "1 more release counted and not kept: the first 5,000 are" in text
    assert "burst: 7 more times counted and not kept: the first 2,000 are" in text
    assert f" {MOST_STRETCHES + 6}" in text, "the last sentence is that of the last time"
    assert [row for row in table_of(outcome).splitlines() if row.startswith("not kept")] == [
        "not kept,,,,,release,1,1 more were counted and are not kept",
        "not kept,,,,burst,rule,7,7 more were counted and are not kept",
    ]
    told = describe_outcome(outcome)
    assert (told["moreTrials"], told["falseRollbacks"]) == (1, 0)
    recorder.note_trial(Trial(T0, T0 + 3 * HOUR, Ending.ROLLED_BACK, "burst"))
    assert found_by(recorder).disappoints, "a rollback outside of it, which is not kept"


def found_by(recorder: Recorder) -> Outcome:
    """What a backtest with these notes comes to."""
    rules, step = tuple(recorder.rules.values()), timedelta(minutes=1)
    return Outcome("shop/shop v2", T0, T0 + 24 * HOUR, step, HOUR, rules, recorder.trials, (), 0, (), {}, 1)


def printed(outcome: Outcome) -> str:
    """As it is printed where a line is never too long."""
    paper = io.StringIO()
    Console(file=paper, width=500).print(render_outcome(outcome))
    return paper.getvalue()
