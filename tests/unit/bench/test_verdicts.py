"""The benchmark of verdicts: streams, what is made of runs, and the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from bench.verdicts import page
from bench.verdicts.cells import (
    ALPHA_OF_ERRORS,
    ERRORS,
    HEALTHY,
    LATE,
    MAIN,
    RATES,
    SLOWER,
    Cell,
    bad_cells,
    healthy_cells,
    of_cell,
)
from bench.verdicts.early import awaited, evidence, needed
from bench.verdicts.engine import DEFAULTS, NAME, Job, Numpy, work
from bench.verdicts.figures import Figure, Figures, Found, figure
from bench.verdicts.goals import Reached, goals
from bench.verdicts.others import ORACLE, RULES, Run, try_others
from bench.verdicts.run import alike, lacks
from bench.verdicts.streams import SCRAPES, Seen, Service, schedule
from bench.verdicts.tries import Try, everything

from sparkrelease.simulate.chance import Seeded

STRONG = Cell(ERRORS[4], 50.0)


def seen(bad: list[int], total: list[int], boxes: list[list[int]]) -> Seen:
    return Seen(np.array(total)[:, None], np.array(bad)[:, None], np.array(boxes)[:, None, :])


# ---------------------------------------------------------------- streams


def test_a_quantile_is_prometheus_own_interpolation() -> None:
    boxes = [[10, 80, 10, 0], [0, 0, 0, 4], [0, 0, 0, 0]]
    values = seen([0, 0, 0], [100, 4, 0], boxes).quantile(0.5, (0.1, 0.2, 0.4))[:, 0]
    assert values[0] == pytest.approx(0.15)
    assert values[1] == 0.4
    assert np.isnan(values[2])


def test_gains_over_a_window_are_those_of_its_scrapes() -> None:
    over = seen([1, 0, 2, 0], [10, 10, 10, 0], [[1], [2], [3], [4]]).over(2)
    assert over.bad[:, 0].tolist() == [1, 1, 2, 2]
    assert over.boxes[:, 0, 0].tolist() == [1, 3, 5, 7]
    assert over.ratio()[:, 0].tolist() == pytest.approx([0.1, 0.05, 0.1, 0.2])


@pytest.mark.parametrize("cell", [STRONG, Cell(SLOWER[3], 50.0), Cell(HEALTHY[2], 50.0)], ids=lambda cell: cell.name)
def test_the_fast_streams_and_the_simulator_s_serve_the_same(cell: Cell) -> None:
    service = Service(cell, MAIN.edges, 400, 1)
    weights = schedule()
    assert len(weights) == SCRAPES
    canary = service.record(weights[:160], canary=True)
    assert canary.total.mean(axis=1)[100] == pytest.approx(750 * weights[100] / 100, rel=0.05)
    assert np.array_equal(canary.boxes.sum(axis=-1), canary.total)
    harm = service.harmed(150)
    rate = canary.bad[150][harm].sum() / max(canary.total[150][harm].sum(), 1)
    assert rate == pytest.approx(cell.scenario.errors or 0.001, rel=0.3)


def test_numpy_draws_what_the_standard_library_draws() -> None:
    ours, other = Seeded(1), Numpy(1)
    for draw in ("poisson", "binomial", "spread"):
        arguments = {"poisson": (30.0,), "binomial": (300, 0.1), "spread": (300, [0.1, 0.9])}[draw]
        means = [np.mean([np.ravel(getattr(one, draw)(*arguments))[0] for _ in range(2000)]) for one in (ours, other)]
        assert means == pytest.approx([30, 30], abs=0.6)


# ---------------------------------------------------------------- rules in their cells


def test_every_rule_of_others_sees_a_canary_that_fails_a_fifth_of_its_requests() -> None:
    found = try_others(STRONG, MAIN, 20)
    assert set(found) == set(RULES)
    back = {rule: figure(STRONG, runs).share for rule, runs in found.items()}
    assert back == dict.fromkeys(RULES, 100.0)
    fastest = figure(STRONG, found[ORACLE])
    assert all(figure(STRONG, runs).lost >= fastest.lost for runs in found.values())


def test_every_cell_is_tried_with_the_default_warm_up_too() -> None:
    tries = [one for one in everything() if one.section == "main"]
    warm = {one.cell.name: one.spec.comparison for one in tries if one.rule == DEFAULTS and one.spec is not None}
    assert set(warm) == {one.cell.name for one in tries if one.rule == NAME}
    assert {comparison.warmup for comparison in warm.values() if comparison is not None} == {timedelta(seconds=60)}


def test_runs_that_two_tables_share_are_made_once_and_come_out_the_same() -> None:
    tries = [one for one in everything() if one.cell.name == STRONG.name and one.rule in {NAME, "0s"}][:3]
    together = alike(tries)
    assert [len(same) for same in together] == [2, 1]
    first, other = together[0]
    assert (first.section, other.section) == ("main", "warm-up")
    assert work(_job(first)) == work(_job(other))


def test_an_interrupted_pass_goes_on_with_what_is_not_there() -> None:
    tries = [one for one in everything() if one.cell.name == STRONG.name and one.section == "main"]
    whole = {rule: Figure(75, 75, 1.0, 2.0, 4.0, 9, 0, {}, "") for rule in (*RULES, NAME)}
    whole |= {rule: replace(one, runs=300) for rule, one in whole.items() if rule != NAME}
    whole[DEFAULTS] = replace(whole[NAME], runs=38)
    assert not any(lacks({"main": {STRONG.name: whole}}, one, 300) for one in tries)
    assert all(lacks({"main": {STRONG.name: whole}}, one, 600) for one in tries)
    assert all(lacks({}, one, 300) for one in tries)
    for gone, wants in ((NAME, NAME), (DEFAULTS, DEFAULTS), (RULES[0], NAME)):
        part = {rule: one for rule, one in whole.items() if rule != gone}
        assert [one.rule for one in tries if lacks({"main": {STRONG.name: part}}, one, 300)] == [wants]


def _job(one: Try) -> Job:
    return Job(one.cell, one.variant, 0, 3, one.scrape, one.spec)


@pytest.mark.parametrize(("weight", "failed"), [(1, 3), (2, 3), (5, 3), (10, 4)])
def test_so_many_requests_have_to_fail_as_the_page_says(weight: float, failed: int) -> None:
    assert needed(weight) == failed
    assert evidence(weight, failed) >= 1 / ALPHA_OF_ERRORS
    assert awaited(weight, failed) > awaited(weight, failed - 1) > 1


def test_cells_have_names_of_their_own_and_every_section_is_tried() -> None:
    names = [cell.name for cell in (*healthy_cells(), *bad_cells())]
    assert len(set(names)) == len(names)
    assert {one.section for one in everything()} >= {"main", "hold-out", "scraped every second", "margin", "warm-up"}
    comparison = of_cell(Cell(HEALTHY[2], 50.0, control=True)).comparison
    assert comparison is not None and comparison.keep_control == 1


# ---------------------------------------------------------------- figures and page


def test_a_run_that_never_went_back_is_the_longest_and_loses_what_it_served() -> None:
    runs = [Run(60.0, 3, 90, "burst", "burst: so"), Run(120.0, 5, 95, "burst"), Run(None, 900, 9000, "promoted")]
    one = figure(STRONG, runs)
    assert (one.back, one.after, one.after_95, one.lost, one.sentence) == (2, 2.0, None, 5.0, "burst: so")
    assert figure(Cell(SLOWER[3], 50.0), runs).lost == 95


def test_releases_without_fault_are_told_by_what_became_of_them() -> None:
    ends = [("promoted", 90.0), ("promoted", 100.0), ("promoted", 104.0), ("held", 270.0)]
    one = figure(Cell(HEALTHY[0], 5.0), [Run(None, 0, 10, rule, lasted=60 * minutes) for rule, minutes in ends])
    assert (one.promoted, one.promoted_after, one.held) == (3, 100.0, 1)
    text = "\n".join(page.got_through({Cell(HEALTHY[0], 5.0).name: {NAME: one}}))
    assert "| healthy | SparkRelease | 75 %, 100'; held 25 % | - | - |" in text


def test_a_defect_that_comes_late_has_a_goal_too() -> None:
    ours, best = (Figure(10, 10, 1.0, 2.0, lost, 9, 0, {}, "") for lost in (28.0, 9.0))
    told = {one.goal: one for one in goals({Cell(LATE, 50.0).name: {NAME: ours, ORACLE: best}}, {})}
    late = told["failed requests until rollback, late errors 2 % from 35m, 50/s: <= 1.5x the oracle"]
    assert (late.reached, late.found) == (Reached.NO, "3.1x (28 of 9)")


@pytest.mark.parametrize(("back", "runs", "at_most"), [(0, 300, 0.99), (3, 300, 2.56), (5, 5, 100.0)])
def test_a_share_is_told_with_what_it_surely_does_not_exceed(back: int, runs: int, at_most: float) -> None:
    assert Figure(runs, back, None, None, 0, 0, 0, {}, "").at_most == pytest.approx(at_most, abs=0.02)


def test_a_goal_is_reached_or_not_and_says_by_how_much() -> None:
    ours, best = (Figure(10, 10, 1.0, 2.0, lost, 9, 0, {}, "") for lost in (9.0, 4.0))
    told = {one.goal: one for one in goals({STRONG.name: {NAME: ours, ORACLE: best}}, {})}
    lost = told["failed requests until rollback, errors 20 %, 50/s: <= 1.5x the oracle"]
    assert (lost.reached, lost.found) == (Reached.NO, "2.2x (9 of 4)")
    assert told["20 % errors at 50 requests/s rolled back, scraped every 15 s: <= 60 s"].reached is Reached.YES
    assert told["false rollbacks, healthy, at 5, 50 and 500 requests/s: <= 1 %"].reached is Reached.UNKNOWN


@pytest.mark.parametrize(
    ("back", "runs", "reached"),
    [(0, 300, Reached.YES), (0, 75, Reached.SO_FAR), (3, 300, Reached.SO_FAR), (4, 300, Reached.NO)],
)
def test_a_share_is_reached_only_where_so_many_runs_can_show_it(back: int, runs: int, reached: Reached) -> None:
    figures = {Cell(HEALTHY[0], rps).name: {NAME: Figure(runs, back, None, None, 0, 0, 0, {}, "")} for rps in RATES}
    assert next(goals(figures, {})).reached is reached


def test_goals_are_told_for_the_default_warm_up_as_well() -> None:
    cold, warm = (Figure(10, 10, minutes, 2.0, 4.0, 9, 0, {}, "") for minutes in (0.1, 1.2))
    main = {STRONG.name: {NAME: cold, DEFAULTS: warm}}
    fast = {STRONG.name: {"from 5 %": cold, "from 5 %, default warm-up": warm}}
    for rule, soon in ((NAME, Reached.YES), (DEFAULTS, Reached.NO)):
        told = {one.goal: one.reached for one in goals(main, fast, rule)}
        assert told["the same, scraped every second, from 5 %: <= 10 s"] is soon
    text = page.page(Found({"main": main, "scraped every second": fast}, "a machine", "2026-01-01 00:00", 60.0))
    row = next(line for line in text.splitlines() if "scraped every 15 s: <= 60 s" in line)
    assert "median 6 s" in row and "median 72 s" in row and "**not reached**" in row


@pytest.mark.parametrize(("after_95", "told"), [(1.0, "60 s"), (None, "never")])
def test_how_soon_a_defect_is_found_is_told_for_95_percent_of_the_runs_as_well(
    after_95: float | None, told: str
) -> None:
    one = Figure(10, 10, 0.75, after_95, 5.0, 9, 0, {}, "")
    found = {each.goal: each.found for each in goals({STRONG.name: {NAME: one}}, {STRONG.name: {"from 5 %": one}})}
    for goal in (
        "20 % errors at 50 requests/s rolled back, scraped every 15 s: <= 60 s",
        "the same, scraped every second, from 5 %: <= 10 s",
    ):
        assert found[goal] == f"median 45 s, 95 % of the runs {told}, 5 failed"


def test_what_the_page_says_of_how_it_was_measured_is_what_the_program_says() -> None:
    written = (Path(__file__).resolve().parents[3] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert page.HEAD in written and page.METHOD.rstrip() in written


def test_the_page_has_every_rule_and_says_what_was_not_measured() -> None:
    figures: Figures = {cell.name: {} for cell in (*healthy_cells(), *bad_cells())}
    figures[STRONG.name] = {rule: Figure(10, 10, 1.0, 2.0, 4.0, 9, 0, {}, "") for rule in (*RULES, NAME)}
    text = page.page(Found({"main": figures}, "a machine", "2026-01-01 00:00", 60.0))
    for rule in (*RULES, NAME):
        assert rule in text
    assert "not measured" in text and "make bench ARGS=verdicts" in text
    assert all(f"### {rps:g} requests a second" in text for rps in RATES)
