"""`spark-feature-flag` as a whole, many times faster: its ladder, its checks, its triage; and who is on preview."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from e2e.trials import FACTORS, policy, written
from testbed.flagdesk import FlagDesk
from testbed.kubeapi import KubeObject
from trading.flag import PREVIEW_SHARE, place_of

POLICY = "spark-feature-flag"
PACE = FACTORS[POLICY]
RPS, FRIENDS_RPS = 60.0, 20.0
FRIEND = next(name for name in map("team-{}".format, itertools.count()) if place_of(name) < PREVIEW_SHARE)
"""One of the team's own users, whom preview is for."""


def quick(watch: Mapping[str, str] | None = None, **durations: str) -> KubeObject:
    """The policy, many times faster, but for what does not get faster with it: the requests of real clients.

    Its checks are as they are written, and it has no watch but the one given. `durations` by stage, where one is to
    last longer.
    """
    body, whole = policy(POLICY, PACE), written(POLICY)
    spec = body["spec"]
    spec |= {part: whole[part] for part in ("preflight", "notifications")}
    if watch is not None:
        spec["watch"] = dict(watch)
    for stage in spec["stages"]:
        stage["duration"] = durations.get(stage["name"], stage["duration"])
    for metric in spec["metrics"]:
        if metric["name"] in {"scores", "confidence", "balance"}:
            metric["window"] = "10s"
    for threshold in spec["thresholds"]:
        if threshold["name"] == "score-rate":
            threshold["min"] = next(t["min"] for t in whole["thresholds"] if t["name"] == "score-rate")
    return body


def release_by_policy(desk: FlagDesk) -> None:
    """A release that says nothing but its version and its flag, with clients and one of the team's own users."""
    desk.loads.append(desk.cluster.start_load(desk.host, rps=FRIENDS_RPS, duration=300, header=f"X-User: {FRIEND}"))
    body = desk.manifest("v2", policyRef={"name": POLICY})
    for part in ("stages", "metrics", "thresholds", "triggers", "settle"):
        del body["spec"][part]
    desk.cluster.apply(body)
