"""Reading what is stored, whoever stored it, and writing what the API server will take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sparkrelease.api.command import parse_command
from sparkrelease.api.objects import parse_status, read_release
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import (
    CommandStatus,
    HistoryEntry,
    OriginalRoute,
    Outcome,
    Phase,
    RefusedVersion,
    SparkReleaseStatus,
    WeightStatus,
)
from unit.api.wrong import GOOD

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def body(**parts: object) -> dict[str, Any]:
    meta = {
        "name": "shop",
        "namespace": "trading",
        "uid": "1-2-3",
        "generation": 4,
        "resourceVersion": "77",
        "creationTimestamp": "2026-01-05T11:00:00Z",
        "deletionTimestamp": "2026-01-05T12:00:00Z",
        "finalizers": ["sparkrelease.dev/restore-traffic"],
        "annotations": {"sparkrelease.dev/command": "{}"},
    }
    return {"metadata": meta, "spec": GOOD, **parts}


def test_a_release_is_read_whole() -> None:
    release = read_release(body(status={"phase": "Progressing", "observedGeneration": 3}))
    assert (release.namespace, release.name, release.uid) == ("trading", "shop", "1-2-3")
    assert (release.generation, release.resource_version) == (4, "77")
    assert release.deleting_since == NOW
    assert release.finalizers == ("sparkrelease.dev/restore-traffic",)
    assert release.annotations == {"sparkrelease.dev/command": "{}"}
    assert isinstance(release.spec, SparkReleaseSpec)
    assert release.status.phase is Phase.PROGRESSING
    assert release.status_problem is None


def test_a_wrong_spec_does_not_hide_the_status() -> None:
    release = read_release(body(spec={}, status={"phase": "RolledBack"}))
    assert isinstance(release.spec, Problem)
    assert release.status.phase is Phase.ROLLED_BACK


def test_an_object_of_nothing_is_read_without_an_error() -> None:
    release = read_release({})
    assert (release.namespace, release.name, release.generation, release.created_at) == ("", "", 0, None)
    assert isinstance(release.spec, Problem)
    assert release.status == SparkReleaseStatus()


def test_what_cannot_be_read_of_a_status_is_named_and_the_rest_is_kept() -> None:
    refused = {"version": "v2", "run": "v2-abc", "at": "2026-01-05T11:00:00Z"}
    stored = {"phase": "Dreaming", "refused": [refused], "run": {"id": 7}, "epoch": 5}
    status, problem = parse_status({"status": stored})
    assert problem is not None
    assert problem.reason is Reason.STATUS_UNREADABLE
    assert "status.phase" in problem.message
    assert "status.run" in problem.message
    assert status.refused[0].version == "v2"
    assert (status.epoch, status.run) == (5, None)


def test_fields_of_another_release_of_the_operator_are_passed_over() -> None:
    status, problem = parse_status({"status": {"phase": "Pending", "approvals": [1], "weight": {"burst": True}}})
    assert problem is None
    assert status.phase is Phase.PENDING


def test_texts_are_cut_to_their_limit_when_written() -> None:
    long = CommandStatus(nonce="12345678", verb="pause", at=NOW).model_copy(update={"reason": "x" * 5000})
    written = SparkReleaseStatus(command=long).model_dump(mode="json", by_alias=True)
    assert len(written["command"]["reason"]) == 512


def test_texts_are_cut_to_their_limit_when_read() -> None:
    command = {"nonce": "12345678", "verb": "pause", "at": "2026-01-05T11:00:00Z", "reason": "x" * 5000}
    status, problem = parse_status({"status": {"command": command}})
    assert problem is None
    assert status.command is not None
    assert len(status.command.reason) == 512


def test_the_newest_entries_of_a_list_are_kept() -> None:
    def entry(number: int) -> HistoryEntry:
        return HistoryEntry(run=f"r{number}", version="v", outcome=Outcome.SETTLED, started_at=NOW, ended_at=NOW)

    refused = tuple(RefusedVersion(version=f"v{i}", run="r", at=NOW) for i in range(30))
    status = SparkReleaseStatus().model_copy(update={"history": tuple(map(entry, range(30))), "refused": refused})
    written = status.model_dump(mode="json", by_alias=True)
    assert [e["run"] for e in written["history"]] == [f"r{i}" for i in range(10)]
    assert [e["version"] for e in written["refused"]] == [f"v{i}" for i in range(10)]


def test_a_weight_found_on_a_route_is_stored_in_thousandths() -> None:
    status = SparkReleaseStatus(weight=WeightStatus().model_copy(update={"observed": 100 / 3}))
    assert status.model_dump(mode="json", by_alias=True)["weight"]["observed"] == 33.333


def test_a_status_is_the_same_after_being_stored() -> None:
    status = SparkReleaseStatus(
        phase=Phase.BLOCKED,
        original_route=OriginalRoute(route="HTTPRoute/shop", state="{}"),
        refused=(RefusedVersion(version="v2", run="v2-abc", at=NOW),),
    )
    stored = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert parse_status({"status": stored}) == (status, None)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"user": "\\ud800"}', "1" * 5000, "null", '{"full": 1e999}', ""])
def test_an_annotation_that_is_no_command_is_a_sentence_and_never_an_error(text: str) -> None:
    assert isinstance(parse_command(text), str)


def test_objects_of_a_model_share_the_set_of_its_fields_and_a_copy_leaves_it_alone() -> None:
    one, other = WeightStatus(), WeightStatus.model_validate({"desired": 25})
    copied = one.model_copy(update={"observed": 5.0})
    fields = {*WeightStatus.model_fields}
    assert one.model_fields_set is other.model_fields_set is copied.model_fields_set
    assert one.model_fields_set == fields
    assert one == WeightStatus(desired=0.0), "what was given makes no difference"
    assert copied == WeightStatus(observed=5.0)
    assert WeightStatus.model_validate(copied.model_dump(by_alias=True)) == copied
