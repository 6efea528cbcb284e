"""One morning of a person at a terminal: every verb against the operator itself, every answer as promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from testbed.cluster import User

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

STAGES = [
    {"name": "quarter", "weight": 25, "duration": "10m"},
    {"name": "half", "weight": 50, "duration": "10m"},
    {"name": "full", "weight": 100, "duration": "10m"},
]
SETTLE = {"steps": [50, 0], "interval": "12s"}
"""Long enough for a person, or a program on a busy machine, to see a step."""

NAME = "Mira Möller"


Say = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def say(operator: Operator, cluster: Cluster, shop: Shop) -> Say:
    """Runs the program as Mira; the caller judges the exit code."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        mira = User(NAME, ("system:masters",))
        return cluster.kubectl("sparkrelease", *args, "-n", shop.namespace, identity=mira)

    return run


@pytest.fixture
def ask(say: Say) -> Callable[..., str]:
    """Runs it and expects that it goes well."""

    def run(*args: str) -> str:
        done = say(*args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def under_way(operator: Operator, shop: Shop) -> Shop:
    """A run in its first stage, at 25 %, whose clock runs."""
    shop.open()
    shop.start_load(duration=300)
    shop.ship("v2", stages=STAGES, settle=SETTLE)
    shop.until("a verified weight", lambda s: s.get("weight", {}).get("verified", False))
    return shop


@pytest.mark.timeout(240)
def test_pause_resume_promote_and_rollback_do_what_they_say_and_leave_evidence(
    under_way: Shop, say: Say, ask: Callable[..., str]
) -> None:
    shop = under_way
    screen = ask("status", shop.name)
    for told in ("Progressing", "quarter", "25 %", "verified", "burst", "Evidence"):
        assert told in screen

    ask("pause", shop.name, "--reason", "lunch")
    shop.until_condition("Paused")
    assert f"paused by {NAME}: lunch" in ask("status", shop.name)
    refused = say("promote", shop.name, "--reason", "hungry")
    assert refused.returncode == 1
    assert "the release is paused" in refused.stderr
    ask("resume", shop.name)
    shop.until("no pause", lambda s: "pause" not in s)

    ask("promote", shop.name, "--reason", "looks good")
    shop.until_weight(50)

    assert "50 % → 0 %" in ask("rollback", shop.name, "--reason", "drill", "--dry-run")
    assert shop.canary_weight() == 50
    told = ask("rollback", shop.name, "--reason", "drill")
    assert "all traffic is back on stable" in told
    assert shop.canary_weight() == 0
    shop.until_phase("RolledBack")
    assert say("status", shop.name, "--exit-code").returncode == 1
    assert say("rollback", shop.name, "--reason", "again").returncode == 1

    assert "every link holds" in ask("evidence", "verify", shop.name)
    kinds = [line.split()[3] for line in ask("evidence", "show", shop.name).splitlines()[1:]]
    assert kinds[:2] == ["RunStarted", "StageEntered"]
    for kind in ("CommandTaken", "InvalidCommand", "GateSkipped", "RollbackRequested", "RolledBack"):
        assert kind in kinds


def test_retry_full_promotion_and_settle_do_what_they_say(under_way: Shop, ask: Callable[..., str]) -> None:
    shop = under_way
    ask("rollback", shop.name, "--reason", "drill")
    shop.until_phase("RolledBack")
    ended = shop.status["run"]["id"]
    ask("retry", shop.name, "--reason", "it was a drill")
    shop.until_weight(25)
    assert "every link holds" in ask("evidence", "verify", shop.name, "--run", ended)
    ask("promote", shop.name, "--full", "--reason", "enough")
    shop.until_condition("Promoted")
    ask("settle", shop.name, "--reason", "stable is old, and that is fine")
    shop.until("a walk back", lambda s: str(s.get("stageText", "")).startswith("settle"))
    assert "settle-50" in ask("status", shop.name)
    shop.until_weight(0)
