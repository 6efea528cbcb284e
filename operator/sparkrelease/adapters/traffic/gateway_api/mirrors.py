"""Copies of requests for canary: a RequestMirror filter on a rule, what one says, and how ours is put there. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sparkrelease.adapters.traffic.gateway_api.document import Object, mapping, number, objects, text
from sparkrelease.adapters.traffic.gateway_api.weights import THOUSANDTHS
from sparkrelease.api.spec import ServiceRef

_TYPE = "RequestMirror"
_ALL = 100.0


def mirror_filter(canary: ServiceRef, percent: float) -> dict[str, object]:
    """The filter that copies so many percent of a rule's requests to canary, with every default written out.

    All of them are asked for by saying nothing, which every version of the API knows.
    """
    backend = {"group": "", "kind": "Service", "name": canary.service, "port": canary.port}
    mirror: dict[str, object] = {"backendRef": backend}
    thousandths = round(percent * 1000)
    if thousandths % 1000:
        mirror["fraction"] = {"numerator": thousandths, "denominator": THOUSANDTHS}
    elif percent < _ALL:
        mirror["percent"] = thousandths // 1000
    return {"type": _TYPE, "requestMirror": mirror}


def mirrors_to(namespace: str, rule: Object, service: str) -> tuple[int, ...]:
    """Places of the rule's filters that mirror requests to this Service of the route's namespace."""
    return tuple(i for i, one in enumerate(objects(rule.get("filters"))) if _is_to(namespace, one, service))


def percent_mirrored(rule: Object, places: Sequence[int]) -> float | None:
    """Percent of the rule's requests that these filters copy; None where it cannot be said."""
    filters = objects(rule.get("filters"))
    percents = [_percent(mapping(filters[place].get("requestMirror"))) for place in places]
    if any(percent is None for percent in percents):
        return None
    return round(sum(percent for percent in percents if percent is not None), 3)


def without_mirror(namespace: str, rule: Object, service: str) -> Object:
    """The rule without the filters that mirror to this Service."""
    places = mirrors_to(namespace, rule, service)
    if not places:
        return rule
    kept = [dict(one) for i, one in enumerate(objects(rule.get("filters"))) if i not in places]
    return {**rule, "filters": kept}


def _is_to(namespace: str, one: Object, service: str) -> bool:
    if one.get("type") != _TYPE:
        return False
    backend = mapping(mapping(one.get("requestMirror")).get("backendRef"))
    local = text(backend.get("namespace"), namespace) == namespace
    core = not text(backend.get("group")) and text(backend.get("kind"), "Service") == "Service"
    return local and core and backend.get("name") == service


def _percent(mirror: Object) -> float | None:
    if mirror.get("percent") is not None:
        return float(number(mirror.get("percent"), -1)) if number(mirror.get("percent"), -1) >= 0 else None
    if mirror.get("fraction") is None:
        return _ALL
    fraction = mapping(mirror.get("fraction"))
    whole = number(fraction.get("denominator"), 100)
    part = number(fraction.get("numerator"), -1)
    return round(100 * part / whole, 3) if whole > 0 and part >= 0 else None
