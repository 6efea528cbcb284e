"""docs/benchmarks.md, written from the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.fleet import policy
from bench.goals import GOALS, Found
from bench.results import Result
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.cli.plan import plan_release
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from sparkrelease.ports.cluster import ObjectKey

ROOT = Path(__file__).parent.parent

HEAD = """\
# Benchmarks

<!-- Written by `make bench`; do not edit. -->

Everything here was measured with a real API server (its audit log is the clock and the count) and a real Prometheus
that scrapes once a second, started by the [test bed](../tests/testbed/README.md) on one machine. The other
controllers' figures were measured the same way on two busy cores: a real API server, their nginx provider, client
limits as shipped.
"""

METHOD = """\
## How it is measured

- **Breach to route.** One synthetic exporter counts the requests of all releases' Services, 100 a second each. A
  release on trial at 25 % is switched to errors only. The clock starts when Prometheus can first show the breach: the
  time of the first scrape that makes the trigger's ratio true (found afterwards by asking Prometheus for that ratio in
  steps of 5 ms), plus that scrape's own duration. It ends when the API server has answered the patch that set the
  canary's weight to 0. The scrape interval is outside the measure; "from the defect" has it inside. The trigger is
  over 5 % errors in 5 s, `for: 0s`.
- **Ticks of 1,013 and 253 ms** stand for 1 s and 250 ms. A tick that divides the scrape interval could meet a good
  phase of it by luck; a little longer, the operator has to find the phase by itself, which
  [it does](decisions/0011-looks-come-right-behind-scrapes.md). All series here come from one scrape target, as they do
  behind one gateway: where targets are scraped at different moments there is no phase to find, and the wait for the
  next tick alone is 0.95 of a tick in the worst of twenty trials. With fewer than 20 trials p95 is the largest one.
- **Fleet.** Ten namespaces with a pod for stable and one for canary in each; two Services and an HTTPRoute per release
  that share them; one ReleasePolicy for all.
{policy}
- **Gateway.** `contour`: the test bed's real gateway accepted the routes. `stub`: a controller of the benchmark wrote
  the routes' status as a gateway does, because Contour and Envoy with two thousand backends, scraped every second,
  take more of a two-core machine than what is measured. No benchmark but that of evidence sends requests through it.
- **API requests** are counted in the audit log, Prometheus queries by Prometheus itself, CPU and memory by the
  operator's own `/metrics`. `busy` is the share of all cores in use by anybody: where it is near 100 %, times are those
  of a machine with too much to do, and the operator waited for its turn in them. Rollbacks are counted over the whole
  series of trials, one active release with its creation and first weight in it; a start over its first minute.
- **Lease.** 60 s instead of 15 s, its deadline 45 s instead of 10 s: with everything on one small machine the API
  server itself may leave the Lease unanswered for longer than the default allows.
- **Finished releases**: one half bears the status of a release that was really brought to stable in the same cluster,
  the other half was answered by the operator with "nothing to release". **Adopted** is a release under way when its
  route bears the new leader's epoch, a finished one when the operator leads with all lists read; a new release put
  among them before the start shows when it gets to work.

## What is not measured here

- More than 1,000 releases under way at once.
- Releases whose metrics differ: each distinct metric of a server costs one query per tick.
- Evidence of stages that last for hours: beside the entries of decisions there is one every ten minutes of a stage.
- Sizes that are missing in the tables: `make bench` alone runs 100 and 1,000 active releases, 300 that start
  together, 1,000, 5,000 and 10,000 finished ones, and 24 trials per variant, which takes a quiet machine.
- False rollbacks and requests lost to a bad canary: properties of the decisions, not of speed. They are in
  [verdicts](verdicts.md).
