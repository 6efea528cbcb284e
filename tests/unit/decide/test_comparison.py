"""What the comparison and sequential legs say, when they say it, and what they leave alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.api.status import BaselineStatus, RuleVerdict, Run, SparkReleaseStatus, StageStatus, Verdict
from sparkrelease.decide.comparison import alpha_of, compare, sequential
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Buckets, Counts, Facts, Missing, Window
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.decide.rules import Judgement
from unit.decide.world import START, spec

EVERY = timedelta(seconds=15)
HTTP = {"name": "http", "bad": "bad_total", "total": "all_total"}
LATENCY = {"name": "latency", "buckets": "lat_bucket", "quantile": 0.95, "unit": "s"}
BOTH = {"tests": [{"metric": "http"}, {"metric": "latency"}], "warmup": "0s"}
WORSE = {
    "name": "worse",
    "all": [{"metric": "http", "kind": "sequential", "margin": 2, "alpha": 0.05, "minEvents": 3}],
    "for": "0s",
}
VOID = Missing(Reason.WINDOW_VOID, "a reset")

Side = Counts | Buckets | Missing


def resolved(**changes: object) -> ResolvedSpec:
    body: dict[str, object] = {"metrics": [HTTP, LATENCY], "comparison": BOTH, "triggers": [WORSE]}
    found = resolve(spec(**body | changes), ReleasePolicySpec())
    assert isinstance(found, ResolvedSpec), found
    return found


def run(started_at: datetime = START) -> Run:
    return Run(
        id="v2-1", version="v2", started_at=started_at, spec_digest="d", stable_fingerprint="1", canary_fingerprint="2"
    )


@dataclass
class Bench:
    """A run under way, and windows that come one after the other."""

    spec: ResolvedSpec = field(default_factory=resolved)
    status: SparkReleaseStatus = field(
        default_factory=lambda: SparkReleaseStatus(
            run=run(), stage=StageStatus(index=1, count=3, name="one", entered_at=START)
        )
    )
    place: int = 0
    draft: Draft | None = None

    def see(self, times: int = 1, **sides: tuple[Side, Side]) -> RuleVerdict | None:
        """Counts so many windows of these sides (canary, stable), one round each."""
        found = None
        for _ in range(times):
            self.place += 1
            end = START + self.place * EVERY
            found = self.round({name: (Window(end, EVERY, *pair),) for name, pair in sides.items()})
        return found

    def begin(self, windows: dict[str, tuple[Window, ...]]) -> Draft:
        facts = Facts("shop", "shop", "uid", 1, timedelta(seconds=5), 1, windows=windows)
        self.draft = Draft(self.spec, self.status, facts, START + self.place * EVERY)
        return self.draft

    def round(self, windows: dict[str, tuple[Window, ...]]) -> RuleVerdict | None:
        draft = self.begin(windows)
        found = compare(draft)
        self.status = SparkReleaseStatus.model_validate_json(draft.status.model_dump_json(by_alias=True))
        return found

    def leg(self, windows: dict[str, tuple[Window, ...]] | None = None) -> Judgement:
        draft = self.begin(windows or {})
        trigger = self.spec.triggers[0]
        found = sequential(draft, trigger, 0, trigger.all[0])
        self.status = draft.status
        return found

    def verdict(self, metric: str = "http") -> RuleVerdict:
        return next(v for v in self.status.verdicts if v.rule == f"comparison/{metric}")


HEALTHY = (Counts(1, 1000), Counts(1, 1000))
BROKEN = (Counts(11, 524), Counts(1, 1000))


# ---------------------------------------------------------------- verdicts


def test_a_canary_that_is_worse_is_said_in_one_sentence_with_its_counts() -> None:
    bench = Bench()
    assert bench.see(http=HEALTHY) is None
    fired = bench.see(times=2, http=BROKEN)
    assert fired is not None
    assert (fired.kind, fired.rule, fired.verdict) == ("comparison", "comparison/http", Verdict.FAIL)
    assert fired.reason == Reason.WORSE_THAN_STABLE.value
    assert re.fullmatch(
        r"http: canary 1\.1% \(23/2048\) vs stable 0\.10% \(3/3000\); "
        r"worse than 1\.25x stable, anytime p=\de-05 -> rollback",
        fired.message,
    )
    assert fired.value == "1.1% vs 0.10%"


def test_a_late_defect_is_told_by_the_counts_of_its_stage() -> None:
    bench = Bench()
    bench.see(times=60, http=(Counts(5, 1000), Counts(5, 1000)))
    entered = START + bench.place * EVERY
    stage = StageStatus(index=2, count=3, name="quarter", entered_at=entered)
    bench.status = bench.status.model_copy(update={"stage": stage})
    fired = bench.see(times=3, http=(Counts(25, 1000), Counts(5, 1000)))
    assert fired is not None
    assert "canary 2.5% (75/3000) vs stable 0.50% (15/3000)" in fired.message


def test_a_slower_canary_is_told_with_the_edge_it_is_slower_than() -> None:
    slow = Buckets({0.1: 500, 0.2: 850}, 1000)
    usual = Buckets({0.1: 600, 0.2: 960}, 1000)
    bench = Bench()
    fired = bench.see(times=3, latency=(slow, usual))
    assert fired is not None
    assert fired.rule == "comparison/latency"
    assert "canary 15% (300/2000) vs stable 4.0% (80/2000) slower than 0.2s; worse than 1.25x" in fired.message


def test_a_healthy_canary_passes_with_what_is_known_of_the_ratio() -> None:
    bench = Bench()
    assert bench.see(times=400, http=(Counts(1, 1000), Counts(1, 1000))) is None
    said = bench.verdict()
    assert (said.verdict, said.reason) == (Verdict.PASS, Reason.NOT_WORSE.value)
    assert said.message.startswith("http: canary 0.10% (400/400000) vs stable 0.10% (400/400000); 1x stable (")
    test = bench.status.tests[0]
    assert test.low is not None and test.high is not None
    assert test.low < 1 < test.high < 1.7


def test_few_requests_are_no_pass() -> None:
    bench = Bench()
    bench.see(http=(Counts(0, 89), Counts(0, 1000)))
    assert (bench.verdict().verdict, bench.verdict().reason) == (
        Verdict.INCONCLUSIVE,
        Reason.INSUFFICIENT_TRAFFIC.value,
    )
    bench.see(http=(Counts(0, 1), Counts(0, 1000)))
    assert bench.verdict().verdict is Verdict.PASS


def test_nothing_counted_is_no_pass() -> None:
    bench = Bench()
    bench.round({})
    for metric in ("http", "latency"):
        assert bench.verdict(metric).verdict is Verdict.INCONCLUSIVE
    bench.see(times=100, http=(Counts(0, 0), Counts(0, 1000)))
    assert bench.verdict().verdict is Verdict.INCONCLUSIVE


def test_windows_that_are_void_for_a_moving_level_say_so() -> None:
    bench = Bench()
    levels = [(Counts(5, 5000), Counts(1000, 5000))[place % 2] for place in range(6)]
    bench.place = len(levels)
    told = [Window(START + place * EVERY, EVERY, level, level, apart=True) for place, level in enumerate(levels)]
    bench.round({"http": tuple(told)})
    said = bench.verdict()
    assert (said.verdict, said.reason) == (Verdict.NO_DATA, Reason.WINDOW_VOID.value)
    assert said.message.endswith(
        "; the last 4 windows are void, because stable's level moves and the roles are scraped at different moments"
    )


def test_void_windows_are_no_data_until_one_is_counted() -> None:
    bench = Bench()
    bench.see(http=(VOID, Counts(0, 1000)))
    assert (bench.verdict().verdict, bench.verdict().reason) == (Verdict.NO_DATA, Reason.WINDOW_VOID.value)
    bench.see(http=HEALTHY)
    assert bench.verdict().verdict is Verdict.PASS
    bench.see(times=3, http=(VOID, Counts(0, 1000)))
    assert bench.verdict().verdict is Verdict.PASS
    bench.see(http=(VOID, Counts(0, 1000)))
    assert bench.verdict().verdict is Verdict.NO_DATA


def test_windows_after_a_rise_are_warming_up() -> None:
    bench = Bench(spec=resolved(comparison=BOTH | {"warmup": "60s"}))
    bench.status = bench.status.model_copy(
        update={"weight": bench.status.weight.model_copy(update={"changed_at": START})}
    )
    assert bench.see(times=4, http=BROKEN) is None
    assert (bench.verdict().verdict, bench.verdict().reason) == (Verdict.INCONCLUSIVE, Reason.WARMING_UP.value)
    assert bench.see(times=3, http=BROKEN) is not None


def test_without_stable_requests_the_test_rests_and_says_so() -> None:
    bench = Bench()
    bench.see(http=HEALTHY)
    assert bench.see(times=50, http=(Counts(900, 1000), Counts(0, 0))) is None
    assert bench.verdict().verdict is Verdict.PASS
    assert "rests, because one role gets no requests" in bench.verdict().message
    assert "canary 0.10% (1/1000)" in bench.verdict().message


def test_tests_share_one_alpha() -> None:
    alone = Bench(spec=resolved(comparison={"tests": [{"metric": "http"}], "warmup": "0s"}))
    shared = Bench()
    step = (Counts(4, 1000), Counts(1, 1000))
    needed = []
    for bench in (alone, shared):
        count = next(n for n in range(1, 100) if bench.see(http=step))
        needed.append((count, bench.status.tests[0].e))
    assert needed[0][1] >= 100 and needed[1][1] >= 100 * 4 / 3
    assert needed[0][0] <= needed[1][0]


def test_the_parts_of_alpha_add_up_to_it_and_failures_have_the_larger_one() -> None:
    metrics = [
        {"name": "http", "bad": "bad", "total": "all"},
        {"name": "queue", "bad": "late", "total": "sent"},
        {"name": "latency", "buckets": "latency_bucket", "quantile": 0.95},
    ]
    tests = [{"metric": name} for name in ("http", "queue", "latency")]
    found = resolved(metrics=metrics, thresholds=[], triggers=[], comparison={"tests": tests, "alpha": 0.02})
    assert found.comparison is not None
    parts = [alpha_of(found, found.comparison, test) for test in found.comparison.tests]
    assert sum(parts) == pytest.approx(0.02)
    assert parts[0] == parts[1] == pytest.approx(3 * parts[2])


def test_a_wobble_before_the_run_asks_for_more() -> None:
    needed = []
    for spread in (0.0, 0.3):
        bench = Bench()
        bench.status = bench.status.model_copy(
            update={"baselines": (BaselineStatus(metric="http", at=START, spread=spread),)}
        )
        needed.append(next(n for n in range(1, 400) if bench.see(http=(Counts(30, 1000), Counts(10, 1000)))))
    assert needed[0] < needed[1]


# ---------------------------------------------------------------- what is left alone


def test_nothing_is_written_while_no_window_has_ended() -> None:
    bench = Bench()
    bench.see(times=3, http=HEALTHY, latency=(VOID, VOID))
    before = bench.status
    draft = bench.begin({})
    assert compare(draft) is None
    assert draft.status is before


def test_the_same_windows_again_change_nothing() -> None:
    bench = Bench()
    windows = tuple(Window(START + place * EVERY, EVERY, *HEALTHY) for place in (1, 2, 3))
    bench.round({"http": windows})
    before = bench.status
    bench.round({"http": windows})
    assert bench.status == before


def test_a_rejection_is_answered_again_until_somebody_acts() -> None:
    bench = Bench()
    assert bench.see(times=3, http=BROKEN) is not None
    assert bench.round({}) is not None


def test_what_another_run_counted_is_not_held_against_this_one() -> None:
    bench = Bench()
    assert bench.see(times=3, http=BROKEN) is not None
    bench.status = bench.status.model_copy(update={"run": run(START + timedelta(hours=1)), "verdicts": ()})
    assert bench.round({}) is None
    assert bench.verdict().verdict is Verdict.INCONCLUSIVE
    bench.place = 4 * 60
    assert bench.see(http=HEALTHY) is None
    assert [t.windows for t in bench.status.tests] == [1]


@pytest.mark.parametrize("missing", ["comparison", "run"])
def test_nothing_is_compared_without_a_comparison_or_a_run(missing: str) -> None:
    bench = Bench()
    if missing == "run":
        bench.status = SparkReleaseStatus()
    else:
        bench.spec = resolved(comparison=None)
    before = bench.status
    assert bench.see(times=3, http=BROKEN) is None
    assert bench.status == before


def test_verdicts_of_triggers_and_thresholds_stay() -> None:
    bench = Bench()
    trigger = RuleVerdict(rule="worse", kind="trigger", verdict=Verdict.PASS)
    bench.status = bench.status.model_copy(update={"verdicts": (trigger,)})
    bench.see(http=HEALTHY)
    assert trigger in bench.status.verdicts


# ---------------------------------------------------------------- sequential legs


def windows(count: int, *pair: Side) -> dict[str, tuple[Window, ...]]:
    return {"http": tuple(Window(START + place * EVERY, EVERY, *pair) for place in range(1, count + 1))}


def test_a_sequential_leg_is_a_test_of_its_own_margin_and_alpha() -> None:
    bench = Bench()
    found = bench.leg(windows(2, *BROKEN))
    assert (found.verdict, found.reason) == (Verdict.FAIL, Reason.WORSE_THAN_STABLE)
    assert found.message.startswith("worse: http: canary 2.1% (22/1048) vs stable 0.10% (2/2000); worse than 2x stable")
    assert [t.metric for t in bench.status.tests] == ["worse/0"]


def test_a_sequential_leg_without_an_alpha_is_wrong_once_in_a_hundred_runs() -> None:
    """Counts at which an alpha of 2 % is sure, and one of 1 % is not yet."""
    said = []
    for alpha in (None, 0.01, 0.02):
        leg = {"metric": "http", "kind": "sequential", "margin": 2, **({"alpha": alpha} if alpha else {})}
        bench = Bench(resolved(triggers=[{"name": "worse", "all": [leg], "for": "0s"}]))
        found = bench.leg(windows(1, Counts(14, 500), Counts(2, 1000)))
        said.append((found.verdict, *(one.model_dump_json() for one in bench.status.tests)))
    assert said[0] == said[1]
    assert (said[1][0], said[2][0]) == (Verdict.PASS, Verdict.FAIL)


def test_a_sequential_leg_and_a_comparison_of_one_metric_count_apart() -> None:
    bench = Bench()
    bench.see(times=3, http=HEALTHY)
    assert bench.leg(windows(3, *BROKEN)).verdict is Verdict.FAIL
    bench.round({})
    assert bench.verdict().verdict is Verdict.PASS
    assert [(t.metric, t.windows) for t in bench.status.tests] == [("http", 3), ("worse/0", 3)]


def test_a_sequential_leg_says_the_same_while_no_window_has_ended() -> None:
    bench = Bench()
    first = bench.leg(windows(3, *HEALTHY))
    before = bench.status
    assert bench.leg() == first
    assert bench.status is before


def test_a_sequential_leg_without_windows_has_not_passed() -> None:
    assert Bench().leg().verdict is Verdict.INCONCLUSIVE
