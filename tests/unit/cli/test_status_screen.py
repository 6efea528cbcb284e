"""One screen says how a release goes; it fits, it is safe, and colour is never the only carrier of a fact."""

from __future__ import annotations

import io
import re
import runpy
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from sparkrelease.cli.health import SILENCE
from sparkrelease.cli.look import ReleaseView
from sparkrelease.cli.render.status import render_status
from unit.cli.samples import IMAGES, NOW, body, condition, part, seen, view


def drawn(release: ReleaseView, width: int = 100, *, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        highlight=False,
        markup=False,
    )
    with console.capture() as captured:
        console.print(render_status(release, NOW))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_the_screen_of_the_documented_release() -> None:
    assert drawn(view(), 80) == SCREEN


SCREEN = """\
trading/trading-api  v1.3.8 → v1.4.0  run v1.4.0-6c1f0a, 42m48s ago
● Progressing  v1.4.0: stage quarter (3/5), canary weight 25; holding:
orders-rejected: orders 2.61% (19/728) > 0.02 (acts after 120 s)

Stages    ✔  one-percent     1 %  ━━━━━━━━━━━━━━━━  15m
          ✔  five-percent    5 %  ━━━━━━━━━━━━━━━━  15m
          ‖  quarter        25 %  ━━━━━━━━━━━━      11m40s of 15m, stopped 44s
          ·  half           50 %                    15m
          ·  full          100 %                    30m

Traffic            desired   observed   measured
          canary      25 %       25 %    24.81 %   ✔ verified
          stable      75 %       75 %    75.19 %

Rules     ✖ Fail          orders-rejected  orders 2.61% (19/728) > 0.02; true
                                           for 44s of 2m, then rollback
          ? Inconclusive  p95              latency 0 events: fewer than 1
                                           requests
          ✔ Pass          http-5xx         http 0.09% (13/14420), not > 0.03
          ✔ Pass          slow             latency 99.4% <= 0.5s, not > 0.5s
          ✔ Pass          errors           http 0.11% (24/21560), within its
                                           limit

Next      gate quarter, once the clock runs again
Rollback  5 % → 0 % in 0.38 s at stage five-percent, 2d4h ago (v1.3.9-aa02d1),
          by http-5xx: http 4.8% (211/4396) > 0.03
Command   promote by mira@example.com, 11m42s ago: checked by hand with the desk
          (taken)
Evidence  41 entries in 2 ConfigMaps, head sha256:8f3a5a0c41d2b97b…"""


def test_the_picture_in_the_documentation_is_what_the_program_draws() -> None:
    script = runpy.run_path(str(IMAGES / "make_status.py"))
    assert script["draw"]() == (IMAGES / "status.svg").read_text(encoding="utf-8"), "run docs/images/make_status.py"


# ---------------------------------------------------------------- fitting


LONG = "a-name-that-is-as-long-as-kubernetes-lets-a-name-of-a-stage-be"


def crowded() -> ReleaseView:
    """Everything at once, with the longest names and sentences."""
    release = body(
        conditions=[condition(kind, "False", "words " * 60) for kind in ("Ready", "MetricsAvailable", "TrafficInSync")]
        + [condition(kind, "True", "w" * 300) for kind in ("Stalled", "Paused", "TrafficContested")],
        verdicts=[
            {"rule": LONG + str(n), "kind": "trigger", "verdict": verdict, "message": "m" * 512}
            for n, verdict in enumerate(("Pass", "Fail", "Inconclusive", "NoData", "Error"))
        ],
        pendingEvidence=["{}"],
        rollback=part("rollback", message="x" * 512, trigger=LONG, run="v" * 160),
        command=part("command", user="u" * 256, reason="r" * 512, result="refused: " + "z" * 200),
        next={"what": "n" * 128, "at": "2026-11-22T14:02:30.000Z"},
    )
    release["metadata"]["name"] = "n" * 253
    release["spec"]["stages"][2]["name"] = LONG
    return seen(release, note="note " * 40)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("release", [view(), crowded()], ids=["usual", "crowded"])
def test_nothing_is_wider_than_the_terminal(release: ReleaseView, width: int, colour: bool) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn(release, width, colour=colour))
    assert max(cell_len(line) for line in plain.splitlines()) <= width


def test_nothing_is_cut_off_at_80_columns() -> None:
    squeezed = re.sub(r"\s", "", drawn(crowded(), 80))
    for whole in ("m" * 512, "x" * 512, "z" * 200, "r" * 512, "u" * 256, "n" * 253):
        assert len(whole) <= sum(len(run) for run in re.findall(f"{whole[0]}+", squeezed))


def test_an_ordinary_release_fits_on_one_screen() -> None:
    assert len(drawn(view(), 80).splitlines()) <= 32


