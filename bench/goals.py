"""What is compared: each measure with its goal, and what two other controllers were measured at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.results import Result

Found = Mapping[str, Result]


ENOUGH = 20
"""Trials from which a p95 is more than the largest value."""


@dataclass(frozen=True)
class Goal:
    """One row.

    Attributes:
        measure: what is measured.
        rivals: others, measured on a machine of two busy cores; empty where they were not.
        goal: in words.
        result: name of the result it is read from, `{}` in the place of its size.
        size: number of releases the goal is about.
        say: the figure in words.
        reached: whether the figures reach the goal.
    """

    measure: str
    rivals: str
    goal: str
    result: str
    say: Callable[[Mapping[str, Any]], str]
    reached: Callable[[Mapping[str, Any]], bool]
    size: int = 1000

    def row(self, found: Found) -> tuple[str, str, str, str, str]:
        """Measure, rivals, goal, ours, verdict."""
        result = found.get(self.result.format(self.size))
        if result is not None:
            verdict = "reached" if self.reached(result.figures) else "**not reached**"
            trials = result.figures.get("trials", ENOUGH)
            if trials < ENOUGH:
                verdict = f"{verdict} (in {trials} trials only)"
            return self.measure, self.rivals, self.goal, self.say(result.figures), verdict
        other = self._other_size(found)
        ours = "not measured" if other is None else f"with {other[0]:,}: {self.say(other[1].figures)}"
        verdict = "not measured" if other is None else f"not measured with {self.size:,}"
        return self.measure, self.rivals, self.goal, ours, verdict

    def _other_size(self, found: Found) -> tuple[int, Result] | None:
        """The nearest other size that was measured; a single release is no size."""
        if self.size == 1:
            return None
        pattern = re.compile(re.escape(self.result).replace(r"\{\}", r"(\d+)"))
        sizes = [
            (int(m[1]), one) for name, one in found.items() if "{" in self.result and (m := pattern.fullmatch(name))
        ]
        return min((pair for pair in sizes if pair[0] > 1), key=lambda pair: abs(pair[0] - self.size), default=None)


def all_calls(figures: Mapping[str, Any]) -> float:
    """The operator's requests a minute."""
    return float(sum(figures["calls"].values()))


def per_release_calls(figures: Mapping[str, Any]) -> float:
    """Those a minute that are about a release: without the Lease, lists, watches and discovery, which do not grow."""
    return float(sum(rate for what, rate in figures["calls"].items() if not _constant(what)))


def _constant(what: str) -> bool:
    verb, _, resource = what.partition(" ")
    return verb in {"list", "watch"} or resource in {"leases", "(discovery)"}


def _times(figures: Mapping[str, Any]) -> str:
    return f"p50 {figures['p50']:.2f} s, p95 {figures['p95']:.2f} s, max {figures['max']:.2f} s"


def _rollback(count: int, tick: str, rivals: str) -> Goal:
    goal, reached = "p95 <= 1 s", lambda f: f["p95"] <= 1.0
    if tick == "250ms":
        goal, reached = "p50 <= 0.2 s, p95 <= 0.4 s", lambda f: f["p50"] <= 0.2 and f["p95"] <= 0.4
    if count == 1000 and tick == "250ms":
        goal, reached = "p95 <= 1 s", lambda f: f["p95"] <= 1.0
    releases = "1 active release" if count == 1 else f"{count:,} active releases"
    measure = f"breach queryable to route at 0, {releases}, tick {tick.replace('ms', ' ms').replace('1s', '1 s')}"
    return Goal(measure, rivals, goal, f"rollback-{{}}-{tick}", _times, reached, count)


_ONE = "Argo Rollouts 0.45 s median, 2.6 s worst (1 s interval); Flagger 15.4 / 19.9 s (10 s)"
_SOME = "Argo Rollouts 8.5 / 14 s; Flagger 18 / 28 s (10 s interval)"
_MANY = "Argo Rollouts 293 / > 400 s; Flagger 195 / 299 s (10 s interval)"

