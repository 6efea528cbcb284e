"""Which route, or which flag, a release means."""

from __future__ import annotations

from sparkrelease.api.spec import Traffic
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.traffic import Target

FLAG = "ConfigMap"
"""Kind that holds a feature flag."""


def target_of(key: ObjectKey, uid: str, traffic: Traffic) -> Target:
    """The route of a release, or the ConfigMap with its flag; an owned one without a name bears the release's."""
    kind, name, owned = "HTTPRoute", key.name, False
    gateway, flag = traffic.gateway_api, traffic.feature_flag
    if flag is not None:
        kind, name = FLAG, flag.config_map
    elif gateway is not None and gateway.route is not None:
        kind, name = gateway.route.kind, gateway.route.name
    elif gateway is not None and gateway.owned is not None:
        kind, name, owned = gateway.owned.kind, gateway.owned.name or key.name, True
    return Target(key.namespace, key.name, uid, traffic, kind, name, owned)
