"""A message about a shadow speaks of copies."""

from __future__ import annotations

from sparkrelease.adapters.notify.words import facts
from unit.notify.sample import notice


def test_a_message_says_what_was_and_is_mirrored_and_of_a_weight_that_there_is_none() -> None:
    back = dict(facts(notice(weight_before=0.0, mirror_before=100.0)))
    assert back["Mirrored to canary"] == "100 % → 0 %"
    under_way = dict(facts(notice(weight_before=None, seconds=None, mirror=12.5)))
    assert under_way["Mirrored to canary"] == "12.5 %"
    assert "Canary weight" not in back.keys() | under_way.keys()
