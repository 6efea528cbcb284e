"""What a decision was made from comes back as it was, to the last bit, whatever it holds."""

from __future__ import annotations

import base64
import json
import math
import random
import struct
import zlib
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.command import Command
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import DeletionPolicy, ReleasePolicySpec
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide import codec, points
from sparkrelease.decide.evidence import canonical_json
from sparkrelease.decide.facts import (
    Ask,
    Baseline,
    Buckets,
    Counts,
    Facts,
    Finding,
    History,
    MetricFacts,
    Missing,
    Problem,
    Route,
    Share,
    Side,
    Track,
    Value,
    Window,
)
from sparkrelease.decide.inputs import Inputs, pack, unpack, version_of
from sparkrelease.decide.resolve import ResolvedSpec, digest, resolve
from unit.decide.world import spec

numbers = st.floats()
texts = st.text(st.characters(codec=None), max_size=8)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
instants = st.datetimes(timezones=zones).map(lambda at: at.replace(fold=0))
spans = st.timedeltas(timedelta(days=-2), timedelta(days=400))
reasons = st.sampled_from(sorted(Reason))
missing = st.builds(Missing, reasons, texts, st.booleans())
counts = st.builds(Counts, numbers, numbers)
buckets = st.builds(Buckets, st.dictionaries(st.floats(allow_nan=False), numbers, max_size=3), numbers)
readings = st.one_of(st.builds(Value, numbers), counts, buckets, missing)
metric_facts = st.builds(MetricFacts, texts, instants, spans, readings, readings)
windows = st.builds(Window, instants, spans, st.one_of(counts, buckets, missing), st.one_of(counts, buckets, missing))
point = st.tuples(st.one_of(st.integers(0, 2**40).map(float), numbers), st.one_of(st.integers().map(float), numbers))
tracks = st.lists(
    st.builds(Track, texts, st.lists(point, max_size=5).map(tuple), st.none() | instants), max_size=2
).map(tuple)
histories = st.builds(History, texts, instants, spans, st.one_of(tracks, missing), st.one_of(tracks, missing))
baselines = st.builds(Baseline, texts, instants, spans, st.none() | numbers, numbers, numbers, st.none() | missing)
names = st.text("abc-", min_size=1, max_size=4)
problems = st.builds(Problem, reasons, texts)
sides = st.builds(
    Side, st.booleans(), st.integers(0, 9), st.integers(0, 9), st.frozensets(texts, max_size=3), st.none() | problems
)
routes = st.builds(Route, canary_weight=st.none() | numbers, message=texts, written_at=st.none() | instants)
all_facts = st.builds(
    Facts,
    namespace=texts,
    name=texts,
    uid=texts,
    generation=st.integers(0, 2**40),
    tick=spans,
    epoch=st.integers(0, 9),
    deleting=st.booleans(),
    command=st.none() | st.just(Command.model_validate({"user": "jane", "verb": "pause", "nonce": "nonce-0001"})),
    route=routes,
    share=st.none() | st.builds(Share, numbers, numbers, spans, instants, st.booleans()),
    stable=sides,
    canary=sides,
    metrics=st.dictionaries(names, metric_facts, max_size=2),
    asked=st.dictionaries(st.builds(Ask, names, spans, spans), metric_facts, max_size=2),
    windows=st.dictionaries(names, st.lists(windows, max_size=2).map(tuple), max_size=2),
    history=st.dictionaries(names, histories, max_size=2),
    baselines=st.none() | st.dictionaries(names, baselines, max_size=2),
    gate=st.none() | st.dictionaries(names, metric_facts, max_size=2),
    preflight=st.none() | st.lists(st.builds(Finding, texts, st.booleans(), problems), max_size=2).map(tuple),
    evidence_problem=st.none() | problems,
)


def resolved(**changes: object) -> ResolvedSpec:
    found = resolve(spec(**changes), ReleasePolicySpec())
    assert isinstance(found, ResolvedSpec)
    return found


FOLLOWED = resolved()
NOW = datetime(2026, 11, 21, 14, 3, 50, 123457, tzinfo=UTC)
STATUS = SparkReleaseStatus.model_validate(
    {
        "phase": "Progressing",
        "run": {
            "id": "v2-abc",
            "version": "v2",
            "startedAt": NOW - timedelta(minutes=3, microseconds=1),
            "specDigest": digest(FOLLOWED),
            "stableFingerprint": "fp1",
            "canaryFingerprint": "fp2",
        },
        "verdicts": [{"rule": "burst", "kind": "trigger", "verdict": "Fail", "since": NOW - timedelta(seconds=3)}],
        "tests": [{"metric": "http", "countedUntil": NOW, "state": "AAAA", "e": 1.7976931348623157e308}],
    }
)


def test_every_fact_can_be_kept() -> None:
    """A type that the codec does not know would stop the operator from recording: found here and not there."""
    facts = Facts("ns", "name", "uid", 1, timedelta(seconds=5), 1)
    assert codec.read(Facts, codec.write(Facts, facts)) == facts


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(all_facts)
def test_facts_come_back_as_they_were(facts: Facts) -> None:
    stored = json.loads(json.dumps(codec.write(Facts, facts), allow_nan=False))
    again = codec.read(Facts, stored)
    assert plainly(again) == plainly(facts)


def plainly(value: object) -> str:
    """Equality in which NaN equals NaN, 0.0 differs from -0.0, and a set has no order."""
    text = repr(value)
    for side in ("stable", "canary"):
        prints = getattr(value, side).fingerprints
        text = text.replace(repr(prints), repr(sorted(prints)))
    return text


