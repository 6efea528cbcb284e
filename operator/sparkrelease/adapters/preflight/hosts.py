"""Which hosts an http item may reach: Services of the release's own namespace, and what the administrator allows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL points; `service` is set for a Service of the release's own namespace."""

    scheme: str
    host: str
    port: int
    path: str
    service: str | None = None

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def place_of(url: str, namespace: str, allowed: Sequence[str]) -> Place | str:
    """Where the URL points, or why it may not be asked."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as fault:
        return f"not a URL: {fault}"
    if split.scheme not in DEFAULT_PORTS or not split.hostname:
        return "not an http or https URL"
    if split.username is not None or split.password is not None:
        return "a URL must not hold a name or a password"
    host = split.hostname.rstrip(".").lower()
    port = DEFAULT_PORTS[split.scheme] if port is None else port
    place = Place(split.scheme, host, port, _path(split))
    service = _own_service(host, namespace)
    if service is not None:
        return Place(split.scheme, host, port, place.path, service)
    if any(_allows(entry, place) for entry in allowed):
        return place
    return (
        f"host {place.authority} is neither a Service of namespace {namespace} nor allowed by the administrator "
        "(preflight.hosts)"
    )


def _path(split: SplitResult) -> str:
    return (split.path or "/") + (f"?{split.query}" if split.query else "")


def _own_service(host: str, namespace: str) -> str | None:
    """The Service a host names: bare, with the namespace, or in full; the cluster's own domain is not looked at."""
    name, _, rest = host.partition(".")
    own = rest in {"", namespace, f"{namespace}.svc"} or rest.startswith(f"{namespace}.svc.")
    return name if own and not _is_address(host) else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _allows(entry: str, place: Place) -> bool:
    host, port = _entry(entry.lower())
    if port is None and place.port not in DEFAULT_PORTS.values():
        return False
    if port is not None and place.port != port:
        return False
    if host.startswith("*."):
        return place.host.endswith(host[1:]) and not _is_address(place.host)
    return place.host == host


def _entry(entry: str) -> tuple[str, int | None]:
    """Host and port of an entry of the allow-list; an IPv6 address with a port stands in brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, int(rest[1:]) if rest[1:].isdecimal() else None
    host, colon, port = entry.rpartition(":")
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return entry, None


def is_forbidden(address: str) -> bool:
    """Whether a name must not lead to this address: loopback, link-local (cloud metadata), no host's, everybody's."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
