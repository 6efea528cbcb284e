"""Whether a GitOps tool manages a route, and whether the route tells that tool to leave weights alone. Pure."""

from __future__ import annotations

from sparkrelease.adapters.traffic.gateway_api.document import RouteObject
from sparkrelease.decide.facts import Problem
from sparkrelease.ports import gitops


def missing_ignore_rule(route: RouteObject, rule: str | None, *, mirrors: bool = False) -> Problem | None:
    """What to add to the GitOps tool's configuration; None where no tool manages the route or it was told already.

    A release that `mirrors` also changes the filters of its rules: they are to be ignored as a whole, for a list that
    is empty without ours is none in Git.
    """
    only = f' | select(.name=="{rule}") | ' if rule else ""
    marks = {**(route.labels or {}), **(route.annotations or {})}
    fields = ("backendRefs[]?.weight", "filters") if mirrors else ("backendRefs[]?.weight",)
    return gitops.missing_ignore_rule(
        str(route.key),
        route.key.kind,
        route.managers,
        marks,
        jq=[f".spec.rules[]?{only}.{field}" for field in fields],
        pointer="/spec/rules",
    )
