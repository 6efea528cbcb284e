"""What the status keeps of evidence that cannot be stored yet."""

from __future__ import annotations

import pytest

from fakes.clock import START
from sparkrelease.api.status import Run, SparkReleaseStatus
from sparkrelease.engine.release import PENDING_LIMIT, PENDING_SIZE, Chain, Release
from sparkrelease.ports.cluster import ObjectKey


@pytest.mark.parametrize(
    ("count", "size", "kept"),
    [
        (3, 100, 3),
        (PENDING_LIMIT + 5, 100, PENDING_LIMIT),
        (5, PENDING_SIZE // 4, 4),
        (2, PENDING_SIZE + 1, 0),
    ],
)
def test_the_status_never_grows_past_what_the_api_server_takes(count: int, size: int, kept: int) -> None:
    entries = tuple(str(number).rjust(size, ".") for number in range(count))
    run = Run(id="v2-1", version="v2", started_at=START, spec_digest="", stable_fingerprint="a", canary_fingerprint="b")
    release = Release(key=ObjectKey("shop", "web"), uid="u", status=SparkReleaseStatus(run=run))
    release.chain = Chain(run=run.id, pending=entries)
    release.take_chain()
    assert release.status.pending_evidence == entries[:kept]
