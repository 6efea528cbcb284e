"""Runs with evidence as an operator would have stored it, for every document to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sparkrelease.api.command import Verb
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, SparkReleaseStatus
from sparkrelease.decide.evidence import Entry, link, parse_entry, verify
from sparkrelease.decide.facts import Counts, Facts, Missing, Share, Value
from sparkrelease.decide.lifecycle import decide
from sparkrelease.decide.plan import EntryDraft, Plan
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.documents.record import Chain, Run, read_run
from sparkrelease.simulate import run as simulated
from sparkrelease.simulate.run import Setting
from unit.decide.world import FP2, World, spec
from unit.simulate.release import resolved, setting

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"' | `rm` **b** [l](javascript:x) {{ 7*7 }} \x1b[31m\u202e"
)


def chain_of(entries: Sequence[Entry], *, anchored: bool = True) -> Chain:
    return Chain(entries[-1].digest, len(entries), anchored=anchored)


def run_of(entries: Sequence[Entry]) -> Run:
    return read_run(entries, chain_of(entries))


def rolled_back() -> list[Entry]:
    """v2 turns bad at 25 %; the route says 0 in the round after."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.share = Share(stable=750, canary=250, window=timedelta(minutes=1), at=world.now, judged=True)
    world.run_for(60, until=Phase.ROLLED_BACK)
    assert world.status.phase is Phase.ROLLED_BACK
    return world.stored()


def measured_after() -> list[Entry]:
    """The same, and stable was measured once its window lay behind the rollback."""
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    world.reading, world.stable_reading = Missing(Reason.NO_DATA, "no series of Service shop-canary"), Counts(3, 1000)
    world.run_for(90)
    return world.stored()


def settled() -> list[Entry]:
    """v2 passes every stage, and stable takes it over."""
    world = World()
    world.run_for(600, until=Phase.SUCCEEDED)
    world.stable = replace(world.stable, fingerprints=FP2)
    world.run_for(120)
    assert world.status.phase is Phase.SUCCEEDED
    assert world.status.settled is not None and world.status.settled.version == "v2"
    return world.stored()


def under_way() -> list[Entry]:
    """v2 has passed its first stage."""
    world = World()
    world.reach(25)
    return world.stored()


def stepped_back() -> list[Entry]:
    """A trigger takes v2 back from 25 % to 1 % once, and it comes to 25 % again."""
    trigger = {"name": "slow", "all": [{"metric": "queue", "value": 10}], "for": "0s", "action": "stepBack"}
    metrics = [{"name": "http", "bad": "bad_total", "total": "all_total"}, {"name": "queue", "value": "queue{$sel}"}]
    world = World(spec=spec(metrics=metrics, triggers=[trigger]))
    world.readings["queue"] = (Value(1), Value(1))
    world.reach(25)
    world.run_for(5)
    world.readings["queue"] = (Value(20), Value(1))
    world.reach(1)
    world.readings["queue"] = (Value(1), Value(1))
    world.reach(25)
    return world.stored()


def largest() -> list[Entry]:
    """A release with as many metrics and objectives as there may be, through eight stages."""
    names = [f"{'m' * 50}-{number}" for number in range(64)]
    metrics = [{"name": name, "bad": "bad_total", "total": "all_total"} for name in names]
    thresholds = [{"name": name, "metric": name, "max": 0.01, "minRequests": 1} for name in names]
    stages = [{"name": f"{'s' * 50}-{place}", "weight": place, "duration": "1m"} for place in range(1, 9)]
    triggers = [{"name": "burst", "all": [{"metric": names[0], "value": 0.05}]}]
    world = World(spec=spec(metrics=metrics, thresholds=thresholds, stages=stages, triggers=triggers))
    world.tick = timedelta(seconds=30)
    world.run_for(3600, until=Phase.SUCCEEDED)
    assert world.status.phase is Phase.SUCCEEDED
    return world.stored()


def by_command(**more: object) -> list[Entry]:
    """A person takes v2 back at 25 %."""
    world = World()
    world.reach(25)
    world.say(Verb.ROLLBACK, **({"reason": "looks wrong"} | more))
    world.run_for(30)
    assert world.status.phase is Phase.ROLLED_BACK
    return world.stored()


