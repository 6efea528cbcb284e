"""Every window's counts are what the backend counted in it, or the window is void and says so.

One Prometheus scrapes pods whose counters the test sets.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from cluster.metrics.backend import Backend
from cluster.metrics.conftest import config
from cluster.metrics.ledger import Ledger, Story, blinks, moment, remove
from cluster.metrics.pods import Pod
from cluster.metrics.stories import Latencies, Requests, pod, timed
from fakes.escapes import ESCAPES
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.decide.promql import window_query
from sparkrelease.decide.ranges import history_query
from sparkrelease.decide.series import Answer
from sparkrelease.decide.templates import EVERYTHING, Template, template_of

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster


async def restart(story: Requests) -> None:
    await moment(1.1)
    story.pods[0].good, story.pods[0].bad, story.pods[0].slow = 0, None, 0
    story.count(story.pods[0], good=2)


async def quick_restart(story: Requests) -> None:
    """No scrape falls between the last request before it and the first ones after it."""
    story.count(story.pods[0], good=4)
    story.pods[0].good, story.pods[0].bad, story.pods[0].slow = 0, 0, 0
    story.count(story.pods[0], good=1, bad=1)


async def add(story: Requests) -> None:
    """A pod that is a target before it gets requests, as one that is not ready yet. Discovery takes seconds."""
    assert story.backend is not None
    story.newcomer = story.backend.add(pod(story.name, "new", good=None, bad=None))


async def newcomer_serves(story: Requests) -> None:
    assert story.newcomer is not None
    story.count(story.newcomer, good=5, bad=2)


async def goes_down(story: Requests) -> None:
    await moment(1.1)
    story.pods[0].down = True
    story.count(story.pods[0], good=7)


async def comes_back(story: Requests) -> None:
    story.pods[0].down = False


async def first_requests(story: Requests) -> None:
    story.count(story.pods[0], good=8, bad=1)
    story.usual = True


async def first_error(story: Requests) -> None:
    story.count(story.pods[0], bad=4)


def stories() -> list[Requests]:
    """Seven windows each; the numbers in `exact` and `void` are theirs."""
    everything = range(7)
    return [
        Requests("steady", [pod("steady")], {}, everything),
        Requests("several", [pod("several", name) for name in "abc"], {}, everything),
        Requests("no-error-yet", [pod("no-error-yet", bad=None)], {3: first_error}, everything),
        Requests("blink", [pod("blink")], {2: blinks}, everything),
        Requests("restart", [pod("restart", name) for name in "ab"], {2: restart}, [0, 1, 3, 4, 5, 6], [2]),
        Requests("quick", [pod("quick")], {2: quick_restart}, [0, 1, 3, 4, 5, 6], [2]),
        Requests("removed", [pod("removed", name) for name in "ab"], {2: remove}, [0, 1, 4, 5, 6]),
        Requests("added", [pod("added")], {1: add, 4: newcomer_serves, 6: newcomer_serves}, everything),
        Requests(
            "gap",
            [pod("gap", name) for name in "ab"],
            {2: goes_down, 4: comes_back},
            [0, 1, 5, 6],
            [2, 3, 4],
        ),
        Requests(
            "first-request",
            [pod("first-request", good=None, bad=None)],
            {3: first_requests},
            [4, 5, 6],
            [0, 1, 2, 3],
            usual=False,
        ),
    ]


@pytest_asyncio.fixture
async def backend(cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[Backend]:
    """Pods and a Prometheus of this test's own."""
    if pytestconfig.option.lane != "local":
        pytest.skip("its Prometheus is a process of the local lane")
    with Backend(tmp_path, {"ledger": {"scrape_native_histograms": True}}).serving() as running:
        yield running


async def test_every_window_has_the_true_counts_or_is_void(backend: Backend) -> None:
    ledger = Ledger(backend, stories())
    await ledger.settle()
    for number in range(7):
        await ledger.window(number)
    await ledger.rest()
    ledger.source.close()
    assert not (faults := ledger.faults()), "\n".join(faults)


async def test_no_event_is_counted_twice_or_too_early_after_an_outage_of_the_server(backend: Backend) -> None:
    """Prometheus is away for more than a window, comes back, and at last comes back having forgotten everything."""
    exact, void = (0, 1, 7, 13, 14), (3, 4, 9)
    told: list[Story] = [
        Requests("steady", [pod("steady")], {}, exact, void),
        Requests("pods", [pod("pods", name) for name in "abc"], {}, exact, void),
        Latencies("native", [timed("native", name) for name in "abc"], {}, exact, void),
    ]
    ledger = Ledger(backend, told)
    await ledger.settle()

    async def stop() -> None:
        await asyncio.sleep(1.1)
        await asyncio.to_thread(backend.process.stop)

    async def start() -> None:
        await asyncio.to_thread(backend.start)

    async def forget() -> None:
        await stop()
        await asyncio.to_thread(shutil.rmtree, backend.folder / "tsdb")
        await start()

    happens = {2: stop, 4: start, 9: forget}
    for number in range(15):
        await ledger.window(number, happens.get(number))
    await ledger.rest()
    ledger.source.close()
    assert not (faults := ledger.faults()), "\n".join(faults)


@pytest.mark.parametrize("own", [True, False])
async def test_a_release_s_own_expression_reads_no_series_of_another_namespace(backend: Backend, own: bool) -> None:
    """Only another namespace has series: whatever is answered about them would be read across the border."""
    secret = backend.add(Pod("hr", "pay", "secret", good=4242, bad=1))
    await asyncio.to_thread(backend.until_scraped, secret)
    source = PrometheusSource(config(backend.url).servers)
    read = []
    for text in ESCAPES:
        value = (
            text.replace("secret_total", "requests_total").replace("secret", "duration").replace("duration.*", "req.*")
        )
        made = template_of(
            Metric.model_validate({"name": "m", "value": value}), RoleLabels(), (), "mine" if own else None
        )
        assert isinstance(made, Template), text
        for query in (window_query(made, EVERYTHING), history_query(made, EVERYTHING)):
            answer = await source.query("default", query, datetime.now(UTC))
            assert isinstance(answer, Answer), f"{text}: {answer}"
            absent = [{"namespace": "mine"}, {"namespace": "mine", "sr_part": "value"}]
            read += [f"{text}: {row}" for row in answer.rows if row.labels not in absent]
    source.close()
    assert bool(read) is not own, read
