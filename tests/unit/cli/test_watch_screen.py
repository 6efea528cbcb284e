"""What the screen says of a watch and of what triggers changed."""

from __future__ import annotations

import json

from unit.cli.samples import body, seen
from unit.cli.test_status_screen import drawn

WATCH = {
    "check": 3,
    "of": 24,
    "checkedAt": "2026-11-21T14:00:00Z",
    "message": "check 3 of 24: 6 of 6 within their limits",
}
STAGE = {
    "index": 5,
    "count": 5,
    "name": "watch",
    "enteredAt": "2026-11-21T11:00:00Z",
    "startedAt": "2026-11-21T11:00:00Z",
    "observed": "3h",
}
CHANGED = {
    "trigger": "slow",
    "at": "2026-11-21T14:00:00.000Z",
    "state": "done",
    "configMap": "flags",
    "set": {"FLOOR": "0.65"},
    "before": {"FLOOR": None},
    "restart": "",
    "undo": True,
}


def test_the_watch_has_a_rung_with_its_checks_and_what_the_last_one_said() -> None:
    release = body(phase="Watching", watch=WATCH, stage=STAGE)
    release["spec"]["watch"] = {"duration": "24h"}
    screen = drawn(seen(release))
    (rung,) = [line for line in screen.splitlines() if " watch " in line and "checks" in line]
    assert "3h of 1d, 3 of 24 checks" in rung
    assert "6 of 6 within their limits" in screen
    assert "full" in screen


def test_a_declared_watch_that_has_not_begun_is_to_come() -> None:
    release = body()
    release["spec"]["watch"] = {"duration": "24h"}
    assert any(line.split()[:2] == ["·", "watch"] for line in drawn(seen(release)).splitlines())


def test_what_a_trigger_changed_is_told() -> None:
    screen = drawn(seen(body(mitigations=[json.dumps(CHANGED), "not one"])))
    assert "ConfigMap flags: FLOOR=0.65" in screen
    assert "by slow (done)" in screen
