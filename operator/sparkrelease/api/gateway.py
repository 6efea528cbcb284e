"""The Gateway API part of a release's traffic: a route in Git that is referenced, or a route the operator owns."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from sparkrelease.api import rules
from sparkrelease.api.base import SpecModel
from sparkrelease.api.scalars import Hostname, ObjectName

RouteKind = Literal["HTTPRoute", "GRPCRoute"]
GRPCName = Annotated[str, Field(min_length=1, max_length=1024)]


class RouteRef(SpecModel):
    """A route that exists already, usually in Git; only the two weights and our mirror in it are ever changed."""

    kind: RouteKind = Field(default="HTTPRoute", description="Kind of the route.")
    name: ObjectName = Field(description="Name of a route in the namespace of the release.")
    rule: ObjectName | None = Field(
        default=None,
        description="Name of the rule whose weights are managed; if absent, every rule that names both Services is.",
    )


class ParentRef(SpecModel):
    """What an owned route attaches to: a Gateway, or a Service for a mesh."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.PARENT_GROUP))

    group: Literal["gateway.networking.k8s.io", ""] = Field(
        default="gateway.networking.k8s.io", description="API group of the parent; empty for a Service."
    )
    kind: Literal["Gateway", "Service", "ListenerSet"] = Field(default="Gateway", description="Kind of the parent.")
    namespace: ObjectName | None = Field(
        default=None, description="Namespace of the parent; the release's own if absent."
    )
    name: ObjectName = Field(description="Name of the parent.")
    section_name: ObjectName | None = Field(default=None, description="Listener of the parent.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Port of the parent.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.PARENT_GROUP.require((self.kind == "Service") == (self.group == ""))
        return self


class PathMatch(SpecModel):
    """Which paths a rule takes."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.ABSOLUTE_PATH))

    type: Literal["PathPrefix", "Exact", "RegularExpression"] = Field(
        default="PathPrefix", description="How value is compared."
    )
    value: str = Field(default="/", min_length=1, max_length=1024, description="The path.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.ABSOLUTE_PATH.require(self.type == "RegularExpression" or self.value.startswith("/"))
        return self


class HeaderMatch(SpecModel):
    """A request header a rule asks for."""

    name: str = Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$", max_length=256, description="Name of the header.")
    type: Literal["Exact", "RegularExpression"] = Field(default="Exact", description="How value is compared.")
    value: str = Field(min_length=1, max_length=4096, description="Value of the header.")


class GRPCMethodMatch(SpecModel):
    """Which gRPC calls a rule takes (GRPCRoute only)."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.SERVICE_OR_METHOD))

    service: GRPCName | None = Field(default=None, description="gRPC service.")
    method: GRPCName | None = Field(default=None, description="gRPC method.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.SERVICE_OR_METHOD.require(self.service is not None or self.method is not None)
        return self


class RouteMatch(SpecModel):
    """Requests a rule takes: all given conditions at once."""

    path: PathMatch | None = Field(default=None, description="Path condition (HTTPRoute only).")
    method: GRPCMethodMatch | None = Field(default=None, description="Call condition (GRPCRoute only).")
    headers: Annotated[tuple[HeaderMatch, ...], AfterValidator(rules.unique_names)] = Field(
        default=(), max_length=16, description="Header conditions.", json_schema_extra=rules.MAP_BY_NAME
    )


class OwnedRule(SpecModel):
    """A rule of an owned route; its backends are the two Services."""

    name: ObjectName | None = Field(default=None, description="Name of the rule.")
    matches: tuple[RouteMatch, ...] = Field(default=(), max_length=16, description="Requests it takes; all if empty.")


class OwnedRoute(SpecModel):
    """A route that the operator creates and keeps; absent from Git, so there is no weight for a sync to revert."""

    model_config = ConfigDict(
        json_schema_extra=rules.ruled(rules.GRPC_WITHOUT_PATH, rules.HTTP_WITHOUT_METHOD, rules.RULE_NAMES_ONCE)
    )

    kind: RouteKind = Field(default="HTTPRoute", description="Kind of the route.")
    name: ObjectName | None = Field(
        default=None,
        description="Name of the route; the release's name if absent. An existing one is adopted.",
    )
    parent_refs: tuple[ParentRef, ...] = Field(
        min_length=1, max_length=8, description="Gateways or Services it attaches to."
    )
    hostnames: tuple[Hostname, ...] = Field(default=(), max_length=16, description="Host names it answers for.")
    rules: tuple[OwnedRule, ...] = Field(
        default=(OwnedRule(),), min_length=1, max_length=8, description="Rules, in order."
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        matches = [match for rule in self.rules for match in rule.matches]
        rules.GRPC_WITHOUT_PATH.require(self.kind != "GRPCRoute" or all(match.path is None for match in matches))
        rules.HTTP_WITHOUT_METHOD.require(self.kind != "HTTPRoute" or all(match.method is None for match in matches))
        named = [rule.name for rule in self.rules if rule.name is not None]
        rules.RULE_NAMES_ONCE.require(len(named) == len(set(named)))
        return self


class GatewayAPITraffic(SpecModel):
    """Exactly one of route and owned."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(rules.ROUTE_OR_OWNED))

    route: RouteRef | None = Field(default=None, description="A route that exists already (referenced mode).")
    owned: OwnedRoute | None = Field(default=None, description="A route the operator creates and keeps (owned mode).")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        rules.ROUTE_OR_OWNED.require((self.route is None) != (self.owned is None))
        return self
