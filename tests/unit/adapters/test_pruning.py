"""Which evidence is let go: told by the stored ConfigMaps, however many runs the status remembers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from sparkrelease.adapters.kubernetes.evidence import RELEASE_LABEL, RUN_LABEL, ConfigMapEvidence
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ContentType, Reply
from sparkrelease.ports.cluster import ObjectKey

KEY = ObjectKey("shop", "web")


def config_map(run: str, number: int, minute: int, release: str = "web") -> dict[str, object]:
    metadata = {
        "name": f"{release}-{run}-evidence-{number:03d}",
        "uid": f"uid-{release}-{run}-{number}",
        "creationTimestamp": f"2026-01-05T{minute // 60:02d}:{minute % 60:02d}:00Z",
        "annotations": {RELEASE_LABEL: release, RUN_LABEL: run},
    }
    return {"metadata": metadata}


class Store:
    """An API server that has these ConfigMaps, and refuses to delete some."""

    def __init__(self, found: Sequence[Mapping[str, object]], refuse: str = "") -> None:
        self.found = list(found)
        self.refuse = refuse
        self.deleted: set[str] = set()
        random.Random(7).shuffle(self.found)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | Sequence[object] | None = None,
        content: ContentType = ContentType.JSON,
        accept: str = "application/json",
        within: float | None = None,
    ) -> Reply:
        if method == "GET":
            return Reply(200, {"items": self.found, "metadata": {}})
        assert method == "DELETE"
        name = path.rpartition("/")[2]
        if self.refuse and self.refuse in name:
            return Reply(403, {}, Problem(Reason.FORBIDDEN, name))
        self.deleted.add(name)
        return Reply(200, {"status": "Success"})


def runs(count: int) -> list[dict[str, object]]:
    """Runs of three ConfigMaps each, one run every ten minutes."""
    return [config_map(f"v{run}", part, 10 * run + part) for run in range(count) for part in range(3)]


@pytest.mark.parametrize("keep", [1, 3, 10, 11, 40, 100])
async def test_as_many_runs_are_kept_as_the_release_asks_for(keep: int) -> None:
    api = Store(runs(60))
    assert await ConfigMapEvidence(api, pruner=api).prune(KEY, keep, "v59") is None
    gone = {name.split("-")[1] for name in api.deleted}
    assert gone == {f"v{run}" for run in range(60 - keep)}
    assert len(api.deleted) == 3 * max(60 - keep, 0)


async def test_the_present_run_is_kept_whatever_the_clocks_say() -> None:
    api = Store([*runs(5), config_map("early", 0, 0)])
    assert await ConfigMapEvidence(api, pruner=api).prune(KEY, 2, "early") is None
    assert {name.split("-")[1] for name in api.deleted} == {"v0", "v1", "v2", "v3"}


async def test_what_does_not_say_whose_it_is_stays() -> None:
    other = config_map("v0", 0, 0, release="web-2")
    nameless: dict[str, object] = {"metadata": {"name": "odd", "creationTimestamp": "2020-01-01T00:00:00Z"}}
    api = Store([*runs(2), other, nameless, {"metadata": None}])
    assert await ConfigMapEvidence(api, pruner=api).prune(KEY, 1, "v1") is None
    assert {name.rpartition("-evidence-")[0] for name in api.deleted} == {"web-v0"}


async def test_one_that_cannot_be_deleted_keeps_no_other_from_it_and_is_told() -> None:
    api = Store(runs(3), refuse="web-v0-evidence-001")
    problem = await ConfigMapEvidence(api, pruner=api).prune(KEY, 1, "v2")
    assert problem is not None
    assert problem.reason is Reason.FORBIDDEN
    assert len(api.deleted) == 5
