"""docs/verdicts.md and its charts, written from the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.page import table
from bench.verdicts import charts
from bench.verdicts.cells import (
    ALPHA_OF_ERRORS,
    BASE_ERRORS,
    ERRORS,
    HEALTHY,
    HOLD_OUT,
    LATE,
    LONG,
    MAIN,
    RATES,
    SLOWER,
    WARMUP,
    Cell,
)
from bench.verdicts.early import by_weight
from bench.verdicts.engine import DEFAULTS, NAME, OURS
from bench.verdicts.figures import Figure, Figures, Found
from bench.verdicts.goals import goals, multiple, times
from bench.verdicts.others import ORACLE, RULES, TOLERANT
from bench.verdicts.peers.oracle import wald, with_margin
from sparkrelease.decide.comparison import MARGIN
from sparkrelease.simulate.scenario import Scenario
from sparkrelease.simulate.service import SIGMA

HEAD = """\
# Verdicts: who goes back for nothing, and who too late

<!-- Written by `make bench ARGS=verdicts`; do not edit. -->

The rules of SparkRelease and of other tools, tried on the same made-up releases. SparkRelease's runs are made by
the [simulator](cli.md#trying) that ships with it: the real decisions on drawn request streams. The others' rules
are written from their sources, each with a table test (`bench/verdicts/peers`). The release is that of
[`bench/verdicts/release.yaml`](../bench/verdicts/release.yaml).
"""

METHOD = """\
## How it is measured

- **Service.** Poisson arrivals, split by weight; 0.1 % of the requests fail in good health; lognormal latency with
  a median of 80 ms and a 95th percentile of 160 ms, in the default buckets of Prometheus' Go client and at 0.2 and
  0.4 s. *Noisy*: each role's error rate is multiplied every minute by a level with a standard deviation of a half,
  its latency by one of 5 %, each role by itself. *Incident*: both roles fail 5 % for ten minutes that begin
  anywhere in the first 81 minutes.
- **Stages.** 1, 5, 25, 50 and 100 % for 15, 15, 15, 15 and 30 minutes; scrapes every 15 s. Every rule's decision
  reaches the requests one scrape late. A bad canary is bad from its first request on; a late one from minute 35.
- **Lost requests.** Failed ones for errors, all of them for latency, which canary served from the beginning of the
  harm until the rollback took effect; a run that was never rolled back counts with all it served in 90 minutes
  (SparkRelease: until its promotion). Medians and quantiles are over all runs, "never" is the longest time there
  is.
- **SparkRelease** decides with the release's defaults but for `comparison.warmup`: 0 s instead of 60 s, because nothing
  here is slow at first. **SparkRelease, default warm-up** is the same release with that default; what it costs and
  saves where there is a cold start is under "What the defaults trade". The guard `burst` waits for twenty errors: fewer
  come by chance in an incident of both where canary gets few requests.
- **Argo Rollouts, documented**: the background analysis of its documentation (95 % success by `irate`, every 5 min,
  limit 3). **Tuned**: 99 % and p95 <= 400 ms over a minute, every minute, limit 3. Both begin after a minute:
  without a delay, five empty answers in the first 40 s abort a canary that has had no request yet.
- **Flagger**: the two built-in checks with the documented limits, one check a minute. *Tutorial* is a Flagger as one
  can run it: 10 to 50 % in steps of 10, then all, a step at each passing check. *Threshold 1* (its default), *5* and
  *10* are one that does not exist, Flagger's judging on the stages above: it keeps a weight for 15 passing checks (30
  at the last). The true one raises the weight at each, and of a weight that `stepWeights` names twice it always finds
  the first place, so that it would never leave it; to stay as long it would need an interval as long, and check as
  seldom.
- **Kayenta**: points of a minute, judged every 5 minutes over all points so far, error ratio and p95, both
  critical, increase only, tolerance 0.25, confidence 0.98. A canary is never compared with points that do not
  exist: at 100 % it has the old ones.
