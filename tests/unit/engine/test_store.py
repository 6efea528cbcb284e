"""What an edit of a release makes the engine look at again."""

from __future__ import annotations

from typing import Any

from fakes.clock import FakeClock
from sparkrelease.engine.release import Release
from sparkrelease.engine.store import Change, Store
from sparkrelease.ports.cluster import ObjectKey
from unit.api.wrong import GOOD, changed


def put(store: Store, spec: dict[str, Any], generation: int) -> Change:
    meta = {"namespace": "trading", "name": "shop", "uid": "u", "generation": generation}
    return store.put({"metadata": meta | {"resourceVersion": str(generation)}, "spec": spec})


def known(store: Store) -> Release:
    release = store.get(ObjectKey("trading", "shop"))
    assert release is not None
    return release


def test_other_services_are_looked_at_afresh() -> None:
    store = Store(FakeClock())
    put(store, GOOD, 1)
    known(store).sides_dirty = False
    assert put(store, changed("traffic.canary.service", "shop-next"), 2) is Change.WISHES
    assert known(store).sides_dirty


def test_an_edit_that_leaves_the_services_alone_asks_for_no_pods() -> None:
    store = Store(FakeClock())
    put(store, GOOD, 1)
    known(store).sides_dirty = False
    assert put(store, changed("stages.0.weight", 2), 2) is Change.WISHES
    assert not known(store).sides_dirty
