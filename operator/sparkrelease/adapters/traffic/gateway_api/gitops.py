"""Whether a GitOps tool manages a route, and whether the route tells that tool to leave weights alone. Pure."""

from __future__ import annotations

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.decide.facts import Problem
from sparkrelease.ports import gitops


def missing_ignore_rule(route: RouteObject, rule: str | None) -> Problem | None:
    """What to add to the GitOps tool's configuration; None where no tool manages the route or it was told already."""
    only = f' | select(.name=="{rule}") | ' if rule else ""
    marks = {**(route.labels or {}), **(route.annotations or {})}
    return gitops.missing_ignore_rule(
        str(route.key),
        route.key.kind,
        route.managers,
        marks,
        jq=f".spec.rules[]?{only}.backendRefs[]?.weight",
        pointer="/spec/rules",
    )
