"""Evidence of a run as a person checks it: with the command line, against what is stored in the cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.shop import Shop

RITUAL = (
    "release_tag.txt",
    "sbom.json",
    "build_provenance.json",
    "go_nogo_signed.txt",
    "blind_spots_scan.txt",
    "baseline_metrics.txt",
    "canary_plan.txt",
)
"""The seven files that a run leaves by itself."""


@dataclass(frozen=True)
class Stored:
    """The entries of a run."""

    entries: Sequence[Mapping[str, Any]]

    @property
    def kinds(self) -> list[str]:
        """What was decided, in order."""
        return [str(entry["kind"]) for entry in self.entries]

    @property
    def closed_by(self) -> str:
        """The last decision, whether or not what came of a rollback was measured since."""
        return [kind for kind in self.kinds if kind != "RollbackMeasured"][-1]

    def last(self, kind: str) -> Mapping[str, Any]:
        """The last entry of a kind.

        Raises:
            AssertionError: there is none.
        """
        found = [entry for entry in self.entries if entry["kind"] == kind]
        assert found, f"no {kind} among {self.kinds}"
        return found[-1]


def stored(shop: Shop) -> Stored:
    """What is stored of the shop's present run by now."""
    names = shop.status["evidence"]["configMaps"]
    maps = [shop.cluster.get("v1", "ConfigMap", name, shop.namespace) for name in names]
    lines = "".join(one["data"]["entries.jsonl"] for one in maps).splitlines()
    return Stored([json.loads(line) for line in lines])


def whole(shop: Shop) -> Stored:
    """The evidence of the shop's present run, once all of it is stored."""

    def complete(status: Mapping[str, Any]) -> bool:
        return bool((status.get("evidence") or {}).get("entries")) and not status.get("pendingEvidence")

    shop.until("all evidence stored", complete, timeout=30)
    return stored(shop)


def checked(shop: Shop) -> Stored:
    """The same: its chain holds, and its decisions come out again as they were recorded.

    Raises:
        AssertionError: `verify` or `replay` says that they do not.
    """
    found = whole(shop)
    for verb, told in (("verify", "every link holds"), ("replay", r"\d decisions? reproduced")):
        done = shop.cluster.kubectl("sparkrelease", "evidence", verb, shop.name, "-n", shop.namespace)
        assert done.returncode == 0 and re.search(told, done.stdout), done.stdout + done.stderr
    return found
