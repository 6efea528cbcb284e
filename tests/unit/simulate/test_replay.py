"""Runs with rules of every kind are decided again from what their evidence keeps, and fit into its budget."""

from __future__ import annotations

from datetime import datetime

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.evidence import Entry, link, parse_entry
from sparkrelease.decide.facts import Facts
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import Plan
from sparkrelease.decide.replay import replay
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate import run as simulated
from unit.simulate.release import resolved, setting

BUDGET = 2 * 2**20
"""Bytes of a run."""

EVERY_KIND = [
    {"name": "guard", "all": [{"metric": "http", "value": 0.1, "minEvents": 5}]},
    {"name": "worse", "all": [{"metric": "http", "kind": "vsStable", "factor": 5, "floor": 0.02, "minEvents": 50}]},
    {"name": "than-before", "all": [{"metric": "http", "kind": "vsBaseline", "factor": 50, "floor": 0.05}]},
    {"name": "grows", "all": [{"metric": "memory", "kind": "growth", "over": "10m", "factor": 5}]},
    {"name": "leaks", "all": [{"metric": "memory", "kind": "trend", "over": "15m", "slopePerMinute": 1048576}]},
    {"name": "budget", "all": [{"metric": "http", "kind": "burnRate", "objective": 0.99, "minEvents": 5}]},
    {"name": "test", "all": [{"metric": "http", "kind": "sequential", "margin": 2}]},
]
METRICS = [
    {"name": "http", "bad": "bad_total", "total": "all_total"},
    {"name": "latency", "buckets": "seconds_bucket", "quantile": 0.95, "unit": "s"},
    {"name": "memory", "value": "max by ($by) (process_resident_memory_bytes{$sel})", "unit": "B"},
]


def recorded(scenario: str, spec: ResolvedSpec, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a simulated run's evidence."""
    lines: list[str] = []

    def listening(spec: ResolvedSpec | None, status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan:
        plan = decide(spec, status, facts, now)
        for draft in plan.entries:
            last = parse_entry(lines[-1]) if lines else None
            run = plan.status.run.id if plan.status.run else ""
            made = link(last.digest if last else "", len(lines) + 1, at=now, release="a/b", run=run, draft=draft)
            lines.append(made.line)
        return plan

    monkeypatch.setattr(simulated, "decide", listening)
    simulated.simulate(setting(scenario, spec, rps=50), 1)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("healthy", Reason.PROMOTED),
        ("errors=20%", Reason.ROLLED_BACK),
        ("errors=2%", Reason.ROLLED_BACK),
        ("latency=+100%", Reason.ROLLED_BACK),
        ("leak=3", Reason.RUN_STARTED),
        ("incident=30%@20m", Reason.SHARED_INCIDENT),
        ("blind=40m@20m", Reason.DATA_MISSING_TOO_LONG),
    ],
)
def test_every_decision_is_reproduced(scenario: str, kind: Reason, monkeypatch: pytest.MonkeyPatch) -> None:
    triggers = EVERY_KIND[:1] if kind is Reason.SHARED_INCIDENT else EVERY_KIND
    comparison = {"tests": [{"metric": "http"}, {"metric": "latency"}]}
    spec = resolved(metrics=METRICS, triggers=triggers, comparison=comparison)
    lines = recorded(scenario, spec, monkeypatch)
    entries: list[Entry] = [entry for entry in map(parse_entry, lines) if entry is not None]
    assert kind.value in {entry.kind for entry in entries}
    found = replay(entries)
    assert (found.difference, found.entries) == (None, len(lines))
    assert sum(len(line) + 1 for line in lines) <= BUDGET
