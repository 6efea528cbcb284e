"""A person reads one verdict a rule: of a threshold the worse of what was judged and what it says now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sparkrelease.api.objects import read_release
from sparkrelease.cli.look import find_release, look_at
from sparkrelease.cli.options import Format
from sparkrelease.cli.seen import as_seen
from sparkrelease.cli.show import show_status
from unit.cli.doors import FakeDoor
from unit.cli.samples import body

TRIGGER = {"rule": "errors", "kind": "trigger", "verdict": "Pass", "value": "1%", "message": "fine"}


def said(kind: str, verdict: str, value: str) -> dict[str, Any]:
    return {"rule": "errors", "kind": kind, "verdict": verdict, "value": value, "message": f"errors: {value}"}


@pytest.mark.parametrize(
    ("judged", "now", "shown"),
    [
        ("Pass", "Pass", "now"),
        ("Pass", "Fail", "now"),
        ("Inconclusive", "Pass", "judged"),
        ("Fail", "Pass", "judged"),
        ("Fail", "Fail", "now"),
        ("NoData", "Inconclusive", "judged"),
    ],
)
def test_the_worse_word_is_shown_and_that_of_now_where_they_are_alike(judged: str, now: str, shown: str) -> None:
    verdicts = [TRIGGER, said("threshold", judged, "judged"), said("glance", now, "now")]
    trigger, threshold = as_seen(read_release(body(verdicts=verdicts))).status.verdicts
    assert trigger.kind == "trigger"
    assert (threshold.kind, threshold.value) == ("threshold", shown)


def test_a_threshold_that_was_not_judged_yet_is_shown_as_it_is_now() -> None:
    (_, threshold) = as_seen(read_release(body(verdicts=[TRIGGER, said("glance", "Fail", "now")]))).status.verdicts
    assert (threshold.kind, threshold.verdict.value, threshold.value) == ("threshold", "Fail", "now")


def test_every_look_at_a_release_shows_it_so() -> None:
    release = body(verdicts=[said("glance", "Pass", "now")])
    door = FakeDoor(release)
    view = look_at(door, find_release(door, "trading-api"))
    assert [(v.kind, v.value) for v in view.release.status.verdicts] == [("threshold", "now")]


def test_a_program_reads_the_status_as_it_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    show_status(FakeDoor(body(verdicts=[said("glance", "Pass", "now")])), "trading-api", Format.JSON)
    assert [v["kind"] for v in json.loads(capsys.readouterr().out)["status"]["verdicts"]] == ["glance"]
