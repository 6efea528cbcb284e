"""The real program against the real API server, and somebody who answers commands as the operator would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cluster.cli.terminal import Person

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

API = "sparkrelease.dev/v1alpha1"
RUN = "v2-6c1f0a"

STATUS: Mapping[str, Any] = {
    "observedGeneration": 1,
    "phase": "Progressing",
    "run": {
        "id": RUN,
        "version": "v2",
        "startedAt": "2026-11-21T10:00:00.000Z",
        "specDigest": "sha256:unknown",
        "stableFingerprint": "one",
        "canaryFingerprint": "two",
    },
    "stage": {"index": 1, "count": 2, "name": "quarter", "enteredAt": "2026-11-21T10:00:00.000Z", "observed": "30s"},
    "stageText": "1/2",
    "weight": {"desired": 25, "observed": 25, "verified": True},
}


@pytest.fixture
def person(cluster: Cluster, ns: str) -> Person:
    return Person(cluster, ns)


@pytest.fixture
def release(cluster: Cluster, ns: str) -> KubeObject:
    """SparkRelease `shop`, in its first stage at 25 %."""
    service = {"stable": {"service": "shop-stable", "port": 8080}, "canary": {"service": "shop-canary", "port": 8080}}
    cluster.create(
        {
            "apiVersion": API,
            "kind": "SparkRelease",
            "metadata": {"name": "shop", "namespace": ns},
            "spec": {
                "version": "v2",
                "traffic": {**service, "gatewayAPI": {"route": {"kind": "HTTPRoute", "name": "shop"}}},
                "stages": [
                    {"name": "quarter", "weight": 25, "duration": "1m"},
                    {"name": "full", "weight": 100, "duration": "1m"},
                ],
                "metrics": [{"name": "up", "value": "up"}],
                "thresholds": [{"name": "up", "metric": "up", "min": 1}],
            },
        }
    )
    return cluster.patch(API, "SparkRelease", "shop", ns, {"status": STATUS}, subresource="status")


Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@pytest.fixture
def answering(cluster: Cluster, ns: str) -> Callable[[Answer], Any]:
    """Answers commands to `shop` while in use: `answer` turns a command into changes of the status."""

    @contextmanager
    def answer_with(answer: Answer) -> Iterator[None]:
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(0.05):
                body = cluster.get(API, "SparkRelease", "shop", ns)
                text = body["metadata"].get("annotations", {}).get("sparkrelease.dev/command")
                command = json.loads(text) if text else None
                if command and body["status"].get("command", {}).get("nonce") != command["nonce"]:
                    taken = {key: command[key] for key in ("nonce", "verb", "user")}
                    changes = {"command": {**taken, "at": "2026-11-21T10:01:00.000Z", "result": "taken"}}
                    status = {**changes, **answer(command)}
                    cluster.patch(API, "SparkRelease", "shop", ns, {"status": status}, subresource="status")

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return answer_with
