"""The watcher says nothing of a good run, and names each promise that a write breaks."""

from __future__ import annotations

import dataclasses
import datetime as dt
from itertools import zip_longest
from typing import Any

import pytest

from testbed.audit import AuditEvent
from testbed.invariants import Watcher
from testbed.kubeapi import KubeObject

NAMESPACE, OPERATOR, PERSON = "shop", "system:serviceaccount:sparkrelease-system:sparkrelease-operator", "jane"
RUN = "v2-aaaaaa"


def write(
    resource: str, body: KubeObject, *, verb: str = "patch", name: str = "shop", user: str = OPERATOR, code: int = 200
) -> AuditEvent:
    """A write as the audit log has it."""
    at = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    return AuditEvent(
        cursor=0,
        verb=verb,
        user=user,
        user_agent="",
        group="",
        resource=resource,
        subresource="",
        namespace=NAMESPACE,
        name=name,
        code=code,
        stage="ResponseComplete",
        received=at,
        completed=at,
        raw={"responseObject": body},
    )


def route(
    canary: int | None, *, stable: int | None = None, epoch: int = 1, user: str = OPERATOR, code: int = 200
) -> AuditEvent:
    """The operator writes weights."""
    rest = 100 - (canary or 0) if stable is None else stable
    backends: list[dict[str, Any]] = [{"name": "shop-stable", "weight": rest}, {"name": "shop-canary"}]
    if canary is not None:
        backends[1]["weight"] = canary
    marks = {"sparkrelease.dev/epoch": str(epoch), "sparkrelease.dev/run": RUN}
    body = {"metadata": {"annotations": marks}, "spec": {"rules": [{"backendRefs": backends}]}}
    return write("httproutes", body, user=user, code=code)


def release(desired: float, *, seen: int = 1, generation: int = 1, entries: int = 3, **more: object) -> AuditEvent:
    """The operator writes the status; `spec` and further fields of the status as given."""
    spec = more.pop("spec", {})
    status = {
        "observedGeneration": seen,
        "weight": {"desired": desired},
        "run": {"id": RUN},
        "evidence": {"entries": entries},
        **more,
    }
    body = {"kind": "SparkRelease", "metadata": {"generation": generation}, "spec": spec, "status": status}
    return write("sparkreleases", body)


def applied(**spec: object) -> AuditEvent:
    """A person applies the release: what it names, the operator may touch."""
    traffic = {"gatewayAPI": {"route": {"name": "shop"}}, "featureFlag": {"configMap": "shop-flags"}}
    body = {"kind": "SparkRelease", "metadata": {"generation": 1}, "spec": {"traffic": traffic, **spec}}
    return write("sparkreleases", body, user=PERSON)


def evidence(verb: str) -> AuditEvent:
    notes = {"sparkrelease.dev/release": "shop", "sparkrelease.dev/run": RUN}
    return write("configmaps", {"metadata": {"annotations": notes}}, verb=verb, name=f"shop-{RUN}-evidence-000")


def broken(*events: AuditEvent) -> list[str]:
    return Watcher(NAMESPACE, "shop-canary", OPERATOR).read([applied(), *events]).broken


def test_a_good_run_breaks_nothing() -> None:
    up = [event for weight in (5, 25, 100) for event in (release(weight), route(weight))]
    assert broken(evidence("create"), *up, route(50), route(0), release(0, run={"id": RUN, "end": "Settled"})) == []


