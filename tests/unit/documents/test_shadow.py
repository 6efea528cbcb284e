"""A run that was refused in its shadow is told as one: no user had an answer of canary."""

from __future__ import annotations

import json

from sparkrelease.api.status import Phase
from sparkrelease.decide.evidence import Entry
from sparkrelease.decide.facts import Counts
from sparkrelease.documents.files import documents
from unit.decide.world import World, spec
from unit.documents import runs

STAGES = [
    {"name": "shadow", "weight": 0, "mirror": 100, "duration": "1m"},
    {"name": "one", "weight": 1, "duration": "1m"},
    {"name": "full", "weight": 100, "duration": "1m"},
]


def refused() -> list[Entry]:
    """v2 is bad on copies already."""
    world = World(spec=spec(stages=STAGES))
    world.run_for(20)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    assert world.status.phase is Phase.ROLLED_BACK
    return world.stored()


def left() -> list[Entry]:
    """v2 leaves the shadow and turns bad at 1 %."""
    world = World(spec=spec(stages=STAGES))
    world.reach(1)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    return world.stored()


def written(entries: list[Entry]) -> dict[str, str]:
    """The documents of a run by a part of their names."""
    return dict(documents((), entries, runs.chain_of(entries)))


def find(files: dict[str, str], part: str) -> str:
    return next(text for name, text in files.items() if part in name)


def test_every_document_of_a_run_refused_in_its_shadow_says_that_no_user_saw_it() -> None:
    files = written(refused())
    sentence = "v2 went back from 100 % mirrored to 0 %"
    for part in ("report.html", "release-notes", "incident"):
        text = find(files, part)
        assert sentence in text, part
        assert "before any user saw it" in text, part
    assert "| shadow | 100 % mirrored |" in find(files, "release-notes")
    assert "Users affected: none" in find(files, "incident")
    assert "100 % mirrored to 0 %" in find(files, "rollback_")
    assert "100 % mirrored" in find(files, "canary_plan")
    machine = json.loads(files["run.json"])
    assert (machine["rollback"]["fromMirror"], machine["stages"][0]["mirror"]) == (100.0, 100.0)


def test_a_canary_that_left_its_shadow_was_seen_by_users() -> None:
    files = written(left())
    notes = find(files, "release-notes")
    assert "before any user saw it" not in notes
    assert "| shadow | 100 % mirrored |" in notes
    assert "| one | 1 % |" in notes
    assert "1/1" in notes, "the gate of the shadow judged copies"
