"""The page of benchmarks: what it says is in the results, and what is in the results it says."""

from __future__ import annotations

from typing import Any

from bench import fleet, page
from bench.results import Result
from bench.usage import Usage

USED: dict[str, Any] = vars(
    Usage(
        seconds=60.0,
        calls={"patch httproutes": 96.0, "patch sparkreleases/status": 24.0, "update leases": 30.0},
        others={},
        queries=59.2,
        cpu=3.4,
        rss=118.6,
        busy=20.0,
        load=1.0,
        ticks_skipped=0.0,
    )
)
TIMES = dict.fromkeys(("p50", "p95", "max", "p95_from_scrape", "p50_from_defect", "mean_tick"), 0.1)
ROLLBACK = {"trials": 24, "active": 1, "tick": "253ms", **TIMES}
START = {"objects": 5001, "ready": 1.0, "leads": 2.0, "new_one_answered": 3.0, "calls": {"list pods": 19}}
TOGETHER = {
    "releases": 300,
    "median": 1.0,
    "p95": 2.0,
    "max": 3.0,
    "making_them": 1.0,
    "first_made_to_last_weight": 2.0,
}
USES = "patch 120<br>update 30 | 59.2 | 3.4 | 119 | 60 |"


def text(verdicts: str = "", **results: dict[str, Any]) -> str:
    named = {name.replace("_", "-"): figures for name, figures in results.items()}
    return page.page({name: Result(name, figures, "stub", (0.5, 0.6)) for name, figures in named.items()}, verdicts)


def test_the_page_says_what_is_used_while_releases_go_back_and_from_a_start_on() -> None:
    made = text(
        rollback_1_250ms={**ROLLBACK, "usage": USED},
        start_finished_5000={**START, "usage": USED},
        together_300={**TOGETHER, "usage": USED},
    )
    assert f"| rollbacks, 1 active, tick 253ms | 150 | {USES}" in made
    assert f"| start on 5,001 finished | 150 | {USES}" in made
    assert f"| 300 started together | 150 | {USES}" in made


def test_what_ten_thousand_take_is_held_against_its_goal_and_fewer_are_no_proof_of_it() -> None:
    assert "| < 500 MB | 219 MiB | reached |" in text(start_finished_10000={**START, "usage": {**USED, "rss": 219.0}})
    assert "| < 500 MB | 477 MiB | **not" in text(start_finished_10000={**START, "usage": {**USED, "rss": 477.0}})
    assert "| < 500 MB | with 5,000: 119 MiB | not measured with 10,000 |" in text(
        start_finished_5000={**START, "usage": USED}
    )


def test_results_of_which_that_was_not_counted_are_left_out() -> None:
    made = text(rollback_1_250ms=ROLLBACK, start_finished_5000=START, together_300=TOGETHER)
    assert "| 1 | 253ms |" in made
    assert "| rollbacks," not in made
    assert "| start on" not in made


def test_the_page_says_by_which_policy_the_fleets_run() -> None:
    said = " ".join(text().split())
    spec = fleet.policy()["spec"]
    assert "1 metric (`http` over 5s), 1 threshold (`http` at most 0.01), 1 trigger (`http` > 0.05 for 0s)" in said
    assert "25 % for 12h, 100 % for 5s" in said
    assert [len(spec[part]) for part in ("metrics", "thresholds", "triggers", "stages")] == [1, 1, 1, 2]
    assert "no comparison with stable" in said and "comparison" not in spec


def test_the_goals_of_verdicts_are_counted_in_one_line_with_a_link() -> None:
    verdicts = """\
## Goals

| goal | without a warm-up |  | with the default one |  |
| --- | --- | --- | --- | --- |
| a | 1 | reached | 2 | reached |
| b | 1 | reached | 2 | **not reached** |
| c | 1 | reached | 2 | **not reached** |

## False rollbacks

| rule | healthy |
| --- | --- |
"""
    (line,) = [one for one in text(verdicts).splitlines() if "verdicts.md#goals" in one]
    assert "without a warm-up 3 reached; with the default one 1 reached, 2 not reached" in line
    assert "verdicts.md#goals" not in text("")