def test_colour_adds_nothing_but_colour() -> None:
    def words(text: str) -> list[str]:
        """All but the bars, whose unfilled part is drawn in colour only."""
        return re.sub(r"\x1b\[[0-9;]*m|[━╸╺]", "", text).split()

    assert words(drawn(view(), colour=True)) == words(drawn(view()))


def test_no_escape_sequence_without_colour() -> None:
    assert "\x1b" not in drawn(crowded())


@settings(max_examples=20)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_words_from_a_cluster_cannot_drive_the_terminal(text: str) -> None:
    hostile = f"{text}\x1b]0;title\x07\x9b31m\u202e[red]"
    release = view(
        verdicts=[{"rule": "r", "kind": "trigger", "verdict": "Fail", "message": hostile}],
        conditions=[condition("Ready", "False", hostile)],
        command=part("command", user=hostile, reason=hostile, result=hostile[:256]),
    )
    assert all(character.isprintable() or character == "\n" for character in drawn(release))
    assert "[red]" in drawn(release)


# ---------------------------------------------------------------- what it says


def test_a_release_the_operator_has_not_seen_is_told_as_such() -> None:
    release = body()
    del release["status"]
    text = drawn(seen(release))
    assert "● Pending  the operator has not looked at this release yet" in text
    assert "none yet" in text


def test_an_edit_the_operator_has_not_seen_is_told() -> None:
    assert "has not seen the last edit" in drawn(view(observedGeneration=6))
    assert "has not seen the last edit" not in drawn(view())


def test_a_version_that_waits_for_the_run_under_way_is_told() -> None:
    release = body()
    release["spec"]["version"] = "v1.5.0"
    assert "v1.3.8 → v1.4.0 (v1.5.0 waits)" in drawn(seen(release))


def stages_of(text: str) -> list[str]:
    ladder = text.split("Stages", 1)[1].split("Traffic", 1)[0]
    return [line.split()[0] for line in ladder.splitlines() if re.search(r" \d+ %  ", line)]


def test_stages_behind_under_way_and_to_come_have_their_marks() -> None:
    assert stages_of(drawn(view())) == ["✔", "✔", "‖", "·", "·"]
    going = part("stage")
    del going["stalledSince"]
    assert stages_of(drawn(view(stage=going))) == ["✔", "✔", "▸", "·", "·"]


def test_a_rolled_back_run_shows_where_and_how_fast() -> None:
    back = part("rollback", run="v1.4.0-6c1f0a", stage="quarter", fromWeight=25, seconds=0.38)
    text = drawn(view(phase="RolledBack", stage=None, rollback=back, run=part("run", end="RolledBack")))
    assert stages_of(text) == ["✔", "✔", "✖", "·", "·"]
    assert "rolled back here" in text
    assert "25 % → 0 % in 0.38 s" in text


@pytest.mark.parametrize(
    ("open_now", "told"),
    [(0, "canary is drained"), (1, "1 connection is still open"), (3, "3 connections are still open"), (None, "")],
)
def test_what_canary_still_holds_is_told_where_it_is_counted(open_now: int | None, told: str) -> None:
    counted = {} if open_now is None else {"connections": open_now, "connectionsAt": "2026-11-21T14:03:46.000Z"}
    text = " ".join(drawn(view(phase="RolledBack", rollback=part("rollback", **counted))).split())
    assert told in text
    assert ("drained" in text, "open on canary" in text) == (open_now == 0, bool(open_now))


def test_a_stage_passed_by_command_is_passed_when_a_later_one_is_rolled_back() -> None:
    back = part("rollback", run="v1.4.0-6c1f0a", stage="quarter")
    run = part("run", end="RolledBack", gatesPassed=0)
    assert stages_of(drawn(view(phase="RolledBack", stage=None, rollback=back, run=run))) == ["✔", "✔", "✖", "·", "·"]


def test_a_rollback_under_way_says_since_when() -> None:
    back = part("rollback", run="v1.4.0-6c1f0a", stage="quarter", decidedAt="2026-11-21T14:03:46.000Z")
    del back["seconds"], back["trafficAt"]
    assert "under way for 4s" in drawn(view(phase="RollingBack", rollback=back))


def test_a_promoted_run_shows_the_way_back_to_stable() -> None:
    step = part("stage", index=1, count=2, name="settle-50", observed="20s")
    run = part("run", promotedAt="2026-11-21T14:00:00.000Z", gatesPassed=5)
    text = drawn(view(stage=step, run=run, phase="Succeeded"))
    assert stages_of(text) == ["✔", "✔", "✔", "✔", "✔", "‖", "·"]
    assert "20s of 1m" in text