- **Two triggers alone**: 3 % errors and p95 > 400 ms over a minute, for five.
- **Oracle**: Wald's sequential test by somebody who knows both error rates (or latency distributions) and when it
  begins, on the same scrapes, alpha 1 %. **Bound**: expected canary requests of any such test without scrapes;
  **with the margin**, of any that tolerates 1.25 times stable's errors, knows those, and has three quarters of the
  alpha, because latency is tested as well. **Oracle with the margin**: such a test on the same scrapes. Whole requests
  are lost: where the oracle loses two, one more is half as many again.
- **In an incident** the absolute rules' rollbacks are correct alarms about the service, wrong only as a verdict on
  the release.

## What is not measured here

- Users who retry, correlated users, sessions: a simulated service has none. It has a cold start only where the warm-up
  is tried; everywhere else a warm-up could only cost.
- Kayenta with three groups (canary, baseline, production), Argo's Kayenta provider, Flagger with custom metric
  templates.
- Requests lost while a route is written: see [benchmarks](benchmarks.md)."""

OTHERS = RULES[:-2]
PEERS = (*OTHERS, *OURS)


def write(found: Found, docs: Path) -> None:
    """The page and its charts."""
    main = found.sections.get("main", {})
    (docs / "images" / "verdicts-lost.svg").write_text(charts.lost(main), encoding="utf-8")
    (docs / "images" / "verdicts-runs.svg").write_text(charts.stories(), encoding="utf-8")
    (docs / "verdicts.md").write_text(page(found), encoding="utf-8")


def page(found: Found) -> str:
    """The whole page."""
    main, fast = found.sections.get("main", {}), found.sections.get("scraped every second", {})
    parts = [
        HEAD,
        _conditions(found, main),
        *_goals(main, fast),
        *_false_rollbacks("## False rollbacks", main, controls=True),
        *got_through(main),
        *_lost("## Errors: failed requests until rollback", main, (*ERRORS, LATE)),
        *_lost("## Latency: requests until rollback", main, SLOWER),
        "![Failed requests, as multiples of the oracle's](images/verdicts-lost.svg)\n",
        *by_weight(fast),
        *_trade_offs(found),
        *_hold_out(found.sections.get("hold-out", {})),
        "## Runs as they were\n\n![Four runs](images/verdicts-runs.svg)\n",
        METHOD,
    ]
    return "\n".join(parts).rstrip() + "\n"


_TWO_WAYS = f"""\
## Goals