@given(st.lists(point, max_size=30).map(tuple))
def test_histories_come_back_to_the_last_bit(some: points.Points) -> None:
    assert repr(points.read(json.loads(json.dumps(points.write(some), allow_nan=False)))) == repr(some)


def test_a_steady_history_is_kept_in_differences() -> None:
    steady = tuple((1_767_614_400.0 + 15 * n, 183_245_824.0 + 4096 * n) for n in range(120))
    assert len(json.dumps(points.write(steady))) < len(json.dumps(steady)) / 2


def test_inputs_come_back_from_their_packed_form() -> None:
    facts = Facts("shop", "web", "uid", 1, timedelta(seconds=5), 1, metrics={"http": METRIC})
    again = unpack(json.loads(json.dumps(pack(inputs(facts)))), FOLLOWED)
    assert again == inputs(facts)
    assert again.status.run is not None and again.status.run.started_at == NOW - timedelta(minutes=3, microseconds=1)


METRIC = MetricFacts("up", NOW, timedelta(minutes=1), Counts(1, math.inf), Missing(Reason.NO_DATA, "none"))


def inputs(facts: Facts, spec: ResolvedSpec = FOLLOWED, status: SparkReleaseStatus = STATUS) -> Inputs:
    return Inputs(spec, status, facts, NOW, digest(FOLLOWED), 2)


def test_a_spec_other_than_the_run_s_own_is_kept_with_the_inputs() -> None:
    facts = Facts("shop", "web", "uid", 1, timedelta(seconds=5), 1)
    other = resolved(version="v3", deletionPolicy="Orphan")
    assert unpack(pack(inputs(facts, spec=other)), FOLLOWED).spec == other
    live = FOLLOWED.model_copy(update={"deletion_policy": DeletionPolicy.ORPHAN})
    packed = pack(inputs(facts, spec=live))
    assert unpack(packed, FOLLOWED).spec.deletion_policy is DeletionPolicy.ORPHAN
    assert len(str(packed["zlib"])) < len(str(pack(inputs(facts, spec=other))["zlib"]))


def test_what_no_decision_reads_is_left_out() -> None:
    facts = Facts("shop", "web", "uid", 1, timedelta(seconds=5), 1, route=Route(original="weights " * 1000))
    status = STATUS.model_copy(update={"pending_evidence": ("an entry " * 1000,)})
    again = unpack(pack(inputs(facts, status=status)), FOLLOWED)
    assert (again.status.pending_evidence, again.facts.route.original) == ((), "")


def test_a_large_decision_takes_a_sixtieth_of_a_mebibyte() -> None:
    """16 metrics, two of them with histories of six pods, 22 verdicts and two tests: sixty of these are a long run."""
    chance = random.Random(3)

    def counted() -> Counts:
        return Counts(float(chance.randint(0, 30)), float(chance.randint(1000, 90000)))

    def track(pod: int) -> Track:
        steps = accumulate(chance.randint(-40, 60) * 4096 for _ in range(120))
        return Track(f"web-{pod}", tuple((NOW.timestamp() + 15 * n, 1.8e8 + step) for n, step in enumerate(steps)))

    def state(size: int) -> str:
        return base64.b64encode(b"".join(struct.pack("<f", chance.gauss(0, 5)) for _ in range(size))).decode()

    query = 'sum by (namespace, service) (http_requests_total{namespace="shop",service=~"web-canary|web-stable"})' * 3
    metrics = {f"m{n}": MetricFacts(f"{query} + {n}", NOW, METRIC.window, counted(), counted()) for n in range(16)}
    sides = [tuple(track(pod) for pod in range(3)) for _ in range(4)]
    over = timedelta(minutes=30)
    facts = Facts(
        *("shop", "web", "uid", 1, timedelta(seconds=5), 1),
        metrics=metrics,
        gate=dict(list(metrics.items())[:6]),
        history={"m1": History(query, NOW, over, *sides[:2]), "m2": History(query, NOW, over, *sides[2:])},
    )
    verdicts = [
        {
            "rule": f"trigger-{n}",
            "kind": "trigger",
            "verdict": "Pass",
            "message": f"m{n} {chance.random():.3g}%, not > 3",
        }
        for n in range(22)
    ]
    tests = [{"metric": "m1", "state": state(225)}, {"metric": "m2", "state": state(700)}]
    more = SparkReleaseStatus.model_validate({"verdicts": verdicts, "tests": tests})
    status = STATUS.model_copy(update={"verdicts": more.verdicts, "tests": more.tests})
    assert len(canonical_json(pack(inputs(facts, status=status)))) <= 2**20 / 60


def zipped(value: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"entries": 1},
        {"entries": 0, "zlib": zipped({})},
        {"entries": 1, "zlib": "not base64!"},
        {"entries": 1, "zlib": base64.b64encode(b"not zlib").decode()},
        {"entries": 1, "zlib": base64.b64encode(zlib.compress(b"{}")[:-3]).decode()},
        {"entries": 1, "zlib": zipped({})},
        {"entries": 1, "zlib": zipped([])},
        {"entries": 1, "zlib": zipped({"status": {"nothing": 1}, "facts": {}, "now": "", "deletionPolicy": "Restore"})},
    ],
)
def test_other_data_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(wrong, FOLLOWED)


def test_the_version_that_decided_is_in_the_open() -> None:
    assert version_of(pack(inputs(Facts("a", "b", "c", 1, timedelta(seconds=1), 1))))
    assert version_of(None) == ""
