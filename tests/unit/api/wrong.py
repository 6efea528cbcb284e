"""A good spec, and how a wrong one comes from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()
"""As a value: the field is taken away."""

GOOD: dict[str, Any] = {
    "version": "v1.4.0",
    "traffic": {
        "stable": {"service": "shop-stable", "port": 8080},
        "canary": {"service": "shop-canary", "port": 8080},
        "gatewayAPI": {"route": {"kind": "HTTPRoute", "name": "shop", "rule": "main"}},
    },
    "stages": [
        {"name": "one", "weight": 1, "duration": "15m"},
        {"name": "half", "weight": 50, "duration": "15m"},
        {"name": "full", "weight": 100, "duration": "30m"},
    ],
    "metrics": [
        {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"},
        {"name": "latency", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95, "unit": "s"},
        {"name": "lag", "value": "max by ($by) (lag_seconds{$sel})"},
    ],
    "thresholds": [{"name": "errors", "metric": "http", "max": 0.01}, {"name": "p95", "metric": "latency", "max": 0.2}],
    "triggers": [{"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.03}], "for": "5m"}],
}


def owned(**changes: object) -> dict[str, Any]:
    """A gatewayAPI part with an owned route."""
    return {"owned": {"parentRefs": [{"name": "public"}], **changes}}


def matching(**match: object) -> list[dict[str, Any]]:
    """Rules with one match."""
    return [{"matches": [match]}]


def stage(name: str, weight: object = 100, duration: object = "15m") -> dict[str, Any]:
    """A stage."""
    return {"name": name, "weight": weight, "duration": duration}


@dataclass(frozen=True)
class Wrong:
    """A change of GOOD that is refused at `at` with words that contain `says`, and the value that mends it."""

    what: str
    path: str
    value: object
    mended: object
    at: str
    says: str = ""
    only_the_server: bool = False
    """True where reading is more generous than writing: the models would take what the API server refuses."""

    def spec(self) -> dict[str, Any]:
        """The wrong spec."""
        return changed(self.path, self.value)

    def corrected(self) -> dict[str, Any]:
        """The same with the smallest correction."""
        return changed(self.path, self.mended)


def changed(path: str, value: object, spec: Mapping[str, Any] = GOOD) -> dict[str, Any]:
    """The spec with the field at `path` (`stages.0.weight`) set to value, or taken away."""
    made = copy.deepcopy(dict(spec))
    *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    place: Any = made
    for part in way:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is ABSENT:
        place.pop(last, None)
    else:
        place[last] = copy.deepcopy(value)
    return made