def test_what_others_write_elsewhere_or_in_vain_is_not_held_against_the_operator() -> None:
    assert broken(route(70, user=PERSON), route(70, code=422)) == []


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([release(25), route(25, stable=80)], "do not sum"),
        ([release(25), route(None)], "not explicit"),
        ([release(5), route(25)], "rose to 25.0 before status"),
        ([route(5)], "rose to 5.0 before status"),
        ([release(5, entries=0)], "without evidence"),
        ([release(5, seen=2)], "ahead of generation"),
        ([release(5, seen=2, generation=2), release(5, seen=1, generation=2)], "went back from 2 to 1"),
        ([release(25), route(5, epoch=2), route(25, epoch=1)], "two writers"),
        ([release(5), release(5, entries=2)], "1 entries of evidence are gone"),
        ([release(25, spec={"paused": True}), route(25)], "while paused"),
        ([release(25, pause={"user": PERSON}), route(25)], "while paused"),
        ([release(25, rollback={"run": RUN}), route(25)], "which was rolled back"),
        ([release(0, history=[{"run": RUN}])], "came back after its end"),
        ([evidence("create"), evidence("patch")], "rewritten"),
        ([evidence("create"), evidence("update")], "rewritten"),
    ],
)
def test_every_broken_promise_is_named(events: list[AuditEvent], words: str) -> None:
    found = broken(*events)
    assert len(found) == 1, found
    assert words in found[0]


def test_writes_that_were_answered_the_other_way_round_break_nothing() -> None:
    edited, answered = release(5, seen=1, generation=2), release(5, seen=2, generation=2)
    for event, version in ((edited, "7"), (answered, "8")):
        event.response["metadata"]["resourceVersion"] = version
    assert broken(answered, edited) == []


def test_a_weight_above_the_highest_stage_is_named() -> None:
    watcher = Watcher(NAMESPACE, "shop-canary", OPERATOR, highest_stage=50)
    assert "above the highest stage" in watcher.read([release(100), route(100)]).broken[0]


def flag(value: str, user: str = OPERATOR) -> AuditEvent:
    """Somebody writes a feature flag."""
    body = {"metadata": {"annotations": {"sparkrelease.dev/run": RUN}}, "data": {"FEATURE": value}}
    return write("configmaps", body, name="shop-flags", user=user)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([flag("0.5")], "rose to 50.0 before status"),
        ([release(1), flag("preview"), flag("0.1")], "rose to 10.0 before status"),
        ([release(30), flag("0.3")], "no rung"),
        ([release(10, rollback={"run": RUN}), flag("0.1")], "which was rolled back"),
    ],
)
def test_a_flag_is_a_weight_like_any_other(events: list[AuditEvent], words: str) -> None:
    found = Watcher(NAMESPACE, "shop-canary", OPERATOR, flag="FEATURE").read([applied(), *events]).broken
    assert len(found) == 1, found
    assert words in found[0]


def test_a_flag_that_climbs_as_it_may_and_one_that_a_person_edits_break_nothing() -> None:
    up = [
        event
        for weight, value in ((1, "preview"), (10, "0.1"), (100, "1.0"))
        for event in (release(weight), flag(value))
    ]
    watcher = Watcher(NAMESPACE, "shop-canary", OPERATOR, flag="FEATURE")
    assert watcher.read([applied(), *up, flag("0"), flag("0.5", user=PERSON)]).broken == []


# ---------------------------------------------------------------- releases that share a namespace


def second(*events: AuditEvent) -> list[AuditEvent]:
    """The same writes, of another release of the namespace."""
    return [dataclasses.replace(event, name=event.name.replace("shop", "cart")) for event in events]


def test_of_two_releases_in_a_namespace_each_is_watched_for_itself() -> None:
    good = [applied(), evidence("create"), release(25), route(25)]
    bad = second(applied(), release(0), route(25))
    both = [event for pair in zip_longest(good, bad) for event in pair if event is not None]
    ours = Watcher(NAMESPACE, "shop-canary", OPERATOR, beside=frozenset({"cart"}))
    assert ours.read(both).broken == []
    theirs = Watcher(NAMESPACE, "shop-canary", OPERATOR, beside=frozenset({"shop"})).read(both)
    assert theirs.broken and all("cart" in sentence for sentence in theirs.broken)


def test_what_belongs_to_none_of_the_releases_of_a_namespace_is_not_left_out() -> None:
    stray = dataclasses.replace(route(0), name="somebody-elses")
    for others in ({"cart"}, {"shop"}):
        assert Watcher(NAMESPACE, "shop-canary", OPERATOR, beside=frozenset(others)).read([applied(), stray]).broken
