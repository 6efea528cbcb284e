"""The stages shown are those the run follows, and evidence is put together and checked as it was stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.objects import read_release
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.evidence import check, evidence_of_run, known_of_run, runs_with_evidence
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.health import SILENCE
from sparkrelease.cli.look import look_at
from sparkrelease.cli.options import TableFormat
from sparkrelease.cli.show import show_evidence, verdict_code, verify_evidence
from sparkrelease.decide.evidence import BreakKind, Link, link
from sparkrelease.decide.plan import EntryDraft
from sparkrelease.decide.resolve import ResolvedSpec, digest
from unit.cli.doors import FORBIDDEN, FakeDoor
from unit.cli.samples import NOW, body, condition, part, seen

RUN = "v1.4.0-6c1f0a"
AT = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


def chain(length: int, first: EntryDraft | None = None, run: str = RUN) -> list[Link]:
    links: list[Link] = []
    for number in range(1, length + 1):
        draft = first if first and number == 1 else EntryDraft(Reason.STAGE_ENTERED, f"stage {number}\u2028")
        head = links[-1].digest if links else ""
        links.append(link(head, number, at=AT, release="trading/trading-api", run=run, draft=draft))
    return links


def config_map(number: int, text: str, run: str = RUN) -> dict[str, Any]:
    name = f"trading-api-{run}-evidence-{number:03d}"
    return {"metadata": {"name": name, "annotations": {"sparkrelease.dev/run": run}}, "data": {"entries.jsonl": text}}


def text_of(links: list[Link]) -> str:
    return "".join(f"{one.line}\n" for one in links)


# ---------------------------------------------------------------- stages


def resolved(release: dict[str, Any]) -> ResolvedSpec:
    spec = seen(release).spec
    assert spec is not None
    return spec


def following(release: dict[str, Any], spec: ResolvedSpec) -> dict[str, Any]:
    release["status"]["run"]["specDigest"] = digest(spec)
    return release


def test_the_stages_of_an_unedited_release_are_its_own() -> None:
    release = following(body(), resolved(body()))
    door = FakeDoor(release)
    door.config_maps = FORBIDDEN
    view = look_at(door, read_release(release))
    assert (view.spec, view.note) == (resolved(release), "")


def edited() -> tuple[dict[str, Any], ResolvedSpec]:
    """A release edited during its run, and the spec the run began with."""
    before = resolved(body())
    release = following(body(), before)
    release["spec"]["stages"] = [{"name": "all-at-once", "weight": 100, "duration": "1s"}]
    return release, before


def test_an_edit_during_a_run_does_not_change_the_stages_shown() -> None:
    release, before = edited()
    door = FakeDoor(release)
    start = EntryDraft(Reason.RUN_STARTED, "run", {"spec": before.model_dump(mode="json", by_alias=True)})
    door.config_maps = [config_map(0, text_of(chain(2, start)))]
    view = look_at(door, read_release(release))
    assert view.spec == before
    assert "follows the one it started with" in view.note
    door.config_maps = FORBIDDEN
    assert look_at(door, read_release(release), view) == view


def test_an_edit_whose_beginning_cannot_be_read_is_shown_with_a_warning() -> None:
    release, _ = edited()
    door = FakeDoor(release)
    for config_maps in (FORBIDDEN, [], [config_map(0, "broken\n")], [config_map(0, text_of(chain(1)))]):
        door.config_maps = config_maps
        view = look_at(door, read_release(release))
        assert [stage.name for stage in view.spec.stages if view.spec] == ["all-at-once"]
        assert "cannot be read" in view.note


def test_a_policy_that_cannot_be_read_leaves_the_stages_out_and_says_so() -> None:
    release = body(run=None)
    release["spec"]["policyRef"] = {"name": "spark-standard"}
    view = look_at(FakeDoor(release), read_release(release))
    assert view.spec is None
    assert "spark-standard" in view.note


def test_stages_of_a_policy_are_shown() -> None:
    release = body(run=None)
    release["spec"]["policyRef"] = {"name": "spark-standard"}
    del release["spec"]["stages"]
    door = FakeDoor(release)
    stages = [{"name": "policy-stage", "weight": 100, "duration": "1m"}]
    door.policies["spark-standard"] = {"metadata": {"name": "spark-standard"}, "spec": {"stages": stages}}
    view = look_at(door, read_release(release))
    assert view.spec is not None
    assert view.spec.stages[0].name == "policy-stage"


# ---------------------------------------------------------------- evidence


@given(st.integers(1, 8), st.data())
def test_entries_come_back_however_they_were_cut_into_config_maps(length: int, data: st.DataObject) -> None:
    links = chain(length)
    text = text_of(links)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    maps = [config_map(number, piece) for number, piece in enumerate(pieces)]
    stored = evidence_of_run(data.draw(st.permutations(maps)), RUN)
    assert list(stored.lines) == [one.line for one in links]
    assert stored.config_maps == tuple(one["metadata"]["name"] for one in maps)
    starts = [text.index(one.line) for one in links]
    expected = [sum(cut <= start for cut in cuts) for start in starts]
    assert [stored.config_maps.index(place) for place in stored.places] == expected


def test_the_order_is_that_of_numbers_not_of_letters() -> None:
    links = chain(1001)
    maps = [config_map(number, f"{one.line}\n") for number, one in enumerate(links)]
    assert evidence_of_run(maps[::-1], RUN).lines == tuple(one.line for one in links)


def test_other_runs_are_left_out() -> None:
    maps = [config_map(0, text_of(chain(2))), config_map(0, text_of(chain(3, run="v1-a")), run="v1-a")]
    assert runs_with_evidence(maps) == ("v1-a", RUN)
    assert len(evidence_of_run(maps, RUN).lines) == 2


def test_what_the_status_remembers_of_past_runs_is_used_for_them() -> None:
    past = {"run": "v1-a", "version": "v1", "outcome": "Settled", "startedAt": "2026-11-20T10:00:00.000Z"}
    history = [{**past, "endedAt": "2026-11-20T11:00:00.000Z", "evidence": {"head": "sha256:1", "entries": 3}}]
    status = read_release(body(history=history)).status
    known = known_of_run(status, "v1-a")
    assert known is not None
    assert (known.head, known.entries) == ("sha256:1", 3)
    assert known_of_run(status, "v0-b") is None


def test_a_chain_of_another_run_in_the_place_of_this_one_is_found() -> None:
    stored = evidence_of_run([config_map(0, text_of(chain(2, run="v9-zzzzzz")))], RUN)
    checked = check(stored, None, "trading/trading-api")
    assert checked.broken is not None
    assert checked.broken.kind is BreakKind.SWAPPED
    assert not check(evidence_of_run([config_map(0, text_of(chain(2)))], RUN), None, "trading/other").intact


ROLLBACK = {"run": RUN, "trigger": "errors", "reason": "OverLimit", "decidedAt": "2026-11-21T14:00:00.000Z"}


@pytest.mark.parametrize(
    "status",
    [{}, {"run": part("run", end="RolledBack"), "rollback": ROLLBACK}],
    ids=["under-way", "measured-after-its-rollback"],
)
def test_entries_stored_just_before_the_status_names_them_are_no_break(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, Any]
) -> None:
    monkeypatch.setattr("sparkrelease.cli.show.LOOK_EVERY", 0.001)
    links = chain(3)
    door = FakeDoor(body(evidence={"head": links[1].digest, "entries": 2, "configMaps": []}, **status))
    door.config_maps = [config_map(0, text_of(links))]
    looks = []

    def catch_up(release: dict[str, Any]) -> None:
        looks.append(1)
        if len(looks) == 3:
            release["status"]["evidence"] = {"head": links[2].digest, "entries": 3, "configMaps": []}

    door.on_look = catch_up
    assert verify_evidence(door, "trading-api", None) is ExitCode.FINE
    assert len(looks) == 3


def test_lines_that_are_no_entry_are_shown_as_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    door = FakeDoor(body())
    door.config_maps = [config_map(0, text_of(chain(1)) + "scribble\n")]
    show_evidence(door, "trading-api", None, TableFormat.JSON)
    first, second = json.loads(capsys.readouterr().out)
    assert (first["n"], second) == (1, "scribble")
    show_evidence(door, "trading-api", None, TableFormat.TABLE)
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "1 line is no entry" in said.err


@pytest.mark.parametrize(
    "status",
    [
        {"run": part("run", end="Settled")},
        {"run": part("run", end="RolledBack"), "rollback": ROLLBACK | {"measuredAt": "2026-11-21T14:01:00.000Z"}},
    ],
    ids=["settled", "measured"],
)
def test_entries_a_finished_run_never_named_are_a_break(status: dict[str, Any]) -> None:
    links = chain(3)
    known = {"head": links[1].digest, "entries": 2, "configMaps": []}
    door = FakeDoor(body(evidence=known, **status))
    door.config_maps = [config_map(0, text_of(links))]
    assert verify_evidence(door, "trading-api", None) is ExitCode.BAD


@pytest.mark.parametrize(
    ("runs", "run", "code", "told"),
    [
        ([], None, ExitCode.NOT_FOUND, "is gone; there is no evidence of any"),
        (["v1-a", "v2-b"], None, ExitCode.USAGE, "there is evidence of v1-a, v2-b: name one with --run"),
        (["v1-a"], "v9-z", ExitCode.NOT_FOUND, "no evidence of run v9-z"),
    ],
)
def test_a_run_that_is_not_there_is_answered_with_those_that_are(
    runs: list[str], run: str | None, code: ExitCode, told: str
) -> None:
    door = FakeDoor(None)
    door.config_maps = [config_map(0, text_of(chain(1, run=name)), run=name) for name in runs]
    with pytest.raises(CliError, match=told) as caught:
        verify_evidence(door, "trading-api", run)
    assert caught.value.code is code


def test_the_only_run_of_a_release_that_is_gone_needs_no_name() -> None:
    door = FakeDoor(None)
    door.config_maps = [config_map(0, text_of(chain(2)))]
    assert verify_evidence(door, "trading-api", None) is ExitCode.FINE


# ---------------------------------------------------------------- exit code of status


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({}, ExitCode.FINE),
        ({"phase": "Succeeded"}, ExitCode.FINE),
        ({"phase": "RolledBack"}, ExitCode.BAD),
        ({"phase": "RollingBack"}, ExitCode.BAD),
        ({"phase": "Blocked"}, ExitCode.BAD),
        ({"conditions": [condition("Stalled", "True")]}, ExitCode.BAD),
        ({"conditions": [condition("Ready", "False")]}, ExitCode.FINE),
    ],
)
def test_the_exit_code_says_whether_a_person_is_needed(status: dict[str, Any], code: ExitCode) -> None:
    assert verdict_code(read_release(body(**status)).status, NOW) is code


@pytest.mark.parametrize(
    ("age", "phase", "code"),
    [
        (SILENCE, "Progressing", ExitCode.FINE),
        (SILENCE + timedelta(seconds=1), "Progressing", ExitCode.UNKNOWN),
        (timedelta(hours=2), "Progressing", ExitCode.UNKNOWN),
        (timedelta(hours=2), "RollingBack", ExitCode.BAD),
    ],
)
def test_the_last_word_of_an_operator_that_fell_silent_is_not_fine(age: timedelta, phase: str, code: ExitCode) -> None:
    stage = part("stage", countedUntil=(NOW - age).isoformat(), stalledSince=None)
    assert verdict_code(read_release(body(stage=stage, phase=phase)).status, NOW) is code


def test_a_run_that_ended_needs_no_word_of_the_operator() -> None:
    stage = part("stage", countedUntil=(NOW - timedelta(hours=2)).isoformat(), stalledSince=None)
    status = read_release(body(stage=stage, run=part("run", end="Settled"), phase="Succeeded")).status
    assert verdict_code(status, NOW) is ExitCode.FINE
