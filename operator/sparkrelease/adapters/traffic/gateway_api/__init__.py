"""Traffic by Gateway API routes (HTTPRoute, GRPCRoute): `provider.GatewayAPIProvider`.

Pure parts: weights, mirrors, rules, marks, patch, owned, status, conflicts, gitops, mirroring, writes, observe.
I/O: door. State: cache.
"""

from sparkrelease.adapters.traffic.gateway_api.provider import GatewayAPIProvider

__all__ = ["GatewayAPIProvider"]
