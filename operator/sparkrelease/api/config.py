"""The operator's own configuration: what only an administrator may say."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from sparkrelease.api.base import SpecModel
from sparkrelease.api.notifications import NotificationTarget
from sparkrelease.api.scalars import FilePath, Name, ObjectName, Query, ShortSpan

_PLACE = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT = 65535


def _check_host(entry: str) -> str:
    """The entry; ValueError for one that no URL could match: no such port, or an address that is none."""
    place = _PLACE.fullmatch(entry)
    if place is None and not _is_address(entry):
        raise ValueError(f"{entry} is neither a name nor an address; an IPv6 address with a port stands in brackets")
    if place is not None and place["host"].startswith("[") and not _is_address(place["host"][1:-1]):
        raise ValueError(f"{place['host']} is not an address")
    if place is not None and place["port"] and not 1 <= int(place["port"]) <= _HIGHEST_PORT:
        raise ValueError(f"{entry}: a port is a number from 1 to {_HIGHEST_PORT}")
    return entry


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


Host = Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9.:\[\]-]+$", max_length=260), AfterValidator(_check_host)]
"""A host that may be asked: a name, `*.name` or an address, with or without a port."""


class RoleLabels(SpecModel):
    """Labels of a series that tell which release and which side it belongs to."""

    namespace: str = Field(default="namespace", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", description="Holds the namespace.")
    service: str = Field(
        default="service", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", description="Holds the Service's name."
    )


class ShareCounter(SpecModel):
    """A counter of requests per Service, from which the measured share is taken."""

    counter: Query = Field(description="Selector of the counter.")
    labels: RoleLabels = Field(default=RoleLabels(), description="Labels of this counter.")
    judged: bool = Field(
        default=False, description="True for a counter of the gateway itself; an application's counter is only shown."
    )
    window: ShortSpan = Field(default=timedelta(seconds=30), description="Time over which the share is taken.")


class OpenConnections(SpecModel):
    """A gauge of what is open per Service, which tells after a rollback what canary still holds."""

    gauge: Query = Field(description="Selector of the gauge.")
    labels: RoleLabels = Field(default=RoleLabels(), description="Labels of this gauge.")


class MetricsServer(SpecModel):
    """One Prometheus-compatible server."""

    url: str = Field(pattern=r"^https?://[^\s]+$", max_length=2048, description="Address of the server.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers to send, for example a tenant's.")
    ca_file: FilePath | None = Field(default=None, description="Certificate authority of the server.")
    token_file: FilePath | None = Field(
        default=None, description="File with a bearer token; read again for every query."
    )
    timeout: ShortSpan = Field(default=timedelta(seconds=5), description="Longest wait for an answer.")
    max_bytes: int = Field(default=16_000_000, ge=1000, description="Largest answer read.")
    max_age: ShortSpan = Field(
        default=timedelta(minutes=3), description="A newest sample older than this is stale: three scrapes."
    )
    lag: ShortSpan = Field(
        default=timedelta(seconds=1),
        description="Time after which samples of an instant have been stored: as long as a scrape takes. Exact counts "
        "are asked for no earlier, so that the same instant answers the same however often it is asked.",
    )
    labels: RoleLabels = Field(default=RoleLabels(), description="Labels of series on this server.")
    share: ShareCounter | None = Field(default=None, description="Counter for the measured share.")
    alerts: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] | None = Field(
        default=None,
        description="Alerting rules that must be loaded, by name, before a run that this server judges: its burn-rate "
        "alerts. Where nothing is said every run is warned that nobody looked; an empty list says that there are none.",
    )
    alertmanager: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        max_length=2048,
        description="Address of the Alertmanager in which these alerts must not be silenced; without it every run is "
        "warned that nobody looked.",
    )
    targets: bool = Field(
        default=True,
        description="Whether every pod behind both Services must be a target whose scrapes succeed before a run that "
        "this server judges. Looked at where `up` names one of the Services by these labels; a pod that began less "
        "than maxAge ago is not expected yet.",
    )
    connections: OpenConnections | None = Field(
        default=None, description="Gauge of the gateway's open requests and streams, shown after a rollback."
    )


class PreflightConfig(SpecModel):
    """What items of spec.preflight may reach beyond the release's own namespace, and whose signatures count."""

    hosts: Annotated[tuple[Host, ...], Field(max_length=256)] = Field(
        default=(),
        description="Hosts an http item may GET besides Services of its own namespace: a name, `*.name`, an address, "
        "each with `:port` for another port than 80 and 443.",
    )
    ca_file: FilePath | None = Field(default=None, description="Certificate authority of what is asked over https.")
    max_bytes: int = Field(default=262_144, ge=1000, le=16_000_000, description="Largest body read.")
    signers: dict[Name, FilePath] = Field(
        default_factory=dict, description="Files with public keys (PEM), by the names artifacts call them."
    )


class LeaseConfig(SpecModel):
    """The Lease that decides who writes."""

    namespace: ObjectName = Field(default="sparkrelease-system", description="Namespace of the Lease.")
    name: ObjectName = Field(default="sparkrelease-operator", description="Name of the Lease.")
    duration: ShortSpan = Field(
        default=timedelta(seconds=15), description="A Lease not renewed this long may be taken."
    )
    renew: ShortSpan = Field(default=timedelta(seconds=2), description="Pause between renewals.")
    deadline: ShortSpan = Field(
        default=timedelta(seconds=10), description="A holder that could not renew this long stops at once."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.renew < self.deadline < self.duration:
            raise ValueError("renew must be shorter than deadline, and deadline shorter than duration: two would write")
        return self


class OperatorConfig(SpecModel):
    """Content of the operator's configuration file."""

    tick: Annotated[ShortSpan, Field(ge=timedelta(milliseconds=250))] = Field(
        default=timedelta(seconds=5), description="Longest pause between two looks at the metrics of active releases."
    )
    namespaces: tuple[ObjectName, ...] = Field(default=(), description="Namespaces to serve; all if empty.")
    servers: dict[Name, MetricsServer] = Field(default_factory=dict, description="Metrics servers releases may name.")
    preflight: PreflightConfig = Field(
        default=PreflightConfig(), description="What items of spec.preflight may reach, and whose signatures count."
    )
    notifications: dict[Name, NotificationTarget] = Field(
        default_factory=dict, description="Targets of notifications that releases may name."
    )
    cluster_name: str | None = Field(
        default=None, min_length=1, max_length=63, description="What this cluster is called in notifications."
    )
    lease: LeaseConfig = Field(default=LeaseConfig(), description="The Lease that decides who writes.")
    http_port: int = Field(
        default=8080, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics; 0 for none."
    )
    concurrent_writes: int = Field(
        default=12, ge=1, le=256, description="Writes under way at once, rollbacks not counted."
    )
    api_timeout: ShortSpan = Field(default=timedelta(seconds=10), description="Longest wait for the API server.")
    rollback_timeout: ShortSpan = Field(default=timedelta(seconds=3), description="The same for one try of a rollback.")
    heartbeat: ShortSpan = Field(
        default=timedelta(minutes=1), description="Longest time an active status goes unwritten."
    )
    relist: ShortSpan = Field(default=timedelta(minutes=5), description="Pause between full lists that find ghosts.")
