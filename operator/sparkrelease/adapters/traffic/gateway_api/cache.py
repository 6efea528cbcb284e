"""What watches and own writes show of routes, Gateways and Services. Newest wins; nothing here does I/O."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

from sparkrelease.adapters.traffic.gateway_api.document import (
    Object,
    RouteKey,
    RouteObject,
    features_of,
    mapping,
    ports_of,
    read_route,
    strings,
    text,
)
from sparkrelease.adapters.traffic.gateway_api.status import ParentKey
from sparkrelease.adapters.traffic.gateway_api.vocabulary import GROUP, PLURALS

_TOMBSTONES = 1000
_Host = tuple[str, str]
"""Kind of a route, and a host it names; empty for a route that names none."""

_Key = TypeVar("_Key", str, tuple[str, str])


class RouteCache:
    """Routes by key, who controls which Gateway, and the ports of Services.

    An answer to an own write stands until the watch shows the same or a newer version. An object from a list
    (`event` None) replaces what a watch showed even when its resourceVersion is lower: a restored cluster counts anew.
    """

    def __init__(self, *, gateways: bool = True) -> None:
        self._gateways = gateways
        self._routes: dict[RouteKey, RouteObject] = {}
        self._of_host: defaultdict[_Host, set[RouteKey]] = defaultdict(set)
        self._own: set[RouteKey] = set()
        self._gone: OrderedDict[RouteKey, int] = OrderedDict()
        self._class_of_gateway: dict[tuple[str, str], str] = {}
        self._controller_of_class: dict[str, str] = {}
        self._features_of_class: dict[str, frozenset[str]] = {}
        self._ports: dict[tuple[str, str], tuple[int, ...]] = {}
        self.gateway_changes = 0
        """Grows with every change of who controls a Gateway."""

    def kinds(self) -> frozenset[str]:
        """The kinds it learns from."""
        always = frozenset({*PLURALS, "Service"})
        return always | (frozenset({"Gateway", "GatewayClass"}) if self._gateways else frozenset())

    def see(self, kind: str, event: str | None, body: Object) -> None:
        """Takes what a watch or a list shows."""
        deleted = event == "DELETED"
        if kind in PLURALS:
            self._see_route(read_route(kind, body), deleted=deleted, listed=event is None)
        elif kind == "Service":
            self._see_service(_place(body), None if deleted else ports_of(body))
        elif kind == "Gateway":
            key = _place(body)
            self._learn(self._class_of_gateway, key, text(mapping(body.get("spec")).get("gatewayClassName")), deleted)
        elif kind == "GatewayClass":
            name = text(mapping(body.get("metadata")).get("name"))
            self._learn(self._controller_of_class, name, text(mapping(body.get("spec")).get("controllerName")), deleted)
            self._see_features(name, frozenset() if deleted else features_of(body))

    def answered(self, route: RouteObject) -> None:
        """Takes what the API server answered to a read or a write, unless something newer is known."""
        known = self._routes.get(route.key)
        if known is not None and known.order > route.order and known.uid == route.uid:
            return
        if 0 <= route.order < self._gone.get(route.key, -1):
            return
        self._put(route)
        self._own.add(route.key)

    def set_back(self, route: RouteObject) -> None:
        """Takes a route that is older than the one known: the API server has none newer any more."""
        self._put(route)
        self._gone.pop(route.key, None)

    def forget(self, key: RouteKey) -> None:
        """Drops a route the API server says is not there; what a watch still tells of its past does not revive it."""
        known = self._routes.get(key)
        if known is not None:
            self._unindex(known)
            del self._routes[key]
        self._own.discard(key)
        if known is not None:
            self._bury(key, known.order + 1)

    def get(self, key: RouteKey) -> RouteObject | None:
        """The route as last known."""
        return self._routes.get(key)

    def routes_of_hosts(self, kind: str, hostnames: Iterable[str]) -> Iterator[RouteObject]:
        """The known routes of a kind that name one of these hosts; those that name none when none is given."""
        keys = {key for host in tuple(hostnames) or ("",) for key in self._of_host.get((kind, host), ())}
        return (self._routes[key] for key in sorted(keys, key=str))

    def ports(self, namespace: str, service: str) -> tuple[int, ...]:
        """Ports of a Service as last seen; none of one that no watch has shown."""
        return self._ports.get((namespace, service), ())

    def controller_of(self, parent: ParentKey) -> str | None:
        """Name of the controller of a Gateway, None where it is not known."""
        if parent.group != GROUP or parent.kind != "Gateway":
            return None
        gateway_class = self._class_of_gateway.get((parent.namespace, parent.name))
        return self._controller_of_class.get(gateway_class) if gateway_class is not None else None

    def features_of(self, parent: ParentKey) -> frozenset[str] | None:
        """What a Gateway's class says it supports; None where it does not say, or is not known."""
        if parent.group != GROUP or parent.kind != "Gateway":
            return None
        return self._features_of_class.get(self._class_of_gateway.get((parent.namespace, parent.name), ""))

    def _see_features(self, name: str, features: frozenset[str]) -> None:
        if features:
            self._features_of_class[name] = features
        else:
            self._features_of_class.pop(name, None)

    def _put(self, route: RouteObject) -> None:
        known = self._routes.get(route.key)
        if known is None or hosts_of(known) != hosts_of(route):
            if known is not None:
                self._unindex(known)
            for host in hosts_of(route):
                self._of_host[route.key.kind, host].add(route.key)
        self._routes[route.key] = route

    def _unindex(self, route: RouteObject) -> None:
        for host in hosts_of(route):
            named = self._of_host[route.key.kind, host]
            named.discard(route.key)
            if not named:
                del self._of_host[route.key.kind, host]

    def _see_service(self, key: tuple[str, str], ports: tuple[int, ...] | None) -> None:
        if ports is None:
            self._ports.pop(key, None)
        else:
            self._ports[key] = ports

    def _see_route(self, seen: RouteObject, *, deleted: bool, listed: bool) -> None:
        known = self._routes.get(seen.key)
        if known is not None and seen.order < known.order and (seen.key in self._own or not listed):
            return
        if deleted:
            self.forget(seen.key)
            self._bury(seen.key, seen.order)
            return
        if not listed and seen.order < self._gone.get(seen.key, -1):
            return
        self._put(seen)
        self._own.discard(seen.key)

    def _bury(self, key: RouteKey, order: int) -> None:
        """Remembers up to which version a deleted route is dead; the oldest graves are forgotten."""
        self._gone[key] = max(order, self._gone.pop(key, -1))
        if len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)

    def _learn(self, table: dict[_Key, str], key: _Key, value: str, deleted: bool) -> None:
        before = table.get(key)
        if deleted or not value:
            table.pop(key, None)
        else:
            table[key] = value
        self.gateway_changes += before != table.get(key)


def hosts_of(route: RouteObject) -> tuple[str, ...]:
    """The hosts a route names, each once; an empty one where it names none."""
    return tuple(dict.fromkeys(strings(route.spec.get("hostnames")))) or ("",)


def _place(body: Object) -> tuple[str, str]:
    metadata = mapping(body.get("metadata"))
    return text(metadata.get("namespace")), text(metadata.get("name"))
