"""Every window of a native histogram has the true count at its bounds, or is void; whatever becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cluster.metrics.backend import Backend
from cluster.metrics.ledger import NAMESPACE, Ledger, blinks, moment, remove
from cluster.metrics.pods import TimedPod
from cluster.metrics.stories import BOUNDS, Latencies, timed

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster

JOBS: dict[str, dict[str, object]] = {
    "ledger": {"scrape_native_histograms": True},
    "custom": {"scrape_native_histograms": True, "convert_classic_histograms_to_nhcb": True},
    "limited": {"scrape_native_histograms": True, "native_histogram_bucket_limit": 20},
}
WINDOWS = 7
EVERYTHING = range(WINDOWS)


async def restarts(story: Latencies) -> None:
    await moment(1.1)
    story.pods[0].observed = []
    story.observe(story.pods[0], 0.3)


async def restarts_unnoticed(story: Latencies) -> None:
    """No scrape falls between, and there are more events than before at once: only buckets have become fewer."""
    story.pods[0].observed = []
    story.observe(story.pods[0], *[0.7] * 1000)


async def adds(story: Latencies) -> None:
    """A pod that is a target before it gets requests. Discovery takes seconds."""
    assert story.backend is not None
    story.newcomer = story.backend.add(timed(story.name, "new", observed=None))


async def newcomer_serves(story: Latencies) -> None:
    story.observe(story.newcomer, 0.11, 0.3, 0.7)


async def goes_down(story: Latencies) -> None:
    await moment(1.1)
    story.pods[0].down = True
    story.observe(story.pods[0], *[0.2] * 7)


async def comes_back(story: Latencies) -> None:
    story.pods[0].down = False


async def serves_first(story: Latencies) -> None:
    story.observe(story.pods[0], 0.11, 0.3)
    story.usual = True


async def spreads(story: Latencies) -> None:
    """So many buckets are filled that the server keeps them at a lower resolution from now on."""
    story.observe(story.pods[0], *(0.001 * 1.2**step for step in range(40)))


async def coarsens(story: Latencies) -> None:
    """A client that keeps to a number of buckets lowers the resolution itself."""
    story.pods[0].scale = 1


async def refines(story: Latencies) -> None:
    """Nobody can tell what was counted before in finer buckets."""
    story.pods[0].scale = 3


async def changes_kind(story: Latencies) -> None:
    """The same series, from exponential buckets to custom ones."""
    await moment(1.1)
    story.pods[0].scale = None
    story.backend.add(story.pods[0])


def stories() -> list[Latencies]:
    """The numbers in `exact` and `void` are those of windows."""
    but_two = [0, 1, 3, 4, 5, 6]
    custom = {"scale": None, "job": "custom"}
    return [
        Latencies(
            "steady", [timed("steady")], {}, EVERYTHING, known=(*BOUNDS, 0.29730177875068026, 0.2102241038134286)
        ),
        Latencies("coarse", [timed("coarse", scale=0)], {}, EVERYTHING),
        Latencies("custom", [timed("custom", **custom)], {}, EVERYTHING, known=(0.1, 0.2, 0.5, 1.0)),
        Latencies("several", [timed("several", name) for name in "abc"], {}, EVERYTHING),
        Latencies("scales", [timed("scales", f"p{scale}", scale) for scale in (0, 3, 5)], {}, EVERYTHING),
        Latencies("blink", [timed("blink")], {2: blinks}, EVERYTHING),
        Latencies("restart", [timed("restart", name) for name in "ab"], {2: restarts}, but_two, [2]),
        Latencies("overtaken", [timed("overtaken")], {2: restarts_unnoticed}, but_two, [2]),
        Latencies("removed", [timed("removed", name) for name in "ab"], {2: remove}, [0, 1, 4, 5, 6]),
        Latencies("added", [timed("added")], {1: adds, 4: newcomer_serves, 6: newcomer_serves}, EVERYTHING),
        Latencies("gap", [timed("gap", n) for n in "ab"], {2: goes_down, 4: comes_back}, [0, 1, 5, 6], [2, 3, 4]),
        Latencies(
            "first",
            [timed("first", observed=None)],
            {3: serves_first},
            [4, 5, 6],
            [0, 1, 2, 3],
            usual=False,
        ),
        Latencies("spread", [timed("spread", job="limited")], {3: spreads}, EVERYTHING),
        Latencies("coarsens", [timed("coarsens")], {3: coarsens}, EVERYTHING),
        Latencies("refines", [timed("refines", scale=1)], {3: refines}, [0, 1, 2, 4, 5, 6], [3]),
        Latencies("kinds", [timed("kinds", job="custom")], {3: changes_kind}, [0, 1, 2, 5, 6], [3], known=(0.5, 1.0)),
        Latencies("mixed", [timed("mixed", "a"), timed("mixed", "b", **custom)], {}, (), EVERYTHING),
        Latencies("namesake", [timed("namesake", "a")], {}, EVERYTHING),
    ]


@pytest.fixture
def backend(cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Backend]:
    """Pods and a Prometheus of this test's own."""
    if pytestconfig.option.lane != "local":
        pytest.skip("its Prometheus is a process of the local lane")
    with Backend(tmp_path, JOBS).serving() as running:
        yield running


async def test_every_window_of_a_native_histogram_has_the_true_counts_or_is_void(backend: Backend) -> None:
    stable = TimedPod(NAMESPACE, "shop-stable", "shop-stable", observed=[0.2] * 500)
    backend.add(TimedPod(NAMESPACE, "namesake-canary", "namesake-gauge", gauge=5.0))
    ledger = Ledger(backend, stories(), stable)
    await ledger.settle()
    for number in EVERYTHING:
        await ledger.window(number)
    await ledger.rest()
    ledger.source.close()
    assert not (faults := ledger.faults()), "\n".join(faults)
