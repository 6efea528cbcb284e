"""Which route a release means."""

from __future__ import annotations

from sparkrelease.api.spec import Traffic
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.traffic import Target


def target_of(key: ObjectKey, uid: str, traffic: Traffic) -> Target:
    """The route of a release; an owned one without a name bears the release's."""
    kind, name, owned = "HTTPRoute", key.name, False
    gateway = traffic.gateway_api
    if gateway is not None and gateway.route is not None:
        kind, name = gateway.route.kind, gateway.route.name
    elif gateway is not None and gateway.owned is not None:
        kind, name, owned = gateway.owned.kind, gateway.owned.name or key.name, True
    return Target(key.namespace, key.name, uid, traffic, kind, name, owned)