def test_stages_skipped_by_command_count_as_passed_once_the_run_is_promoted() -> None:
    run = part("run", promotedAt="2026-11-21T14:00:00.000Z", gatesPassed=1)
    assert stages_of(drawn(view(stage=None, run=run)))[:5] == ["✔"] * 5


def test_weights_stand_side_by_side_for_both_sides() -> None:
    weight = part("weight", desired=25, observed=5, verified=False, reason="RoutePending", measuredShare=4.998)
    lines = drawn(view(weight=weight)).split("Traffic ", 1)[1].splitlines()
    rows = [line.split() for line in lines[1:3]]
    assert rows[0] == ["canary", "25", "%", "5", "%", "5", "%", "not", "verified:", "RoutePending"]
    assert rows[1] == ["stable", "75", "%", "95", "%", "95", "%"]


def test_a_weight_nobody_knows_is_a_dash() -> None:
    assert re.search(r"canary +0 % +- +-", drawn(view(weight={"desired": 0})))


def test_bad_rules_come_first_and_say_when_they_act() -> None:
    lines = drawn(view(), 120).split("Rules", 1)[1].splitlines()
    assert re.search(
        r"✖ Fail +orders-rejected +orders 2\.61% \(19/728\) > 0\.02; true for 44s of 2m, then rollback", lines[0]
    )
    assert [line.split()[1] for line in lines[1:5]] == ["Inconclusive", "Pass", "Pass", "Pass"]


def test_at_rest_no_rule_says_that_it_will_act() -> None:
    assert "then rollback" not in drawn(view(run=part("run", end="RolledBack")))


def test_of_many_rules_those_that_pass_share_a_line() -> None:
    rules = [{"rule": f"rule-{n}", "kind": "trigger", "verdict": "Pass", "message": "fine"} for n in range(14)]
    rules.append({"rule": "errors", "kind": "threshold", "verdict": "NoData", "message": "errors: nothing measured"})
    text = drawn(view(verdicts=rules))
    assert re.search(r"\? NoData +errors +nothing measured", text)
    assert "14 rules" in text
    assert "fine" not in text


def test_only_what_is_not_fine_needs_attention() -> None:
    assert "Attention" not in drawn(view())
    text = drawn(
        view(
            conditions=[
                condition("Ready", "False", "holding"),
                condition("Stalled", "True", "holding"),
                condition("Paused", "True", "by mira"),
                condition("TrafficInSync", "Unknown", "not asked"),
                condition("TrafficContested", "False"),
                condition("Settled", "False", "canary serves 50 %", "Settling"),
                condition("EvidenceComplete", "True"),
            ]
        )
    )
    noted = [line.split()[0] for line in text.split("Attention", 1)[1].split("Next", 1)[0].splitlines() if line.strip()]
    assert noted == ["Paused", "TrafficInSync"]
    assert "TrafficInSync Because, 1m20s ago: not asked" in text
    paused = drawn(view(conditions=[condition("Paused", "True", "by mira", "Paused")]))
    assert "Attention  Paused, 1m20s ago: by mira" in paused


def test_evidence_that_is_not_stored_yet_is_told() -> None:
    assert "2 not stored yet" in drawn(view(pendingEvidence=["{}", "{}"]))


@pytest.mark.parametrize(
    ("coming", "told"),
    [
        ({"what": "gate quarter", "at": "2026-11-21T14:06:20.000Z"}, "gate quarter in 2m30s (14:06:20 UTC)"),
        ({"what": "gate quarter", "at": "2026-11-21T14:03:00.000Z"}, "gate quarter, now"),
        ({"what": "stable catches up"}, "stable catches up, once the clock runs again"),
    ],
)
def test_what_comes_next_is_told_with_its_time(coming: dict[str, str], told: str) -> None:
    assert told in drawn(view(next=coming))


def test_a_status_that_cannot_be_read_in_part_is_still_shown() -> None:
    text = drawn(view(weight={"desired": "a lot"}))
    assert "status.weight" in text
    assert "Progressing" in text


def test_an_operator_that_fell_silent_needs_attention_and_nothing_comes_next_without_it() -> None:
    def at(age: timedelta) -> str:
        stage = part("stage", countedUntil=(NOW - age).isoformat(), stalledSince=None)
        return drawn(view(stage=stage, next={"what": "gate quarter", "at": (NOW - age).isoformat()}))

    assert "Attention" not in at(SILENCE)
    assert "gate quarter, now" in at(SILENCE)
    text = at(timedelta(hours=2))
    assert "Attention  the operator has not said anything for 2h: what is here is its last word" in text
    assert "gate quarter, once the operator is back" in text
    assert "now" not in text.split("Next")[1].splitlines()[0]
