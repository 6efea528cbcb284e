"""Evidence that was pruned as the release asks is no break; what is missing without having been pruned is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.export import Source, export
from sparkrelease.cli.options import Format, TableFormat
from sparkrelease.cli.replay import replay_evidence
from sparkrelease.cli.show import show_evidence, verify_evidence
from unit.cli.doors import FakeDoor
from unit.cli.samples import body, part
from unit.cli.test_looking import chain, config_map, text_of

NAME = "trading-api"
RUNS = ["v5-e", "v4-d", "v3-c", "v2-b", "v1-a"]
"""Newest first; the first one has just ended."""


def entry(run: str) -> dict[str, Any]:
    evidence = {"head": chain(3, run=run)[-1].digest, "entries": 3, "configMaps": [name(run, 0), name(run, 1)]}
    return {
        "run": run,
        "version": run.partition("-")[0],
        "outcome": "Settled",
        "reason": "Settled",
        "startedAt": "2026-11-20T10:00:00.000Z",
        "endedAt": "2026-11-20T12:00:00.000Z",
        "evidence": evidence,
    }


def name(run: str, number: int) -> str:
    return f"trading-api-{run}-evidence-{number:03d}"


def maps(run: str) -> list[dict[str, Any]]:
    links = chain(3, run=run)
    return [config_map(0, text_of(links[:2]), run=run), config_map(1, text_of(links[2:]), run=run)]


def door(retain: int | None, stored: list[dict[str, Any]], *, under_way: bool = False) -> FakeDoor:
    """A release with these five runs, the newest of which may be under way."""
    past = [entry(run) for run in (RUNS[1:] if under_way else RUNS)]
    ended = {} if under_way else {"end": "Settled", "endedAt": "2026-11-20T12:00:00.000Z"}
    run = part("run", id=RUNS[0], **ended)
    release = body(history=past, run=run, evidence=entry(RUNS[0])["evidence"], pendingEvidence=None)
    if retain is not None:
        release["spec"]["evidence"] = {"retainRuns": retain}
    there = FakeDoor(release)
    there.config_maps = stored
    return there


def kept(count: int) -> list[dict[str, Any]]:
    return [one for run in RUNS[:count] for one in maps(run)]


@pytest.mark.parametrize("run", RUNS[3:])
def test_a_run_older_than_those_that_are_kept_was_pruned(run: str) -> None:
    with pytest.raises(CliError, match=f"run {run} of trading/trading-api was pruned.*retainRuns.*last 3") as caught:
        verify_evidence(door(3, kept(3)), NAME, run)
    assert caught.value.code is ExitCode.PRUNED
    assert entry(run)["evidence"]["head"] in str(caught.value), "the head it had is known all the same"


@pytest.mark.parametrize("run", RUNS[:3])
def test_a_run_that_is_kept_is_checked(run: str) -> None:
    assert verify_evidence(door(3, kept(3)), NAME, run) is ExitCode.FINE


@pytest.mark.parametrize("run", RUNS[:3])
def test_a_run_that_should_be_kept_and_is_gone_is_a_break(run: str) -> None:
    there = door(3, [one for one in kept(3) if one["metadata"]["annotations"]["sparkrelease.dev/run"] != run])
    assert verify_evidence(there, NAME, run) is ExitCode.BAD


@pytest.mark.parametrize("part_left", [0, 1])
def test_a_part_of_an_old_run_that_is_gone_is_a_break(part_left: int) -> None:
    there = door(3, [*kept(3), maps(RUNS[4])[part_left]])
    assert verify_evidence(there, NAME, RUNS[4]) is ExitCode.BAD


def test_an_old_run_that_was_not_pruned_yet_is_checked() -> None:
    assert verify_evidence(door(3, kept(5)), NAME, RUNS[4]) is ExitCode.FINE


def test_the_run_under_way_counts_only_once_it_has_ended() -> None:
    """Pruning comes at the end of a run: while the next one is under way, as many older ones are kept."""
    stored = [one for run in (*RUNS[1:3],) for one in maps(run)]
    assert verify_evidence(door(3, stored, under_way=True), NAME, RUNS[3]) is ExitCode.BAD
    with pytest.raises(CliError, match="was pruned"):
        verify_evidence(door(3, stored, under_way=True), NAME, RUNS[4])


def test_by_default_ten_runs_are_kept_which_is_all_that_the_status_names() -> None:
    assert verify_evidence(door(None, kept(4)), NAME, RUNS[4]) is ExitCode.BAD


def test_what_else_reads_evidence_says_the_same(tmp_path: Path) -> None:
    there = door(3, kept(3))
    for read in (
        lambda: replay_evidence(there, NAME, RUNS[3], Format.TEXT),
        lambda: show_evidence(there, NAME, RUNS[3], TableFormat.TABLE),
        lambda: export(Source(NAME, RUNS[3], cluster=there), tmp_path),
    ):
        with pytest.raises(CliError, match="was pruned") as caught:
            read()
        assert caught.value.code is ExitCode.PRUNED
