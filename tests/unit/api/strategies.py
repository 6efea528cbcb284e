"""Specs as hypothesis makes them: every one follows all rules, and most look like nothing a person would write."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

modest = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For whole specs: they are large, and the machine may be busy with other tests."""

_words = st.text("abcxyz019", min_size=1, max_size=5)
names = st.one_of(_words, st.builds("{}-{}".format, _words, _words))
versions = st.one_of(_words, st.builds("v{}.{}+{}".format, st.integers(0, 20), st.integers(0, 99), _words))
numbers = st.floats(-1e15, 1e15, allow_nan=False, allow_infinity=False)
weights = st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000)
queries = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
counts = st.integers(1, 1_000_000_000)

_LARGEST = 99_999


def spans(hours: int, *, nothing: bool = False) -> st.SearchStrategy[str]:
    """Durations up to so many hours, in one or several units."""
    least = 0 if nothing else 1
    single = [
        st.integers(least, min(hours * per_hour, _LARGEST)).map(f"{{}}{unit}".format)
        for unit, per_hour in (("h", 1), ("m", 60), ("s", 3600), ("ms", 3_600_000))
    ]
    mixed = st.builds("{}h{}m{}s{}ms".format, st.integers(0, hours - 1), st.just(5), st.integers(0, 59), st.just(1))
    return st.one_of(*single, mixed)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the optional fields."""
    return st.fixed_dictionaries({}, optional=fields)


def with_names(items: st.SearchStrategy[dict[str, Any]], *, most: int = 4) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A list of items, each with its own name."""
    return st.lists(st.tuples(names, items), max_size=most, unique_by=lambda item: item[0]).map(
        lambda found: [{"name": name, **item} for name, item in found]
    )


@st.composite
def stages(draw: st.DrawFn, *, least: int = 1) -> list[dict[str, Any]]:
    """Stages whose weights never fall and end above 0."""
    drawn = draw(st.lists(st.tuples(names, weights), min_size=least, max_size=5, unique_by=lambda item: item[0]))
    rising = sorted(weight for _, weight in drawn)
    if rising:
        rising[-1] = rising[-1] or 100
    return [
        {
            "name": name,
            "weight": weight,
            "duration": draw(spans(720)),
            **draw(some(onInconclusive=_ends, approval=signatures, **({"mirror": mirrors} if weight == 0 else {}))),
        }
        for (name, _), weight in zip(drawn, rising, strict=True)
    ]


mirrors = st.integers(1, 100_000).map(lambda thousandths: thousandths / 1000)
signatures = some(required=st.integers(1, 10), groups=st.lists(st.text("abcxyz:/", min_size=1, max_size=9), max_size=8))
_ends = st.sampled_from(["hold", "rollback", "proceed"])
_factors = st.floats(0.001, 1e6)
_shares = st.floats(0.001, 0.999)
_windows = st.just([{"long": "1h", "short": "5m", "factor": 14.4}])


def _kind(kind: str, needs: dict[str, Any], **may: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(kind), **needs}, optional=may)


_KINDS = {
    "vsStable": _kind("vsStable", {"factor": _factors}, floor=numbers),
    "vsBaseline": _kind("vsBaseline", {"factor": _factors}, floor=numbers),
    "growth": _kind("growth", {"factor": _factors, "over": spans(24)}, floor=numbers),
    "trend": _kind(
        "trend",
        {"over": spans(24), "slopePerMinute": numbers},
        pBelow=_shares,
        warmup=spans(24),
        vsStableFactor=_factors,
    ),
    "burnRate": _kind("burnRate", {"objective": _shares}, windows=_windows),
    "sequential": _kind("sequential", {}, margin=_factors, alpha=_shares),
}

metrics = with_names(
    st.one_of(
        st.fixed_dictionaries({"value": queries}, optional={"window": spans(24)}),
        st.fixed_dictionaries(
            {"bad": queries, "total": queries}, optional={"unit": st.sampled_from(["s", "%", "/min"])}
        ),
        st.fixed_dictionaries({"buckets": queries, "quantile": st.floats(0.001, 0.999)}),
    )
)


