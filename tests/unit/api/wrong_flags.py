"""Wrong specs of a release whose weights are the values of a feature flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unit.api.wrong import ABSENT, GOOD, Wrong, changed, stage

FLAG = {"configMap": "shop-flags", "key": "FEATURE_ML_SCORING", "metric": "feature_flag_value"}
FLAGGED: dict[str, Any] = GOOD | {
    "traffic": {**{side: GOOD["traffic"][side] for side in ("stable", "canary")}, "featureFlag": FLAG}
}
ON, AT = "traffic.featureFlag", "spec.traffic.featureFlag"


@dataclass(frozen=True)
class WrongFlag(Wrong):
    """A change of FLAGGED."""

    def spec(self) -> dict[str, Any]:
        return changed(self.path, self.value, FLAGGED)

    def corrected(self) -> dict[str, Any]:
        return changed(self.path, self.mended, FLAGGED)


def _on(*weights: float) -> list[dict[str, Any]]:
    return [stage(f"s{place}", weight) for place, weight in enumerate(weights)]


FEATURE_FLAGS = [
    WrongFlag(
        "a flag and a route",
        "traffic.gatewayAPI",
        GOOD["traffic"]["gatewayAPI"],
        ABSENT,
        "spec.traffic.gatewayAPI",
        "exactly one traffic",
    ),
    WrongFlag(
        "a flag and a workload", "workload", {"deployment": "shop"}, ABSENT, "spec.workload", "leave out workload"
    ),
    WrongFlag("a flag without a ConfigMap", f"{ON}.configMap", ABSENT, "flags", f"{AT}.configMap", "equired"),
    WrongFlag("a flag without a key", f"{ON}.key", ABSENT, "A", f"{AT}.key", "equired"),
    WrongFlag("a flag nobody shows", f"{ON}.metric", ABSENT, "up", f"{AT}.metric", "equired"),
    WrongFlag("a key with a blank", f"{ON}.key", "A B", "A_B", f"{AT}.key", "match"),
    WrongFlag("a key with a way out", f"{ON}.key", "../a", "..a", f"{AT}.key", "match"),
    WrongFlag("a ConfigMap with a slash", f"{ON}.configMap", "a/b", "a-b", f"{AT}.configMap", "match"),
    WrongFlag("an empty gauge", f"{ON}.metric", "", "up", f"{AT}.metric"),
    WrongFlag(
        "a weight between the rungs", "stages", _on(1, 25, 100), _on(1, 10, 100), "spec.stages", "10, 50 and 100"
    ),
    WrongFlag(
        "a weight just off a rung", "stages", _on(1, 50.001, 100), _on(0, 50, 100), "spec.stages", "10, 50 and 100"
    ),
]
