"""Every screen tells copies of requests from requests."""

from __future__ import annotations

from sparkrelease.cli.render.ladder import rungs
from sparkrelease.cli.show import describe
from unit.cli.samples import NOW, body, part, seen
from unit.cli.test_status_screen import drawn

SHADOW = {"name": "shadow", "weight": 0, "mirror": 100, "duration": "15m"}


def shadowed(**status: object) -> dict[str, object]:
    """The sample, with a shadow before its stages, under way."""
    stage = part("stage", index=1, count=6, name="shadow")
    weight = part("weight", desired=0, observed=0, mirror=100, measuredShare=99.8)
    changed = body(**({"stage": stage, "stageText": "mirror 1/6", "weight": weight} | status))
    changed["spec"]["stages"].insert(0, SHADOW)
    return changed


def test_the_status_says_what_is_mirrored_and_what_was_measured() -> None:
    screen = drawn(seen(shadowed()))
    assert "shadow" in screen
    assert "100 % mirrored" in screen
    assert "mirrored to canary: 100 % of the requests, which stable answers  measured 99.8 %" in screen


def test_a_shadow_that_is_over_or_to_come_stays_one_on_the_ladder() -> None:
    view = seen(shadowed(stage=part("stage", index=2, count=6, name="one-percent"), weight=part("weight")))
    assert view.spec is not None
    first, second, *_ = rungs(view.spec, view.release.status, NOW)
    assert (first.mirror, second.mirror) == (100, 0)


def test_programs_are_told_of_the_mirror() -> None:
    told = describe(seen(shadowed()))
    assert told["stages"][0] == {"name": "shadow", "weight": 0, "mirror": 100, "duration": "15m"}  # type: ignore[index]
    assert told["status"]["weight"]["mirror"] == 100  # type: ignore[index]
