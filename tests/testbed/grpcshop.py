"""A shop whose clients make gRPC calls, by a GRPCRoute, and whose release is judged by how those end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from testbed.kubeapi import KubeObject
from testbed.load import Load
from testbed.shop import Shop

METHOD = "/api.Shop/Buy"

CALLS = {
    "name": "calls",
    "bad": 'grpc_server_handled_total{grpc_code=~"Unknown|Internal|Unavailable|DataLoss"}',
    "total": "grpc_server_handled_total",
    "window": "5s",
}


@dataclass
class GrpcShop(Shop):
    """Its Services are as any shop's: Contour speaks HTTP/2 to the backends of a GRPCRoute without being told to."""

    route_kind: ClassVar[str] = "GRPCRoute"

    def clients(self, host: str, *, rps: float, n: int | None = None, duration: float | None = None) -> Load:
        """Clients that make unary calls."""
        return self.cluster.start_load(host, path=METHOD, grpc=True, rps=rps, n=n, duration=duration)

    def manifest(self, version: str, **spec: object) -> KubeObject:
        """The SparkRelease: as any shop's, of the share of calls that end badly."""
        judged = {
            "metrics": [CALLS],
            "thresholds": [{"name": "errors", "metric": "calls", "max": 0.01, "minRequests": 1}],
            "triggers": [{"name": "burst", "all": [{"metric": "calls", "op": ">", "value": 0.05}], "for": "0s"}],
        }
        made = super().manifest(version, **(judged | spec))
        for route in made["spec"]["traffic"]["gatewayAPI"].values():
            route["kind"] = self.route_kind
        return made
