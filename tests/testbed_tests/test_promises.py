"""A log in which one promise about a release as a whole is broken is found out; the same log without that is not."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Sequence

import pytest

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.evidence import Link, link
from sparkrelease.decide.facts import Counts, Missing
from sparkrelease.decide.plan import EntryDraft
from testbed.audit import AuditEvent
from testbed.invariants import Watcher
from testbed.kubeapi import KubeObject
from testbed_tests.test_invariants import (
    NAMESPACE,
    OPERATOR,
    PERSON,
    RUN,
    applied,
    broken,
    evidence,
    flag,
    release,
    route,
    write,
)
from unit.decide.world import World

GONE = {"deletionTimestamp": "2026-01-05T00:00:00Z"}


def names_one(found: list[str], words: str) -> None:
    assert len(found) == 1, found
    assert words in found[0]


# ---------------------------------------------------------------- 4: after a rollback


ROLLBACK = {"run": RUN, "trigger": "burst", "trafficAt": "2026-01-05T00:00:00Z"}


@pytest.mark.parametrize("said", [{"phase": "RolledBack"}, {"rollback": ROLLBACK}])
def test_a_rollback_that_says_it_is_over_with_weight_on_the_route_is_named(said: dict[str, object]) -> None:
    up = [release(25), route(25)]
    names_one(broken(*up, release(0, **said)), "rolled back, with 25.0 on the route")
    assert broken(*up, route(0), release(0, **said)) == []


def test_a_weight_that_others_took_back_is_no_longer_the_operator_s_and_one_they_raise_never_was() -> None:
    up, over = [release(25), route(25)], release(0, phase="RolledBack")
    assert broken(*up, route(0, user=PERSON), over) == []
    assert broken(*up, route(0), route(70, user=PERSON), over) == []
    names_one(broken(*up, route(70, user=PERSON), over), "rolled back, with 25.0 on the route")


def test_a_rollback_whose_write_is_not_answered_yet_is_none() -> None:
    under_way = {key: value for key, value in ROLLBACK.items() if key != "trafficAt"}
    assert broken(release(25), route(25), release(0, phase="RollingBack", rollback=under_way)) == []


def test_a_route_that_is_deleted_or_put_up_anew_by_others_has_nothing_of_the_operator_s_on_it() -> None:
    said = release(0, phase="RolledBack")
    assert broken(release(25), route(25), write("httproutes", {}, verb="delete", user=PERSON), said) == []
    anew = write("httproutes", {"metadata": {}, "spec": {}}, verb="create", user=PERSON)
    assert broken(release(25), route(25), anew, said) == []


def test_a_deletion_counts_from_when_it_was_asked_for_and_not_from_its_answer() -> None:
    up, said = [release(25), route(25)], release(0, phase="RolledBack")
    gone = write("httproutes", {}, verb="deletecollection", user=PERSON)
    assert broken(*up, said, gone) == [], "the operator saw the route go before the deletion of all was answered"
    later = dataclasses.replace(gone, received=said.received + dt.timedelta(seconds=1))
    names_one(broken(*up, said, later), "rolled back, with 25.0 on the route")
    earlier = dataclasses.replace(gone, received=said.received - dt.timedelta(seconds=1))
    names_one(broken(earlier, *up, said), "rolled back, with 25.0 on the route")


# ---------------------------------------------------------------- 6: no data is no pass


def test_a_rule_that_passes_without_data_is_named() -> None:
    verdict = {"rule": "errors", "kind": "threshold", "verdict": "Pass", "reason": "NoData"}
    names_one(broken(release(5, verdicts=[verdict])), "rule errors passes with reason NoData")
    fine = [verdict | {"verdict": "NoData"}, verdict | {"reason": "WithinLimit"}]
    assert broken(release(5, verdicts=fine)) == []


@pytest.mark.parametrize("reading", [{"missing": "NoData", "message": "gone"}, {"bad": 0, "total": 0}])
def test_a_gate_that_passes_on_nothing_is_named(reading: dict[str, object]) -> None:
    data: dict[str, object] = {"readings": {"errors": {"canary": reading}}, "verdicts": {"errors": "Pass"}}
    first = link("", 1, at=dt.datetime(2026, 1, 5, tzinfo=dt.UTC), release="shop/shop", run=RUN, draft=passed(data))
    found = broken(stored([first]))
    assert "threshold errors passes on" in found[0]
    honest = passed(data | {"verdicts": {"errors": "NoData"}})
    second = link("", 1, at=dt.datetime(2026, 1, 5, tzinfo=dt.UTC), release="shop/shop", run=RUN, draft=honest)
    assert not [sentence for sentence in broken(stored([second])) if "passes on" in sentence]


def passed(data: dict[str, object]) -> EntryDraft:
    return EntryDraft(Reason.GATE_PASSED, "1 of 1 thresholds pass", data)


# ---------------------------------------------------------------- 7 and 12: the chain and its replay


def stored(links: Sequence[Link], part: int = 0, text: str | None = None) -> AuditEvent:
    """The operator creates a ConfigMap of evidence."""
    event = evidence("create")
    event.response["data"] = {"entries.jsonl": text or "".join(f"{one.line}\n" for one in links)}
    return dataclasses.replace(event, name=f"shop-{RUN}-evidence-{part:03d}")


def rolled_back() -> list[Link]:
    world = World()
    world.reach(25)
    world.reading = Counts(500, 1000)
    world.run_for(30)
    assert world.status.phase is Phase.ROLLED_BACK
    return world.chain


def told_otherwise(chain: list[Link]) -> list[Link]:
    """The same chain, hashed again after one verdict was turned round."""
    made: list[Link] = []
    for one in chain:
        body = json.loads(one.line)
        fired = body["kind"] == Reason.TRIGGER_FIRED.value
        draft = EntryDraft(Reason.GATE_PASSED if fired else Reason.named(body["kind"]), body["message"], body["data"])
        head = made[-1].digest if made else ""
        at = dt.datetime.fromisoformat(body["at"])
        made.append(link(head, len(made) + 1, at=at, release=body["release"], run=body["run"], draft=draft))
    return made


def test_evidence_that_is_whole_and_comes_out_again_is_good_in_however_many_pieces() -> None:
    chain = rolled_back()
    assert broken(stored(chain)) == []
    assert broken(stored(chain[:2]), stored(chain[2:], 1)) == []
    text = "".join(f"{one.line}\n" for one in chain)
    assert broken(stored([], text=text[:700]), stored([], 1, text=text[700:])) == []


def test_evidence_that_does_not_replay_is_named() -> None:
    names_one(broken(stored(told_otherwise(rolled_back()))), "kind is 'GatePassed', replay says 'TriggerFired'")


def test_evidence_with_a_gap_is_named() -> None:
    chain = rolled_back()
    names_one(broken(stored([*chain[:2], *chain[3:]])), "entry 3")
    names_one(broken(stored(chain[:2]), stored(chain[3:], 1)), "entry 3")


def cut_off(creation: AuditEvent, code: int) -> AuditEvent:
    """The same creation, answered with an error."""
    return dataclasses.replace(creation, code=code, raw={"requestObject": creation.response})


def test_evidence_that_was_stored_and_not_answered_is_read_where_it_is_stored() -> None:
    """The server gave up on the answer, or whoever asked did; the store had the object by then."""
    chain = rolled_back()
    before, lost, after = stored(chain[:2]), stored(chain[2:3], 1), stored(chain[3:], 2)

    def told(kept: list[AuditEvent], code: int = 504) -> list[str]:
        there = [{**one.response, "metadata": {**one.response["metadata"], "name": one.name}} for one in kept]
        watch = Watcher(NAMESPACE, "shop-canary", OPERATOR)
        return watch.read([applied(), before, cut_off(lost, code), after], there).broken

    assert told([before, lost, after]) == []
    assert told([]) == [], "its namespace is gone: nobody knows what it was"
    assert told([before, stored(chain[3:4], 1), after]) != [], "what is stored has to fit its neighbours"
    for refused in (403, 409, 422):
        names_one(told([before, lost, after], refused), "entry 3")


def test_evidence_of_a_store_that_was_put_back_or_begun_before_the_log_is_not_judged() -> None:
    chain, other = rolled_back(), told_otherwise(rolled_back())
    assert broken(stored(chain), stored(other)) == []
    assert broken(stored(chain[3:], 3)) == []
    put_back = dataclasses.replace(release(0), user=PERSON, subresource="status")
    assert broken(stored(chain[:2]), put_back, stored(chain[3:], 1)) == []


def test_a_run_that_held_without_data_is_good_evidence() -> None:
    world = World()
    world.reach(25)
    world.blind()
    world.run_for(30)
    world.reading = world.stable_reading = Counts(0, 1000)
    world.run_for(30)
    assert isinstance(world.reading, Counts) and not isinstance(world.reading, Missing)
    assert broken(stored(world.chain)) == []


# ---------------------------------------------------------------- 10: deletion


def let_go(**spec: object) -> AuditEvent:
    """The operator takes its finalizer off."""
    body = {
        "kind": "SparkRelease",
        "metadata": {"generation": 1, **GONE},
        "spec": spec,
        "status": {"observedGeneration": 1},
    }
    return write("sparkreleases", body)


def test_a_release_that_is_let_go_with_weight_on_the_route_is_named() -> None:
    up = [release(25), route(25)]
    names_one(broken(*up, let_go()), "let go with 25.0 on the route")
    assert broken(*up, let_go(deletionPolicy="Orphan")) == []
    assert broken(*up, route(0), let_go()) == []
    kept = let_go()
    kept.response["metadata"]["finalizers"] = ["sparkrelease.dev/restore-traffic"]
    assert broken(*up, kept) == []


def test_a_settled_feature_stays_on_when_its_release_is_let_go() -> None:
    on = [applied(), release(100), flag("1.0")]
    ended = let_go()
    ended.response["status"] |= {
        "evidence": {"entries": 3},
        "run": {"id": RUN, "end": "Settled"},
        "weight": {"desired": 100},
    }
    assert Watcher(NAMESPACE, "shop-canary", OPERATOR, flag="FEATURE").read([*on, ended]).broken == []
    names_one(
        Watcher(NAMESPACE, "shop-canary", OPERATOR, flag="FEATURE").read([*on, let_go()]).broken, "let go with 100.0"
    )


# ---------------------------------------------------------------- 13: secrets

LINK = "https://"
TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"RS256"}', b"x" * 20, b"y" * 40)
)


@pytest.mark.parametrize(
    "secret", [TOKEN, "Authorization: Bearer 0123456789abcdef01", f"{LINK}jane:hunter2@prometheus", "s3cret-of-ours"]
)
def test_a_secret_in_a_status_an_event_or_evidence_is_named(secret: str) -> None:
    where = [
        release(0, conditions=[{"type": "Ready", "message": f"cannot reach it: {secret}"}]),
        write("events", {"involvedObject": {"kind": "SparkRelease"}, "message": secret}, verb="create"),
        stored([], text=json.dumps({"query": secret})),
    ]
    for event in where:
        watcher = Watcher(NAMESPACE, "shop-canary", OPERATOR, secrets=("s3cret-of-ours",))
        assert "a secret is told" in watcher.read([applied(), event]).broken[0]


@pytest.mark.parametrize("text", ["sha256:" + "0a" * 32, f"{LINK}prometheus:9090/api?a=b@c", "basic auth is refused"])
def test_digests_and_addresses_are_no_secrets(text: str) -> None:
    assert broken(release(0, conditions=[{"type": "Ready", "message": text}])) == []


# ---------------------------------------------------------------- 14: other people's things


def touched(resource: str, name: str, **body: object) -> AuditEvent:
    return write(resource, body, name=name)


def policy(name: str, config_map: str) -> AuditEvent:
    body: KubeObject = {"spec": {"triggers": [{"mitigation": {"configMap": config_map}}]}}
    return dataclasses.replace(write("releasepolicies", body, name=name, user=PERSON), namespace="")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (dataclasses.replace(route(0), name="other"), "no release here names it"),
        (touched("deployments", "shop"), ""),
        (touched("deployments", "web"), "no release here names it"),
        (touched("configmaps", "other-flags", data={"a": "b"}), "no release here names it"),
        (touched("jobs", "shop-backup-0123456789ab"), ""),
        (touched("jobs", "backup-0123456789ab"), "no release here has such a Job"),
        (touched("events", "pod.1", involvedObject={"kind": "Pod", "name": "web-1"}), "is about Pod web-1"),
        (dataclasses.replace(evidence("create"), name="x-evidence-000"), ""),
        (
            touched("configmaps", "o-evidence-0", metadata={"annotations": {"sparkrelease.dev/release": "other"}}),
            "which is no release here",
        ),
    ],
)
def test_what_no_release_names_is_none_of_the_operator_s_business(event: AuditEvent, words: str) -> None:
    event = dataclasses.replace(event, verb="create") if "evidence" in event.name else event
    found = broken(event)
    assert len(found) == bool(words), found
    assert not words or words in found[0]


def test_a_copy_of_a_named_deployment_and_what_a_policy_names_may_be_touched() -> None:
    managed = applied(workload={"deployment": "web"}, policyRef={"name": "ours"})
    both = [managed, touched("deployments", "web-stable"), touched("configmaps", "valve", data={"a": "b"})]
    watch = Watcher(NAMESPACE, "shop-canary", OPERATOR)
    assert watch.read([policy("ours", "valve"), *both]).broken == []
    names_one(Watcher(NAMESPACE, "", OPERATOR).read([policy("ours", "tap"), *both]).broken, "no release here names it")
    assert Watcher(NAMESPACE, "", OPERATOR).read(both).broken == [], "a policy nobody showed may name anything"


def test_a_namespace_without_a_release_is_left_alone() -> None:
    names_one(Watcher(NAMESPACE, "shop-canary", OPERATOR).read([route(0)]).broken, "no release is here")


# ---------------------------------------------------------------- 15: quiet


def versioned(event: AuditEvent, version: int) -> AuditEvent:
    event.response["metadata"]["resourceVersion"] = str(version)
    return event


def test_writes_again_and_again_that_change_nothing_are_named() -> None:
    events = [versioned(release(0), 7) for _ in range(4)]
    names_one(broken(*events), "3 writes in a row that changed nothing")
    assert broken(*events[:3]) == [], "a lost answer has its write repeated"
    assert broken(*(versioned(release(0), version) for version in range(7, 12))) == []


# ---------------------------------------------------------------- 16: clocks


def clocked(observed: str, *, began: str = "2026-01-04T23:50:00Z", user: str = OPERATOR) -> AuditEvent:
    """The log's clock stands at midnight of the 5th."""
    stage = {"index": 1, "name": "one", "enteredAt": "2026-01-04T23:50:00Z", "startedAt": began, "observed": observed}
    return dataclasses.replace(release(5, stage=stage), user=user, subresource="status")


def test_a_clock_that_goes_back_or_counts_more_than_there_was_is_named() -> None:
    names_one(broken(clocked("5m"), clocked("4m")), "went back from 0:05:00 to 0:04:00")
    names_one(broken(clocked("11m")), "has observed 0:11:00, and began 0:10:00 ago")
    assert broken(clocked("5m"), clocked("5m"), clocked("9m30s")) == []
    assert broken(clocked("5m"), clocked("0s", began="2026-01-05T00:00:00Z")) == [], "a stage that began anew"
    assert broken(clocked("5m"), clocked("3m", user=PERSON), clocked("4m")) == [], "a backup that was put back"
