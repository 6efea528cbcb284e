"""What docs/evidence.md tells people to do works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import BreakKind, Link, link
from sparkrelease.decide.plan import EntryDraft
from unit.decide.world import World

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "evidence.md").read_text(encoding="utf-8")
AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def chain() -> list[Link]:
    data = {"weight": 25.0, "small": 1e-9, "large": 1e22, "nothing": float("nan"), "text": "5 % é \u2028", "yes": True}
    links: list[Link] = []
    for number in (1, 2, 3):
        head = links[-1].digest if links else ""
        draft = EntryDraft(Reason.STAGE_ENTERED, f"stage {number}", data)
        links.append(link(head, number, at=AT, release="shop/web", run="v1-abc", draft=draft))
    return links


def documented_check(text: str) -> subprocess.CompletedProcess[str]:
    found = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return subprocess.run([sys.executable, "-c", found[1]], input=text, capture_output=True, text=True, check=False)


def test_the_script_in_the_documentation_confirms_a_chain_and_prints_its_head(chain: list[Link]) -> None:
    done = documented_check("".join(f"{one.line}\n" for one in chain))
    assert (done.stdout.strip(), done.stderr) == (chain[-1].digest, "")


def test_the_script_in_the_documentation_finds_a_changed_entry(chain: list[Link]) -> None:
    text = "".join(f"{one.line}\n" for one in chain).replace("stage 2", "stage 9")
    assert "entry 2 was changed" in documented_check(text).stderr


def test_the_command_in_the_documentation_shows_what_a_decision_was_made_from() -> None:
    world = World()
    world.run_for(5)
    found = re.search(r"python3 -c '(.*?)' 7", DOCUMENT, re.DOTALL)
    assert found is not None
    entries = json.dumps([json.loads(one.line) for one in world.chain])
    done = subprocess.run(
        [sys.executable, "-c", found[1], "1"], input=entries, capture_output=True, text=True, check=True
    )
    shown = json.loads(done.stdout)
    assert shown["facts"]["wantedVersion"] == "v2"
    assert {"status", "now", "deletionPolicy"} <= shown.keys()


def test_every_word_of_verify_is_explained() -> None:
    for kind in BreakKind:
        assert f"| `{kind.value}` |" in DOCUMENT
