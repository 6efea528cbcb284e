"""Which cluster gets which files of tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from xdist.workermanage import WorkerController

from testbed.sharing import CrowdsApart

CALM = ["tests/e2e/test_a.py::test_one", "tests/e2e/test_a.py::test_two"]
CROWDS = [f"tests/e2e/test_{letter}.py::test_{name}" for letter in "bc" for name in ("one", "two[x::y]")]


class Worker:
    """One that notes which tests it is given; their places in what it collected."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name, spec="popen")
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, places: list[int]) -> None:
        self.given += places

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def shared_out(tmp_path: Path) -> list[list[str]]:
    """By worker, the tests it is given at first."""
    folder = tmp_path / "tests" / "e2e"
    folder.mkdir(parents=True)
    for letter in "abc":
        (folder / f"test_{letter}.py").write_text("pytestmark = [pytest.mark.crowded]\n" if letter in "bc" else "")
    collected = [*CROWDS, *CALM]
    option = SimpleNamespace(loadscopereorder=False, maxschedchunk=None, numprocesses=2)
    config = SimpleNamespace(rootpath=tmp_path, option=option, getvalue=lambda _: ["popen", "popen"])
    scheduler = CrowdsApart(cast("Any", config))
    workers = [Worker("gw0"), Worker("gw1")]
    for worker in workers:
        scheduler.add_node(cast("WorkerController", worker))
        scheduler.add_node_collection(cast("WorkerController", worker), collected)
    scheduler.schedule()
    return [[collected[place] for place in worker.given] for worker in workers]


def test_crowded_files_go_to_one_worker_and_the_others_to_whoever_is_free(shared_out: list[list[str]]) -> None:
    first, other = shared_out
    assert (first, other) == (CROWDS, CALM)
