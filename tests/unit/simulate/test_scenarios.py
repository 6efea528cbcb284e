"""Scenarios as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sparkrelease.simulate.scenario import KINDS, PANEL, Expect, Scenario, ScenarioError, panel, parse


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("errors=2%", "errors", 0.02),
        ("errors=0.005", "errors", 0.005),
        ("latency=+25%", "slower", 1.25),
        ("latency=100%", "slower", 2.0),
        ("latency=1.5x", "slower", 1.5),
        ("late=2%@35m", "start", timedelta(minutes=35)),
        ("late=2%", "start", 0.4),
        ("incident=5%@10m", "spreads", 0.0),
        ("leak=4", "leak", 4.0),
        ("quiet=0.5", "rps", 0.5),
        ("blind=3m", "lasts", timedelta(minutes=3)),
    ],
)
def test_a_scenario_says_what_a_person_wrote(text: str, field: str, value: object) -> None:
    found = getattr(parse(text), field)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sunshine", "healthy, noisy, quiet"),
        ("errors=lots", "share such as 2%"),
        ("errors=0", "share"),
        ("errors=120%", "share"),
        ("latency=fast", "rise such as"),
        ("late=2%@soon", "duration"),
        ("blind=ten", "duration"),
        ("leak=0", "number"),
        ("healthy=3", "takes no value"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_could(text: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        parse(text)


def test_every_kind_is_in_the_panel_and_has_a_value_to_begin_with() -> None:
    assert {parse(text).name for text in PANEL} == set(KINDS)
    assert len({scenario.title for scenario in panel()}) == len(PANEL)
    assert [parse(name) for name in KINDS]


def test_only_what_is_wrong_with_the_release_alone_should_be_rolled_back() -> None:
    def blamed(scenario: Scenario) -> bool:
        return scenario.harmful and not scenario.shared

    assert all((one.expect is Expect.ROLL_BACK) is blamed(one) for one in panel())