GOALS = (
    _rollback(1, "1s", _ONE),
    _rollback(1, "250ms", _ONE),
    _rollback(100, "1s", _SOME),
    _rollback(100, "250ms", _SOME),
    _rollback(1000, "1s", _MANY),
    _rollback(1000, "250ms", _MANY),
    Goal(
        "API requests/min, 1,000 active releases, nothing new to say",
        "Argo Rollouts 3,650; Flagger 6,800",
        "<= 1,200",
        "active-{}",
        lambda f: f"{all_calls(f):,.0f}",
        lambda f: all_calls(f) <= 1200,
    ),
    Goal(
        "API requests/min, 1,000 finished releases",
        "Argo Rollouts 0; Flagger 6,600",
        "0 but for the Lease, lists and watches",
        "idle-{}",
        lambda f: f"{per_release_calls(f):,.1f} ({all_calls(f):,.0f} with those)",
        lambda f: per_release_calls(f) == 0,
    ),
    Goal(
        "Prometheus queries/min, 1,000 active releases on one policy, 5 s tick",
        "Argo Rollouts 1,640; Flagger about 400 (10 s interval, behind schedule)",
        "<= 100",
        "active-{}",
        lambda f: f"{f['queries']:,.0f}",
        lambda f: f["queries"] <= 100,
    ),
    Goal(
        "memory, 1,000 active releases",
        "Argo Rollouts 434 MiB; Flagger 144 MiB",
        "<= 150 MiB",
        "active-{}",
        lambda f: f"{f['rss']:,.0f} MiB",
        lambda f: f["rss"] <= 150,
    ),
    Goal(
        "memory, 1,000 finished releases",
        "Argo Rollouts 238 MiB",
        "-",
        "idle-{}",
        lambda f: f"{f['rss']:,.0f} MiB",
        lambda f: f["rss"] <= 238,
    ),
    Goal(
        "memory, 10,000 finished releases",
        "11 to 14 GB reported at 11,000",
        "< 500 MB",
        "start-finished-{}",
        lambda f: f"{f['usage']['rss']:,.0f} MiB" if "usage" in f else "not counted",
        lambda f: "usage" in f and f["usage"]["rss"] * 2**20 < 500e6,
        10_000,
    ),
    Goal(
        "CPU of one core, 1,000 active releases, 5 s tick",
        "76 % (the better of the two)",
        "<= 15 %",
        "active-{}",
        lambda f: f"{f['cpu']:.0f} %",
        lambda f: f["cpu"] <= 15,
    ),
    Goal(
        "CPU to decide a tick, 1,000 releases of 14 triggers and 2 comparisons",
        "not measured",
        "<= 200 ms",
        "decide-{}",
        lambda f: (
            f"{f['with_windows']:.0f} ms when windows end ({f['comparisons_alone']:.0f} ms of it the comparisons), "
            f"{f['without_windows']:.0f} ms otherwise"
        ),
        lambda f: f["with_windows"] <= 200,
    ),
    Goal(
        "start to all adopted, 1,000 releases under way",
        "Argo Rollouts 226 s; Flagger 436 s",
        "<= 5 s",
        "start-active-{}",
        lambda f: f"{f['all_adopted']:.1f} s (ready after {f['ready']:.1f} s)",
        lambda f: f["all_adopted"] <= 5,
    ),
    Goal(
        "start to all adopted, 1,000 finished releases",
        "Argo Rollouts 226 s; Flagger 436 s",
        "<= 5 s",
        "start-finished-{}",
        lambda f: f"{f['leads']:.1f} s (a new release among them answered after {f['new_one_answered']:.1f} s)",
        lambda f: max(f["leads"], f["new_one_answered"]) <= 5,
    ),
    Goal(
        "start to all adopted, 5,000 finished releases",
        "not measured",
        "<= 10 s",
        "start-finished-{}",
        lambda f: f"{f['leads']:.1f} s (a new release among them answered after {f['new_one_answered']:.1f} s)",
        lambda f: max(f["leads"], f["new_one_answered"]) <= 10,
        5000,
    ),
    Goal(
        "300 releases started together to first weight, median",
        "110 s and 86 s",
        "<= 5 s",
        "together-{}",
        lambda f: f"{f['median']:.1f} s (max {f['max']:.1f} s)",
        lambda f: f["median"] <= 5,
        300,
    ),
    Goal(
        "evidence of a run of five stages",
        "-",
        "<= 2 MiB in <= 60 ConfigMaps",
        "evidence",
        lambda f: f"{f['kib']:.0f} KiB in {f['config_maps']}",
        lambda f: f["kib"] <= 2048 and f["config_maps"] <= 60,
    ),
)
