"""Entries and the answer about a chain, as a person sees them."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from sparkrelease.api.objects import read_release
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus
from sparkrelease.cli.evidence import StoredEvidence, check
from sparkrelease.cli.render.evidence import render_checked, render_entries
from sparkrelease.cli.render.releases import render_releases
from sparkrelease.decide.evidence import Link, link
from sparkrelease.decide.plan import EntryDraft
from unit.cli.samples import NOW, body

RELEASE, RUN = "trading/trading-api", "v1.4.0-6c1f0a"


def drawn(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def chain(messages: list[str]) -> list[Link]:
    links: list[Link] = []
    for number, message in enumerate(messages, start=1):
        head = links[-1].digest if links else ""
        draft = EntryDraft(Reason.STAGE_ENTERED, message)
        at = datetime(2026, 11, 21, 14, 0, number, tzinfo=UTC)
        links.append(link(head, number, at=at, release=RELEASE, run=RUN, draft=draft))
    return links


def stored(links: list[Link]) -> StoredEvidence:
    lines = tuple(one.line for one in links)
    return StoredEvidence(RUN, lines, ("map-000",) * len(lines), ("map-000",))


def known(links: list[Link]) -> EvidenceStatus:
    return EvidenceStatus(head=links[-1].digest, entries=len(links), config_maps=("map-000",))


def test_an_entry_is_a_line_with_number_time_kind_and_sentence() -> None:
    lines = drawn(render_entries(stored(chain(["stage one", "stage \x1b[31mtwo"])).entries)).splitlines()
    assert lines[1:] == [
        "1  2026-11-21 14:00:01  StageEntered  stage one",
        "2  2026-11-21 14:00:02  StageEntered  stage  [31mtwo",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_long_entries_and_long_lists_stay_within_the_terminal(width: int) -> None:
    entries = drawn(render_entries(stored(chain(["w" * 400, "word " * 80])).entries), width)
    releases = [read_release(body()) for _ in range(3)]
    releases[0] = read_release({**body(), "metadata": {"name": "n" * 253, "namespace": "s" * 63}})
    table = drawn(render_releases(releases, NOW, everywhere=True), width)
    assert max(cell_len(line) for line in (entries + "\n" + table).splitlines()) <= width


def test_a_chain_that_holds_is_told_with_its_whole_head() -> None:
    links = chain(["one", "two"])
    text = drawn(render_checked(check(stored(links), known(links), RELEASE), RELEASE))
    assert "2 entries in 1 ConfigMap, every link" in text
    assert links[-1].digest in text
    assert "it is the head the status knows" in text


def test_a_chain_the_status_forgot_is_not_called_more_than_it_is() -> None:
    text = drawn(render_checked(check(stored(chain(["one"])), None, RELEASE), RELEASE))
    assert "an end that is missing could not be seen" in " ".join(text.split())


def test_a_broken_chain_names_entry_kind_and_config_map() -> None:
    links = chain(["one", "two", "three"])
    broken = stored([links[0], Link(links[1].line.replace("two", "2"), ""), links[2]])
    text = " ".join(drawn(render_checked(check(broken, known(links), RELEASE), RELEASE)).split())
    assert text.startswith(f"✖ {RELEASE}, run {RUN}: 3 entries in 1 ConfigMap ")
    assert "Changed entry 2 was changed" in text
    assert "(ConfigMap map-000)" in text


def test_a_config_map_that_is_gone_is_named_even_when_the_rest_holds() -> None:
    links = chain(["one"])
    there = EvidenceStatus(head=links[-1].digest, entries=1, config_maps=("map-000", "map-001"))
    checked = check(stored(links), there, RELEASE)
    assert not checked.intact
    assert "ConfigMap map-001 is gone" in drawn(render_checked(checked, RELEASE))