The simulated service has no cold start, so the release is tried without a warm-up. A release that says nothing of it
has one of {WARMUP.total_seconds():g} s: after each rise of the weight the comparison leaves that long out, and nothing
but a trigger finds what is bad from the first request on before it is over. What it finds then stands beside. A share
is "reached" where the goal holds for all that 95 % leaves possible, "reached in these runs" where it holds for what was
seen; a time is reached where its median is, and how long 95 % of the runs took stands beside it. A defect that comes
late meets a test that has counted the good windows of its stage; it begins anew at each stage and nowhere else
([0015](decisions/0015-the-always-valid-test.md)).
"""


def _goals(main: Figures, fast: Figures) -> Iterator[str]:
    yield _TWO_WAYS
    both = zip(goals(main, fast), goals(main, fast, DEFAULTS), strict=True)
    rows = [(cold.goal, cold.found, cold.reached.value, warm.found, warm.reached.value) for cold, warm in both]
    yield table(("goal", "without a warm-up", "", "with the default one", ""), rows)


def _conditions(found: Found, main: Figures) -> str:
    ours = [rules[NAME].runs for rules in main.values() if NAME in rules]
    warm = [rules[DEFAULTS].runs for rules in main.values() if DEFAULTS in rules]
    others = [one.runs for rules in main.values() for name, one in rules.items() if name in OTHERS]
    oracles = [rules[ORACLE].runs for rules in main.values() if ORACLE in rules]
    return (
        f"- {max(others, default=0)} runs per cell of others' rules, {max(oracles, default=0)} of the oracles, "
        f"{min(ours, default=0)} to {max(ours, default=0)} of SparkRelease's, {min(warm, default=0)} to "
        f"{max(warm, default=0)} of those with its default warm-up; seeds from {MAIN.seed} on, hold-out from "
        f"{HOLD_OUT.seed} on with {len(HOLD_OUT.edges)} other buckets.\n"
        f"- {found.at} UTC, {found.seconds / 60:.0f} min of processor time on {found.machine}. Command: `make bench "
        "ARGS=verdicts`; the same seeds give the same figures.\n"
    )


# ---------------------------------------------------------------- tables


def _false_rollbacks(title: str, section: Figures, *, controls: bool) -> Iterator[str]:
    scenarios = [(scenario, False) for scenario in HEALTHY] if controls else [(one, False) for one in HEALTHY[:2]]
    scenarios += [(HEALTHY[2], True)]
    scenarios += [(LONG, True)] if controls else []
    heads = [f"{s.title}{', control kept' if kept else ''}" for s, kept in scenarios]
    rows = []
    for rule in PEERS if controls else (*OTHERS, NAME):
        cells = []
        for scenario, kept in scenarios:
            # Other tools have no control group to keep: theirs is the cell without.
            found = [section.get(Cell(scenario, rps, kept).name, {}).get(rule) for rps in RATES]
            cells.append(" / ".join("-" if one is None else f"{one.share:.3g}" for one in found))
        rows.append((_shown(rule), *cells))
    yield f"{title}\n\nPercent of releases without fault that went back, at 5 / 50 / 500 requests a second.\n"
    yield table(("rule", *heads), rows)
    yield from _surely(section)


def _surely(section: Figures) -> Iterator[str]:
    for rule in OURS:
        told = []
        for scenario in HEALTHY[:2]:
            found = [section.get(Cell(scenario, rps).name, {}).get(rule) for rps in RATES]
            ends = " / ".join("-" if one is None else f"{one.at_most:.2g}" for one in found)
            told.append(f"{scenario.title} {ends} %")
        if any(rule in rules for rules in section.values()):
            yield f"{rule}: its shares are surely (95 %) not above {'; '.join(told)}.\n"
    blamed = [
        f"- {cell}{', default warm-up' if ours == DEFAULTS else ''}: "
        f"{', '.join(f'{rule} {times}' for rule, times in rules[ours].rules.items())} of {rules[ours].runs}"
        for cell, rules in section.items()
        for ours in OURS
        if ours in rules and rules[ours].back and cell.startswith(("healthy", "incident"))
    ]
    if blamed:
        yield f"Which rules of {NAME} went back for nothing, and in how many runs:\n"
        yield "\n".join(blamed) + "\n"


_GOT_THROUGH = """\
## Releases without fault: what becomes of them

