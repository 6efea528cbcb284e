"""A person reads one verdict a rule: of a threshold the worse of what was judged and what it says now."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from sparkrelease.api.objects import read_release
from sparkrelease.cli.dashboard.feed import Feed
from sparkrelease.cli.look import find_release, look_at
from sparkrelease.cli.options import Format
from sparkrelease.cli.seen import as_seen
from sparkrelease.cli.show import show_status
from unit.cli.doors import FakeDoor
from unit.cli.samples import NOW, body

TRIGGER = {"rule": "errors", "kind": "trigger", "verdict": "Pass", "value": "1%", "message": "fine"}


def said(verdict: str, value: str) -> dict[str, Any]:
    return {"rule": "errors", "kind": "threshold", "verdict": verdict, "value": value, "message": f"errors: {value}"}


def glance(verdict: str = "Pass") -> str:
    return json.dumps(said(verdict, "now"))


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
    release = body(verdicts=[TRIGGER, said(judged, "judged")], glances=[glance(now)])
    trigger, threshold = as_seen(read_release(release)).status.verdicts
    assert trigger.kind == "trigger"
    assert (threshold.kind, threshold.value) == ("threshold", shown)


def test_a_threshold_that_was_not_judged_yet_is_shown_as_it_is_now() -> None:
    release = body(verdicts=[TRIGGER], glances=["not one", glance("Fail")])
    (_, threshold) = as_seen(read_release(release)).status.verdicts
    assert (threshold.kind, threshold.verdict.value, threshold.value) == ("threshold", "Fail", "now")


def test_every_look_at_a_release_shows_it_so() -> None:
    door = FakeDoor(body(verdicts=[], glances=[glance()]))
    view = look_at(door, find_release(door, "trading-api"))
    assert [(v.kind, v.value) for v in view.release.status.verdicts] == [("threshold", "now")]


def test_a_program_reads_the_status_as_it_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    show_status(FakeDoor(body(verdicts=[], glances=[glance()])), "trading-api", Format.JSON)
    status = json.loads(capsys.readouterr().out)["status"]
    assert (status["verdicts"], status["glances"]) == ([], [glance()])


def test_the_dashboard_draws_the_values_of_now() -> None:
    feed = Feed(FakeDoor(body(verdicts=[said("Pass", "0.1%")], glances=[glance("Fail")])), everywhere=False)
    feed.look(NOW)
    (release,) = cast("list[dict[str, Any]]", feed.latest["releases"])
    (rule,) = release["rules"]
    assert (rule["verdict"], rule["value"]) == ("Fail", "now")
    assert [one["verdict"] for one in rule["samples"]] == ["Fail"]