def simulated_run(scene: Setting, monkeypatch: pytest.MonkeyPatch, *, seed: int = 1) -> list[Entry]:
    """A run on made-up traffic, with its evidence chained as the engine does it.

    Requests are counted by a gateway that follows the route to a third of a percent, which writes within 0.4 s.
    """
    lines: list[str] = []

    def listening(spec: ResolvedSpec | None, status: SparkReleaseStatus, facts: Facts, now: datetime) -> Plan:
        route, share = facts.route, (facts.route.canary_weight or 0.0) * (1 + (len(lines) % 5 - 2) / 300)
        if route.written_at is not None:
            route = replace(route, written_at=route.written_at + timedelta(milliseconds=400))
        counted = Share(stable=3000 - 30 * share, canary=30 * share, window=timedelta(minutes=1), at=now, judged=True)
        facts = replace(facts, route=route, share=counted if share else None)
        plan = decide(spec, status, facts, now)
        run = plan.status.run.id if plan.status.run else ""
        for draft in plan.entries:
            head = entry_of(lines[-1]).digest if lines else ""
            lines.append(link(head, len(lines) + 1, at=now, release="trading/trading-api", run=run, draft=draft).line)
        return plan

    monkeypatch.setattr(simulated, "decide", listening)
    simulated.simulate(scene, seed)
    return [entry_of(line) for line in lines]


def showcase(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Five stages, six objectives, and errors of 4 % that begin at 50 %: what the pictures in docs/images show."""
    spec = resolved(
        version="v1.4.0",
        metrics=[
            {"name": "latency", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95, "unit": "s"},
            {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"},
            {"name": "idempotency", "bad": "idempotency_conflicts_total", "total": "idempotency_requests_total"},
            {"name": "staleness", "value": "max by ($by) (ws_staleness_seconds{$sel})", "unit": "s"},
            {"name": "risk-blocks", "value": "60 * sum by ($by) (rate(risk_blocks_total{$sel}[1m]))", "unit": "/min"},
            {"name": "memory", "value": "max by ($by) (process_resident_memory_bytes{$sel})", "unit": "B"},
        ],
        thresholds=[
            {"name": "api-p95", "metric": "latency", "max": 0.25},
            {"name": "http-5xx", "metric": "http", "max": 0.01},
            {"name": "idempotency-conflicts", "metric": "idempotency", "max": 0.01},
            {"name": "ws-staleness", "metric": "staleness", "max": 30},
            {"name": "risk-blocks", "metric": "risk-blocks", "max": 0.5},
            {"name": "memory", "metric": "memory", "maxVsBaseline": 1.5},
        ],
        triggers=[
            {"name": "api-p95-high", "all": [{"metric": "latency", "value": 0.5}], "for": "5m"},
            {"name": "http-5xx-high", "all": [{"metric": "http", "value": 0.03}], "for": "5m"},
            {"name": "burst", "all": [{"metric": "http", "value": 0.1, "minEvents": 5}]},
            {
                "name": "leak",
                "all": [
                    {"metric": "memory", "kind": "trend", "over": "30m", "slopePerMinute": 1048576, "warmup": "10m"}
                ],
            },
        ],
        comparison={"tests": [{"metric": "http"}, {"metric": "latency"}]},
    )
    return simulated_run(setting("late=4%@50m", spec), monkeypatch)


def entry_of(line: str) -> Entry:
    entry = parse_entry(line)
    assert entry is not None
    return entry


def rechained(entries: Sequence[Entry], *, release: str, message: str = "", times: int = 1) -> list[Entry]:
    """The chain hashed again under another name, with other sentences, the middle repeated: what a forger could do."""
    middle = list(entries[2:-2]) * times
    lines: list[str] = []
    for number, entry in enumerate([*entries[:2], *middle, *entries[-2:]], start=1):
        kind = Reason.named(entry.kind)
        head = entry_of(lines[-1]).digest if lines else ""
        draft = EntryDraft(kind, message or entry.message, entry.data)
        at = datetime.fromisoformat(entry.at)
        lines.append(link(head, number, at=at, release=release, run=entry.run, draft=draft).line)
    assert verify(lines, head=None, entries=None) is None
    return [entry_of(line) for line in lines]


def without_inputs(entry: Entry) -> Entry:
    """The entry without what its decision was made from, as an older or a newer program might leave it."""
    return replace(entry, data={key: value for key, value in entry.data.items() if key != "inputs"})
