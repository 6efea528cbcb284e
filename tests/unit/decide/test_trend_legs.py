"""What a leg of kind trend says: how fast, beyond chance, and of which part of whose history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import (
    History,
    Missing,
    Track,
)
from unit.decide.leg_world import (
    FAIL,
    GONE,
    NO_DATA,
    PASS,
    TREND,
    UNSURE,
    past,
    say,
    track,
)
from unit.decide.world import START


@pytest.mark.parametrize(
    ("more", "history", "verdict"),
    [
        ({}, past(track(1.2)), FAIL),
        ({}, past(track(0.8)), PASS),
        ({}, past(track(-5)), PASS),
        ({"slopePerMinute": 0}, past(track(0)), PASS),
        ({"not": True}, past(track(0.8)), FAIL),
        ({}, past(track(5, minutes=10)), UNSURE),
        ({"not": True}, past(track(5, minutes=10)), UNSURE),
        ({}, past(track(5, minutes=16)), FAIL),
        ({}, past(), UNSURE),
        ({}, None, UNSURE),
        ({}, past(track(0), track(3, name="pod-b"), track(0, name="pod-c")), FAIL),
        ({}, past(track(0), track(9, name="pod-b", minutes=5)), PASS),
    ],
)
def test_a_trend_is_told_by_the_pod_that_rises_fastest(
    more: dict[str, object], history: History | None, verdict: Verdict
) -> None:
    told = say(TREND | more, history=history)
    assert told.verdict is verdict
    if verdict is UNSURE:
        assert told.reason is Reason.TOO_FEW_POINTS


def test_noise_that_rises_by_chance_alone_is_no_trend() -> None:
    values = [100 + (place * 7919 % 101) for place in range(121)]
    noisy = Track("pod-a", tuple((START.timestamp() - 15 * (120 - n), float(v)) for n, v in enumerate(values)))
    assert say(TREND | {"slopePerMinute": -1000}, history=past(noisy)).verdict is PASS


def warming(rest: float) -> Track:
    """A pod that fills its caches for ten minutes and then moves by `rest` a minute for twenty."""
    steep = track(10, minutes=30).points[:40]
    end = START.timestamp()
    flat = tuple((end - 60 * 20 + 15 * n, 200 + rest * n / 4 + 0.01 * (n % 3)) for n in range(81))
    return Track("pod-a", (*steep, *flat), START - timedelta(minutes=30))


def test_warming_up_is_left_out_of_each_pod_s_history() -> None:
    leg = TREND | {"warmup": "10m", "over": "30m"}
    assert say(TREND, history=past(warming(0.0))).verdict is FAIL
    assert say(leg, history=past(warming(0.0))).verdict is PASS
    assert say(leg, history=past(warming(2.0))).verdict is FAIL


def test_a_restart_begins_the_history_anew_where_it_is_asked_for() -> None:
    restarted = track(2, minutes=30, born=8)
    assert say(TREND, history=past(restarted)).verdict is FAIL
    assert say(TREND | {"resetOn": "podRestart"}, history=past(restarted)).verdict is UNSURE
    assert say(TREND | {"resetOn": "podRestart"}, history=past(track(2, minutes=30, born=300))).verdict is FAIL


def test_a_fall_of_a_gauge_is_no_restart() -> None:
    one, two = track(2, minutes=30).points[:60], track(2, minutes=15, start=115).points
    assert say(TREND | {"resetOn": "podRestart"}, history=past(Track("pod-a", (*one, *two)))).verdict is FAIL


@pytest.mark.parametrize(
    ("stable", "verdict"),
    [
        ((track(0.5),), FAIL),
        ((track(2),), PASS),
        ((track(-3),), FAIL),
        ((track(0), track(2, name="pod-z")), PASS),
        ((), UNSURE),
        (GONE, UNSURE),
    ],
)
def test_a_slope_may_be_asked_to_be_more_than_stable_s(stable: tuple[Track, ...] | Missing, verdict: Verdict) -> None:
    assert say(TREND | {"vsStableFactor": 2}, history=past(track(3), stable=stable)).verdict is verdict


def test_the_order_of_pods_is_irrelevant() -> None:
    pods = (track(3), track(3, name="pod-b"), track(1, name="pod-c"))
    assert say(TREND, history=past(*pods)) == say(TREND, history=past(*reversed(pods)))


def test_an_old_history_is_missing_data() -> None:
    late = replace(past(track(3)), at=START - timedelta(minutes=6))
    assert say(TREND, history=late).verdict is NO_DATA
