"""A release deleted and made anew under its name, with events and answers about the old one that come late."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from fakes.clock import FakeClock
from fakes.cluster import FakeObjects
from fakes.rig import NAMESPACE, Rig, spec
from sparkrelease.api.status import Phase
from sparkrelease.engine.store import Change, Store
from sparkrelease.ports.cluster import ObjectKey, WriteOutcome, Written
from unit.api.wrong import GOOD

if TYPE_CHECKING:
    from sparkrelease.api.status import SparkReleaseStatus
    from sparkrelease.engine.release import Release

Body = dict[str, Any]


def body_of(uid: str, version: int, generation: int = 1) -> Body:
    meta = {"namespace": "trading", "name": "shop", "uid": uid, "generation": generation}
    return {"metadata": meta | {"resourceVersion": str(version)}, "spec": GOOD}


KEY = ObjectKey("trading", "shop")


def known(store: Store) -> Release:
    release = store.get(KEY)
    assert release is not None
    return release


def test_what_is_said_late_of_the_old_object_does_not_bring_it_back() -> None:
    store = Store(FakeClock())
    store.put(body_of("new", 120))
    assert store.put(body_of("old", 119)) is Change.NOTHING
    assert known(store).uid == "new"


def test_an_answer_about_the_old_object_does_not_touch_the_new_one() -> None:
    store = Store(FakeClock())
    store.put(body_of("old", 100))
    old = known(store)
    store.put(body_of("new", 120))
    store.answered(old, body_of("old", 130))
    assert (known(store).uid, known(store).resource_version) == ("new", "120")


def test_an_answer_about_an_object_that_is_gone_does_not_bring_it_back() -> None:
    store = Store(FakeClock())
    store.put(body_of("old", 100))
    old = known(store)
    store.remove(KEY)
    store.answered(old, body_of("old", 101))
    assert store.get(KEY) is None


def test_an_answer_that_shows_another_object_leaves_it_to_the_watch() -> None:
    store = Store(FakeClock())
    store.put(body_of("old", 100))
    store.answered(known(store), body_of("new", 120))
    assert store.get(KEY) is None
    assert store.put(body_of("new", 120)) is Change.NEW


def test_an_edit_that_only_an_answer_showed_is_told() -> None:
    store, told = Store(FakeClock()), list[ObjectKey]()
    store.on_wish = told.append
    store.put(body_of("u", 100))
    store.answered(known(store), body_of("u", 101))
    assert told == []
    store.answered(known(store), body_of("u", 103, generation=2))
    assert told == [KEY]


def test_an_answer_that_comes_after_a_newer_event_does_not_take_the_edit_back() -> None:
    store = Store(FakeClock())
    store.put(body_of("u", 100))
    assert store.put(body_of("u", 106, generation=2)) is Change.WISHES
    store.answered(known(store), body_of("u", 105))
    assert known(store).generation == 2


def test_what_is_read_because_the_known_was_refused_counts_even_if_it_is_older() -> None:
    store = Store(FakeClock())
    store.put(body_of("u", 106, generation=2))
    store.answered(known(store), body_of("u", 105), asked=True)
    assert known(store).generation == 1


def test_the_old_object_no_longer_changes_what_its_name_depends_on() -> None:
    store = Store(FakeClock())
    store.put(body_of("old", 100))
    old = known(store)
    body = copy.deepcopy(body_of("new", 120))
    body["spec"]["traffic"]["canary"]["service"] = "next"
    store.put(body)
    store.reindex(old)
    assert store.of_object("Service", "trading", "next") == {KEY}


def test_a_deletion_seen_late_does_not_hide_the_object_made_anew() -> None:
    rig = Rig()
    seen: list[tuple[str | None, str]] = []
    rig.workloads.see = lambda _, event, body: seen.append((event, body["metadata"]["resourceVersion"]))  # type: ignore[method-assign,index]
    service = {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "120"}}
    rig.engine.intake.see("Service", "ADDED", service)
    service = {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "119"}}
    rig.engine.intake.see("Service", "DELETED", service)
    assert seen == [("ADDED", "120")]
    service = {"metadata": {"namespace": "shop", "name": "web", "resourceVersion": "130"}}
    rig.engine.intake.see("Service", "DELETED", service)
    assert seen[1:] == [("DELETED", "130")]


@pytest.mark.parametrize("kind", ["status", "finalizer"])
async def test_a_late_answer_to_the_last_write_of_the_old_one_does_not_stop_the_new_one(kind: str) -> None:
    """The object is deleted and made anew while the answer to a write is on its way."""
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    rig.cluster.delete(key)
    await _made_anew_meanwhile(rig, key, kind)
    await rig.until(lambda: key in rig.cluster.releases and rig.status(key).phase is Phase.PROGRESSING, within=10)
    release = rig.engine.store.get(key)
    assert release is not None
    assert release.uid == rig.cluster.releases[key]["metadata"]["uid"]


async def _made_anew_meanwhile(rig: Rig, key: ObjectKey, kind: str) -> None:
    """Lets rounds run until the release is gone; the watch shows its successor before the answer is taken in."""
    objects = rig.engine.world.objects
    assert isinstance(objects, FakeObjects)
    names = {"status": "write_status", "finalizer": "set_finalizer"}
    write = getattr(objects, names[kind])
    done = False

    async def late(*place: object) -> Written:
        nonlocal done
        written: Written = await write(*place)
        if not done and key not in rig.cluster.releases:
            done = True
            rig.cluster.create(NAMESPACE, "web", spec())
            for shown, event, body in rig.cluster.watch:
                rig.engine.intake.see(shown, event, body)
            rig.cluster.watch.clear()
        return written

    async def gone(place: ObjectKey, version: str, status: SparkReleaseStatus) -> Written:
        if not done and key in rig.cluster.releases and rig.status(key).phase is not Phase.PROGRESSING:
            # Somebody takes the finalizer away by hand.
            rig.cluster.releases[key]["metadata"]["finalizers"] = []
            rig.cluster._let_go(key)
            return await late(place, version, status)
        written: Written = await write(place, version, status)
        return written

    setattr(objects, names[kind], late if kind == "finalizer" else gone)
    await rig.settle()
    await rig.until(lambda: done, within=10)
    setattr(objects, names[kind], write)


async def test_an_edit_found_by_a_refused_write_gets_its_round() -> None:
    """Between the last look and the write somebody edits; the watch's event is older than what the write answers."""
    rig = Rig()
    key = rig.release(policyRef={"name": "absent"})
    edited = False
    objects = rig.engine.world.objects
    assert isinstance(objects, FakeObjects)
    write = objects.write_status

    async def meanwhile(place: ObjectKey, version: str, status: SparkReleaseStatus) -> Written:
        nonlocal edited
        if not edited:
            edited = True
            body = rig.cluster.releases[key]
            del body["spec"]["policyRef"]
            body["metadata"]["generation"] += 1
            rig.cluster._changed(key)
        written = await write(place, version, status)
        if written.outcome is WriteOutcome.DONE:
            objects.write_status = write  # type: ignore[method-assign]
        return written

    objects.write_status = meanwhile  # type: ignore[method-assign]
    await rig.start()
    await rig.settle()
    assert edited
    assert rig.status(key).phase is Phase.PROGRESSING


async def test_the_end_of_the_old_one_leaves_the_new_one_measured() -> None:
    rig = Rig()
    key = rig.release()
    await rig.start()
    await rig.until(lambda: rig.route().weight == 10)
    store, follow = rig.engine.store, rig.engine.rounds.effects.follow
    old = store.get(key)
    assert old is not None
    meta = {"namespace": NAMESPACE, "name": "web", "uid": "new", "generation": 1, "resourceVersion": "999"}
    store.put({"metadata": meta, "spec": spec()})
    new = store.get(key)
    assert new is not None
    assert new is not old
    follow(new, active=True)
    follow(old, active=False)
    assert key in rig.measuring.followed