"""


def page(found: Found, verdicts: str) -> str:
    """The whole page; `verdicts` is the text of the page on those."""
    parts = [
        HEAD,
        *_machines(found),
        *_comparison(found),
        *_judged(verdicts),
        *_rollbacks(found),
        *_usages(found),
        *_meanwhile(found),
        *_starts(found),
        *_ticks(found),
        METHOD.format(policy=_followed()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _machines(found: Found) -> Iterator[str]:
    if not found:
        yield "No results yet: run `make bench`.\n"
        return
    machines = sorted({result.machine for result in found.values()})
    at = sorted(result.at for result in found.values())
    yield from (f"- Machine: {machine}." for machine in machines)
    loads = [load for result in found.values() for load in result.load]
    cores = int(machines[0].split()[0])
    yield f"- Taken from {at[0]} to {at[-1]} UTC, with a load average between {min(loads)} and {max(loads)}."
    if max(loads) > 2 * cores:
        when = "all the time" if min(loads) > 2 * cores else "some of the time; the tables say when"
        yield (
            f"- **The machine was shared with other work {when}** (a load average far above its cores), so times "
            "are upper bounds and say little of a machine of one's own; counts are hardly touched by it."
        )
    yield '- Command: `make bench`; one alone: `make bench ARGS=rollback`, other sizes: `ARGS="active --active 100"`.\n'


def _comparison(found: Found) -> Iterator[str]:
    yield "## Goals\n"
    rows = [goal.row(found) for goal in GOALS]
    yield table(("measure", "others, measured (median / worst)", "goal", "SparkRelease", ""), rows)


def _judged(verdicts: str) -> Iterator[str]:
    """How the goals of the other page stand: its table in one line."""
    lines = verdicts.partition("## Goals")[2].partition("\n## ")[0].splitlines()
    heads, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"] or [
        [],
        [],
    ]
    told = []
    for place, way in ((1, "without a warm-up"), (3, "with the default one")):
        stand = Counter(row[place + 1].strip("*") for row in rows)
        words = sorted(stand, key=lambda word: (word.startswith("not"), word))  # the good ones first
        told.append(f"{way} {', '.join(f'{stand[word]} {word}' for word in words)}")
    if heads:
        yield f"Goals of what the rules find, and how soon: {'; '.join(told)} ([verdicts](verdicts.md#goals)).\n"


def _rollbacks(found: Found) -> Iterator[str]:
    rows = []
    for result in found.values():
        if result.name.startswith("rollback-"):
            f = result.figures
            times = [f"{f[name]:.2f}" for name in ("p50", "p95", "max", "p95_from_scrape", "p50_from_defect")]
            active, ticks = f"{f['active']:,}", f"{f['mean_tick'] * 1000:.0f} ms"
            rows.append((active, f["tick"], str(f["trials"]), *times, ticks, _conditions(result)))
    if rows:
        heads = ("active", "tick", "trials", "p50", "p95", "max", "p95 from scrape", "p50 from defect", "a tick takes")
        yield "## Rollbacks\n\nSeconds, from the first instant at which Prometheus shows the breach.\n"
        yield table((*heads, "gateway, load average"), sorted(rows, key=lambda r: (int(r[0].replace(",", "")), r[1])))


def _usages(found: Found) -> Iterator[str]:
    shown = sorted((one for one in found.values() if one.name.startswith(("active-", "idle-"))), key=_by_size)
    if not shown:
        return
    yield "## What it uses\n"
    heads = ("", *(_title(result) for result in shown))
    lines: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("operator's API requests/min", lambda f: f"{sum(f['calls'].values()):,.1f}"),
        ("by verb and resource", lambda f: _pairs(f["calls"])),
        ("requests/min of others", lambda f: _pairs(f["others"])),
        ("Prometheus queries/min", lambda f: f"{f['queries']:,.1f}"),
        ("CPU, % of a core", lambda f: f"{f['cpu']:.1f}"),
        ("memory, MiB", lambda f: f"{f['rss']:.0f}"),
        ("ticks left out", lambda f: f"{f['ticks_skipped']:.0f}"),
        ("counted for, s", lambda f: f"{f['seconds']:.0f}"),
        ("machine busy, %", lambda f: f"{f['busy']:.0f}"),
    )
    rows = [(name, *(say(result.figures) for result in shown)) for name, say in lines]
    rows.append(("gateway, load average", *(_conditions(result) for result in shown)))
    yield table(heads, rows)


def _meanwhile(found: Found) -> Iterator[str]:
    """The same while something happens, as far as it was counted."""
    rows = []
    for result in sorted(found.values(), key=lambda one: (one.name.partition("-")[0], one.figures.get("active", 0))):
        if "usage" in result.figures:
            f = result.figures["usage"]
            by_verb: Counter[str] = Counter()
            for what, rate in f["calls"].items():
                by_verb[what.partition(" ")[0]] += rate
            used = (f"{f['queries']:,.1f}", f"{f['cpu']:.1f}", f"{f['rss']:.0f}", f"{f['seconds']:.0f}")
            all_calls = f"{sum(f['calls'].values()):,.0f}"
            rows.append((_happening(result), all_calls, _pairs(by_verb), *used, _conditions(result)))
    if rows:
        yield "Beside it, what it uses while releases are rolled back or begin, and from its own start on:\n"
        heads = ("", "operator's API requests/min", "by verb", "Prometheus queries/min", "CPU, % of a core")
        yield table((*heads, "memory, MiB", "counted for, s", "gateway, load average"), rows)


def _happening(result: Result) -> str:
    f, kind = result.figures, result.name.partition("-")[0]
    if kind == "rollback":
        return f"rollbacks, {f['active']:,} active, tick {f['tick']}"
    return f"{f['releases']:,} started together" if kind == "together" else f"start on {_started_on(f)}"


def _started_on(figures: Mapping[str, Any]) -> str:
    return f"{figures['objects']:,} {'under way' if 'all_adopted' in figures else 'finished'}"


def _starts(found: Found) -> Iterator[str]:
    rows = []
    for result in found.values():
        if result.name.startswith("start-"):
            f = result.figures
            last = f.get("all_adopted", f.get("new_one_answered", 0.0))
            moments = (f"{f['ready']:.1f}", f"{f['leads']:.1f}", f"{last:.1f}")
            rows.append((_started_on(f), *moments, _pairs(f["calls"]), _conditions(result)))
    if rows:
        yield "## Starts\n\nSeconds from the start of the process, the interpreter's own start in them.\n"
        heads = ("releases", "ready", "leads", "last one taken over", "requests", "gateway, load average")
        yield table(heads, rows)
    for result in found.values():
        if result.name.startswith("together-"):
            f = result.figures
            yield (
                f"{f['releases']} releases started together: median {f['median']:.1f} s, p95 {f['p95']:.1f} s, "
                f"max {f['max']:.1f} s from each one's creation to its first weight; making them took "
                f"{f['making_them']:.1f} s, and {f['first_made_to_last_weight']:.1f} s passed from the first creation "
                f"to the last weight ({_conditions(result)}).\n"
            )


def _ticks(found: Found) -> Iterator[str]:
    told = [
        f"{result.figures['milliseconds']:.0f} ms with {result.figures['active']:,} active releases"
        for result in sorted((one for one in found.values() if one.name.startswith("tick-")), key=_by_size)
    ]
    if told:
        yield (
            "## A tick of the engine alone\n\nProcessor time, on fake ports: what a busy machine can hardly distort. "
            "Rows are sorted, every release is decided; the query's way over the network and its JSON are left out. "
            f"{', '.join(told)}. At the default tick of 5 s that is to be divided by 5,000 ms.\n"
        )


def _followed() -> str:
    """By which rules a fleet runs, read from its policy."""
    spec = policy()["spec"]
    told = (
        _counted("metric", [f"`{one['name']}` over {one['window']}" for one in spec["metrics"]]),
        _counted("threshold", [f"`{one['metric']}` at most {one['max']:g}" for one in spec["thresholds"]]),
        _counted("trigger", [f"{_legs(one['all'])} for {one['for']}" for one in spec["triggers"]]),
    )
    stages = ", ".join(f"{one['weight']:g} % for {one['duration']}" for one in spec["stages"])
    return f"""\