Percent promoted and median of the minutes from start to promotion, where it is not all of them percent held until three
times the time of the stages, the rest went back. The stages alone take 90 minutes; a gate that has seen too few
requests to judge extends its stage up to twice its time and holds then, for people to decide.
"""


def got_through(section: Figures) -> Iterator[str]:
    """What became of releases without fault, at each rate."""
    yield _GOT_THROUGH
    rows = []
    for scenario, kept in (*((one, False) for one in HEALTHY), (HEALTHY[2], True), (LONG, True)):
        for ours in OURS:
            found = [section.get(Cell(scenario, rps, kept).name, {}).get(ours) for rps in RATES]
            name = f"{scenario.title}{', control kept' if kept else ''}"
            rows.append((name, ours, *("-" if one is None else _through(one) for one in found)))
    yield table(("release", "rule", *(f"{rps:g} requests/s" for rps in RATES)), rows)


def _through(one: Figure) -> str:
    text = f"{100 * one.promoted / one.runs:.3g} %"
    if one.promoted_after is not None:
        text += f", {one.promoted_after:.0f}'"
    return f"{text}; held {100 * one.held / one.runs:.3g} %" if one.held else text


def _lost(title: str, section: Figures, scenarios: Sequence[Scenario]) -> Iterator[str]:
    by = "all" if title.startswith("## Latency") else "failed"
    yield (
        f"{title}\n\nMedian of {by} canary requests until rollback, minutes until then, and how many times the "
        "oracle's requests that is; percent caught where it is not all of them.\n"
    )
    for rps in RATES:
        cells = [Cell(scenario, rps) for scenario in scenarios]
        rows = []
        for rule in (*PEERS, *((TOLERANT,) if by == "failed" else ()), ORACLE):
            found = [section.get(cell.name, {}) for cell in cells]
            rows.append((_shown(rule), *(_one(rules, rule) for rules in found)))
        rows.append(("bound, requests", *(f"{_bound(cell):,.3g}" for cell in cells)))
        if by == "failed":
            rows.append(("bound with the margin, requests", *(_margin_bound(cell) for cell in cells)))
        yield f"### {rps:g} requests a second\n"
        yield table(("rule", *(cell.scenario.title for cell in cells)), rows)


def _shown(rule: str) -> str:
    return f"**{rule}**" if rule in OURS else rule


def _one(rules: dict[str, Figure], rule: str) -> str:
    one, best = rules.get(rule), rules.get(ORACLE)
    if one is None:
        return "-"
    after = "never" if one.after is None else f"{one.after:.1f}'"
    text = f"{one.lost:,.0f}, {after}"
    caught = f", {one.share:.0f} %" if one.back < one.runs else ""
    ratio = multiple(times(one, best)) if best is not None and rule != ORACLE else ""
    return text + (f" ({ratio}{caught})" if ratio else f" ({caught.strip(', ')})" if caught else "")


def _bound(cell: Cell) -> float:
    scenario = cell.scenario
    if scenario.errors is not None:
        return wald(np.array([1 - scenario.errors, scenario.errors]), np.array([1 - BASE_ERRORS, BASE_ERRORS]))
    return float(np.log(100) / (np.log(scenario.slower) ** 2 / (2 * SIGMA**2)))


def _margin_bound(cell: Cell) -> str:
    """What no test can beat that tolerates as much, and shares its alpha with another one."""
    errors = cell.scenario.errors or 0.0
    requests = with_margin(errors, BASE_ERRORS, MARGIN, ALPHA_OF_ERRORS)
    return f"{requests:,.3g} ({requests * errors:.2g} failed)"


_SETTINGS = ("margin", "warm-up", "alpha", "errors the guard waits for")


def _trade_offs(found: Found) -> Iterator[str]:
    yield (
        "## What the defaults trade\n\nFalse rollbacks in percent where nothing is wrong, else median of requests lost "
        "and minutes. The margin is how much worse a canary may be (errors / slow requests); what it costs cannot be "
        "won back: no rule that tolerates a quarter more errors can beat the bound with the margin, whoever makes it. "
        "A canary that is *cold* takes three times as long for its first half minute: a warm-up bears the cold starts "
        "that are no longer than it is.\n"
    )
    for name in _SETTINGS:
        section = found.sections.get(name)
        if section is None:
            continue
        rules = list(next(iter(section.values())))
        rows = [(rule, *(_traded(cell, one.get(rule)) for cell, one in section.items())) for rule in rules]
        yield table((name, *section), rows)


def _traded(cell: str, one: Figure | None) -> str:
    if one is None:
        return "-"
    if cell.startswith(("healthy", "incident")):
        return f"{one.share:.3g} % (<= {one.at_most:.3g})"
    after = "never" if one.after is None else f"{one.after:.1f}'"
    return f"{one.lost:,.0f}, {after}, {one.share:.0f} %"


def _hold_out(section: Figures) -> Iterator[str]:
    if not section:
        return
    yield from _false_rollbacks("## Hold-out: other seeds, other buckets", section, controls=False)
    scenarios = (ERRORS[0], ERRORS[2], ERRORS[4], LATE, SLOWER[1], SLOWER[3])
    for rps in RATES[1:]:
        cells = [Cell(scenario, rps) for scenario in scenarios]
        rows = [
            (_shown(rule), *(_one(section.get(cell.name, {}), rule) for cell in cells))
            for rule in (*OTHERS, NAME, ORACLE)
        ]
        yield table((f"{rps:g} requests/s", *(cell.scenario.title for cell in cells)), rows)
