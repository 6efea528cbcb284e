"""What a plan wants to know before the next one."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from sparkrelease.api.metrics import Threshold
from sparkrelease.decide.facts import SettingsAsk, SpanAsk
from sparkrelease.decide.plan import Wants

WANTED: dict[str, Any] = {
    "preflight": True,
    "gate_over": timedelta(minutes=5),
    "checks": "v2-abcdef.1",
    "spans": (SpanAsk("night", Threshold(name="errors", metric="http", max=0.01), timedelta(hours=1)),),
    "settings": SettingsAsk("flags", ("key",), ""),
    "after": True,
}


def test_nothing_is_wanted_at_first() -> None:
    assert not Wants().anything


@pytest.mark.parametrize("name", [field.name for field in fields(Wants)])
def test_whatever_is_wanted_makes_a_round_ask(name: str) -> None:
    assert Wants(**{name: WANTED[name]}).anything