- **Policy.** {", ".join(told)};
  no comparison with stable; stages {stages}. Every figure of active releases is that of this policy. A
  further metric is one more query per tick, or every 15 s where its rules are patient: {_asked_by_standard()} by
  `kubectl sparkrelease plan`, more than the goal; gates and checks of the watch come on top. What more triggers and
  comparisons take to decide is a goal of its own."""


def _asked_by_standard() -> str:
    """What the ready-made policy asks in a minute, for one release or for any number of them."""
    policy_file, release_file = ROOT / "manifests/policies/spark-standard.yaml", ROOT / "examples/standard-release.yaml"
    spec = SparkReleaseSpec.model_validate(yaml.safe_load(release_file.read_text())["spec"])
    found = resolve(spec, ReleasePolicySpec.model_validate(yaml.safe_load(policy_file.read_text())["spec"]))
    if not isinstance(found, ResolvedSpec):
        raise TypeError(found.message)
    config = OperatorConfig.model_validate({"servers": {spec.prometheus: {"url": "http://prometheus:9090"}}})
    planned = plan_release(ObjectKey("trading", "trading-api"), found, config, ask=False)
    asked = sum(60 / one.every.total_seconds() for one in planned.queries if one.every is not None)
    size = f"{len(found.metrics)} metrics, {len(found.triggers)} triggers"
    return f"the ready-made `spark-standard` ({size}) asks {asked:g} times a minute"


def _counted(what: str, each: Sequence[str]) -> str:
    return f"{len(each)} {what if len(each) == 1 else f'{what}s'} ({'; '.join(each)})"


def _legs(legs: Sequence[Mapping[str, Any]]) -> str:
    return " and ".join(f"`{leg['metric']}` {leg['op']} {leg['value']:g}" for leg in legs)


def _by_size(result: Result) -> tuple[str, int]:
    kind, _, size = result.name.partition("-")
    return kind, int(size)


def _title(result: Result) -> str:
    kind, size = _by_size(result)
    return f"{result.figures['releases']:,} active, 5 s tick" if kind == "active" else f"{size:,} finished"


def _conditions(result: Result) -> str:
    return f"{result.gateway}, {result.load[0]:g} to {result.load[1]:g}"


def _pairs(counts: Mapping[str, Any]) -> str:
    return "<br>".join(f"{name} {count:,.10g}" for name, count in counts.items()) or "none"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
