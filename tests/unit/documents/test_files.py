"""The files of a run: all of them, with true figures, and plain words where a run has nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import pytest

from sparkrelease.decide.evidence import Entry, verify
from sparkrelease.documents.files import documents
from sparkrelease.documents.people import NOT_PART
from sparkrelease.documents.record import Chain, UnreadableRunError, read_run
from testbed.evidence import RITUAL
from unit.documents import runs

ALL = [runs.settled, runs.rolled_back, runs.measured_after, runs.under_way, runs.stepped_back, runs.by_command]
DATA = {"report.html", "release-notes.md", "run.json", "evidence.jsonl"}
DATA |= {"data/observations.jsonl", "data/observations.csv"}


def files(entries: list[Entry]) -> Mapping[str, str]:
    return documents(["{}"], entries, runs.chain_of(entries))


def test_every_run_leaves_the_seven_files_and_its_data() -> None:
    assert set(files(runs.settled())) == {*RITUAL, *DATA}


def test_a_rollback_leaves_its_record_metrics_before_and_after_and_an_incident_draft() -> None:
    found = set(files(runs.rolled_back())) - {*RITUAL, *DATA}
    at = "20260105T120100Z"
    kinds = ("rollback", "metrics_before_rollback", "metrics_after_rollback")
    assert found == {f"{kind}_{at}.txt" for kind in kinds} | {f"incident_{at}.md"}


def test_the_same_evidence_gives_the_same_bytes() -> None:
    entries = runs.rolled_back()
    assert files(entries) == files(entries)


@pytest.mark.parametrize("make", ALL)
def test_no_file_is_empty_and_no_line_of_a_text_ends_in_blanks(make: object) -> None:
    assert callable(make)
    for name, text in files(make()).items():
        assert text.endswith("\n") and text.strip(), name
        assert not [line for line in text.splitlines() if line != line.rstrip()], name


def test_what_a_run_does_not_have_is_said_and_not_made_up() -> None:
    found = files(runs.settled())
    for name in ("go_nogo_signed.txt", "blind_spots_scan.txt", "baseline_metrics.txt", "sbom.json"):
        assert NOT_PART in found[name], name
    for name in ("sbom.json", "build_provenance.json"):
        body = json.loads(found[name])
        assert body["partOfRun"] is False and "components" not in body


def test_the_rollback_record_has_rule_times_and_recovery() -> None:
    found = files(runs.rolled_back())
    record = next(text for name, text in found.items() if name.startswith("rollback_"))
    for told in (
        "burst",
        "TriggerFired",
        "quarter",
        "25 % to 0 %",
        "2026-01-05 12:01:00.000 UTC",
        "http 50% (500/1000)",
        "none named",
    ):
        assert told in record, told


def test_a_rollback_by_command_names_the_person_and_the_restore_point() -> None:
    found = files(runs.by_command(stage="quarter", restore_point="pitr 12:00, orders-db"))
    record = next(text for name, text in found.items() if name.startswith("rollback_"))
    for told in ("jane", "looks wrong", "pitr 12:00, orders-db", "stage seen"):
        assert told in record, told
    draft = next(text for name, text in found.items() if name.startswith("incident_"))
    assert "pitr 12:00, orders-db" in draft
    assert json.loads(found["run.json"])["rollback"]["restorePoint"] == "pitr 12:00, orders-db"


def test_metrics_before_are_those_the_rollback_was_decided_on() -> None:
    found = files(runs.rolled_back())
    before = next(text for name, text in found.items() if name.startswith("metrics_before"))
    assert "50% (500/1000)" in before and "0% (0/1000)" in before


def test_metrics_after_are_those_measured_once_traffic_was_back() -> None:
    entries = runs.measured_after()
    found = files(entries)
    after = next(text for name, text in found.items() if name.startswith("metrics_after"))
    assert "0.3% (3/1000)" in after and "NoData: no series of Service shop-canary" in after
    assert NOT_PART not in after and "reach back" not in after
    assert "gateway follows" in after and "not known" not in after
    draft = next(text for name, text in found.items() if name.startswith("incident_"))
    assert "stable 0.3% (3/1000)" in draft.partition("## After the rollback")[2].partition("## Timeline")[0]
    told = json.loads(found["run.json"])["rollback"]
    assert told["after"]["http"]["stable"] == {"bad": 3, "total": 1000}
    assert told["verifiedAt"] is not None
    rows = [json.loads(line) for line in found["data/observations.jsonl"].splitlines()]
    (row,) = [row for row in rows if row["source"] == "after" and row["role"] == "stable"]
    assert (row["bad"], row["total"], row["entry"]) == (3, 1000, len(entries))


def test_a_rollback_nobody_has_measured_after_says_so() -> None:
    found = files(runs.rolled_back())
    after = next(text for name, text in found.items() if name.startswith("metrics_after"))
    assert NOT_PART in after
    assert json.loads(found["run.json"])["rollback"]["after"] == {}


def test_the_stage_table_of_the_release_note_has_all_stages_and_scores() -> None:
    notes = files(runs.settled())["release-notes.md"]
    for stage, weight in (("one", "1"), ("quarter", "25"), ("full", "100")):
        assert f"| {stage} | {weight} % | 1m | passed | 1/1 |" in notes
    assert "## Rollback events\n\nNone." in notes
    bad = files(runs.rolled_back())["release-notes.md"]
    assert "| quarter | 25 % | 0s | rolled back | 0/1 (last look) |" in bad
    assert "| full | 100 % | - | not reached | - |" in bad
    assert "| burst | 2026-01-05 12:01:00.000 UTC | 0 s | 25 % | entry 5 |" in bad


def test_a_stage_that_was_left_and_entered_again_is_told_twice() -> None:
    notes = files(runs.stepped_back())["release-notes.md"]
    assert notes.count("| quarter | 25 % |") == 2
    assert "| quarter | 25 % | 5s | stepped back |" in notes


def test_the_run_for_programs_agrees_with_the_evidence() -> None:
    entries = runs.rolled_back()
    body = json.loads(files(entries)["run.json"])
    assert (body["outcome"], body["release"], body["version"]) == ("RolledBack", "shop/shop", "v2")
    assert [one["canary"] for one in body["weights"]] == [1, 25, 0]
    assert [one["status"] for one in body["stages"]] == ["Passed", "RolledBack"]
    assert body["stages"][0]["observedSeconds"] == 60
    assert body["stages"][0]["results"][0]["verdict"] == "Pass"
    assert body["rollback"]["trueSince"] is None
    assert body["evidence"] == {
        "entries": len(entries),
        "head": entries[-1].digest,
        "intact": True,
        "fault": None,
        "headKnownToStatus": True,
    }


def test_the_chain_is_written_down_as_it_was_read() -> None:
    entries = runs.settled()
    lines = ["one", "two"]
    assert documents(lines, entries, runs.chain_of(entries))["evidence.jsonl"] == "one\ntwo\n"


def test_a_broken_chain_is_said_wherever_the_head_is_named() -> None:
    entries = runs.rolled_back()
    chain = Chain(entries[-1].digest, len(entries), fault="entry 3 was changed")
    found = documents([], entries, chain)
    for name in found:
        if name.startswith(("release_tag", "rollback_", "incident", "release-notes", "report", "run.json")):
            assert "entry 3 was changed" in found[name], name
    assert "every link holds" not in found["report.html"]


def test_evidence_without_its_start_has_no_documents() -> None:
    entries = runs.settled()
    with pytest.raises(UnreadableRunError, match="start of the run"):
        read_run(entries[1:], runs.chain_of(entries))


def test_of_two_starts_of_a_run_the_second_counts() -> None:
    """The spec was edited between the evidence of the first and the status that would have told of it."""
    entries = runs.rolled_back()
    length = next(place for place, entry in enumerate(entries) if place and "inputs" in entry.data)
    first = dict(entries[0].data) | {"specDigest": "sha256:before", "spec": {"version": "other"}}
    never = [dataclasses.replace(entries[0], data=first), *entries[1:length]]
    twice = read_run([*never, *entries], runs.chain_of(entries))
    once = runs.run_of(entries)
    assert (twice.spec, twice.started_at, [*twice.entries]) == (once.spec, once.started_at, entries)


def test_a_decision_whose_inputs_cannot_be_read_is_told_by_its_entries() -> None:
    entries = runs.rolled_back()
    bare = [runs.without_inputs(entry) for entry in entries]
    found = files(bare)
    assert "burst" in found["release-notes.md"]
    assert json.loads(found["run.json"])["rollback"]["seconds"] is None
    assert verify([], head=None, entries=None) is None