@st.composite
def rules_on(draw: st.DrawFn, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Thresholds, triggers and tests that name known metrics, as their kinds allow."""
    if not known:
        return {}
    metric = st.sampled_from(known)

    def limit(read: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        if "buckets" in read:
            return numbers.map(lambda high: {"metric": read["name"], "max": high})
        return st.tuples(numbers, numbers).map(
            lambda pair: {"metric": read["name"], "min": min(pair), "max": max(pair)}
        )

    def leg(read: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        ops = [">"] if "buckets" in read else [">", ">=", "<", "<="]
        threshold = st.fixed_dictionaries(
            {"metric": st.just(read["name"]), "op": st.sampled_from(ops), "value": numbers},
            optional={"minEvents": counts, "not": st.booleans()},
        )
        kinds = ["sequential"] if "buckets" in read else ["vsStable", "vsBaseline", "growth"]
        kinds += ["trend"] if "value" in read else ["burnRate"] if "bad" in read else []
        others = [_KINDS[kind].map(lambda found: {"metric": read["name"]} | found) for kind in kinds]
        return st.one_of(threshold, *others)

    triggers = st.fixed_dictionaries(
        {"all": st.lists(metric.flatmap(leg), min_size=1, max_size=3)},
        optional={
            "for": spans(24, nothing=True),
            "action": st.sampled_from(["rollback", "stepBack", "hold", "notify"]),
            "scope": st.sampled_from(["canary", "shared"]),
            "activeWhen": st.fixed_dictionaries(
                {"schedule": st.sampled_from(["0 10 * * 1-5", "*/5 * * * *"]), "duration": spans(24)},
                optional={"timeZone": st.sampled_from(["UTC", "Europe/Istanbul"])},
            ),
        },
    )
    found = {"thresholds": draw(with_names(metric.flatmap(limit))), "triggers": draw(with_names(triggers))}
    counted = [read["name"] for read in known if "value" not in read]
    tests = st.lists(st.sampled_from(counted), unique=True, max_size=8) if counted else st.just([])
    compared = st.fixed_dictionaries(
        {"tests": tests.map(lambda names: [{"metric": name} for name in names])},
        optional={"alpha": _shares, "warmup": spans(24, nothing=True), "keepControl": st.integers(0, 49)},
    )
    return found | draw(some(comparison=compared))


@st.composite
def shared(draw: st.DrawFn, *, least_stages: int = 0) -> dict[str, Any]:
    """What a policy can say: stages, metrics, rules and limits that fit together."""
    known = draw(metrics)
    found = {"stages": draw(stages(least=least_stages)), "metrics": known, **draw(rules_on(known))}
    steps = st.lists(weights.filter(bool), max_size=4, unique=True).map(lambda ws: [*sorted(ws, reverse=True), 0])
    rest = some(
        noData=some(rollbackAfter=spans(24), serverRollbackAfter=spans(24)),
        settle=some(steps=steps, interval=spans(24)),
        progressDeadline=spans(720),
        checklist=with_names(signatures),
        approvalExpires=st.sampled_from(["30s", "8h", "1h30m", "99999h"]),
    )
    return found | draw(rest)


@st.composite
def releases(draw: st.DrawFn) -> dict[str, Any]:
    """A whole spec of a release without a policy."""
    stable, canary = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    ports = st.integers(1, 65535)
    route = st.fixed_dictionaries({"name": names}, optional={"kind": st.sampled_from(["HTTPRoute", "GRPCRoute"])})
    owned = st.fixed_dictionaries(
        {"parentRefs": st.lists(st.fixed_dictionaries({"name": names}), min_size=1, max_size=2)}
    )
    rest = some(
        paused=st.booleans(),
        dryRun=st.booleans(),
        prometheus=names,
        deletionPolicy=st.sampled_from(["Restore", "Orphan", "Delete"]),
        evidence=some(retainRuns=st.integers(1, 100)),
    )
    return {
        "version": draw(versions),
        "traffic": {
            "stable": {"service": stable, "port": draw(ports)},
            "canary": {"service": canary, "port": draw(ports)},
            "gatewayAPI": draw(
                st.one_of(st.builds(lambda r: {"route": r}, route), st.builds(lambda o: {"owned": o}, owned))
            ),
        },
        **draw(shared(least_stages=1)),
        **draw(rest),
    }
