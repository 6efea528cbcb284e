"""One GET, bounded in time and size: no redirect is followed, no proxy of the environment is asked, nothing is kept."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from sparkrelease import __version__
from sparkrelease.adapters.preflight.hosts import Place, is_forbidden, place_of
from sparkrelease.adapters.preflight.kube import get, items, listed, part, text
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import HttpAnswer, Unanswered
from sparkrelease.ports.api_server import ApiServer

_CHUNK = 65_536
_HEADERS = {"User-Agent": f"sparkrelease/{__version__}", "Accept-Encoding": "identity"}


class _Guarded(ThreadedResolver):
    """Refuses a name that leads to this machine or to its link: whoever owns the name must not choose that."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of the name; OSError for one that leads where it must not."""
        found = await super().resolve(host, port, family)
        if any(is_forbidden(one["host"]) for one in found):
            raise OSError(f"{host} leads to a loopback or link-local address")
        return found


class Gets:
    """GETs Services of a namespace through one of their ready endpoints, and hosts the administrator allows."""

    def __init__(self, api: ApiServer, config: PreflightConfig) -> None:
        self._api = api
        self._config = config
        self._tls: ssl.SSLContext | None = None

    async def get(self, namespace: str, url: str) -> HttpAnswer | Unanswered:
        """The answer, whatever its status; Unanswered when it may not be asked, or did not answer."""
        place = place_of(url, namespace, self._config.hosts)
        if isinstance(place, str):
            return Unanswered(Verdict.ERROR, place)
        if place.service is None:
            return await self._from_host(url, place)
        found = await self._endpoint(namespace, place)
        if isinstance(found, Unanswered):
            return found
        address, port = found
        host = f"[{address}]" if ":" in address else address
        return await self._fetch(url, f"{place.scheme}://{host}:{port}{place.path}", place)

    async def get_allowed(self, url: str, accept: str) -> HttpAnswer | Unanswered:
        """The same of a host the administrator allows, never of a Service; `accept` is the header of that name."""
        place = place_of(url, "", self._config.hosts)
        if isinstance(place, str):
            return Unanswered(Verdict.ERROR, place)
        if place.service is not None:
            return Unanswered(Verdict.ERROR, f"host {place.authority} is not allowed here; name it in full")
        return await self._from_host(url, place, accept)

    async def _from_host(self, url: str, place: Place, accept: str = "*/*") -> HttpAnswer | Unanswered:
        return await self._fetch(url, f"{place.scheme}://{place.authority}{place.path}", place, accept)

    async def _endpoint(self, namespace: str, place: Place) -> tuple[str, int] | Unanswered:
        """Address and port of a ready endpoint. The Service's own name is never resolved: it may be anybody's."""
        what = f"Service {place.service}"
        service = await get(self._api, "services", namespace, place.service or "", what)
        if isinstance(service, Unanswered):
            return service
        if part(service, "spec").get("type") == "ExternalName":
            return Unanswered(Verdict.ERROR, f"{what} is another name of a host elsewhere; name the host itself")
        names = [text(port, "name") for port in items(service, "spec", "ports") if port.get("port") == place.port]
        if not names:
            return Unanswered(Verdict.ERROR, f"{what} has no port {place.port}")
        labels = f"kubernetes.io/service-name={place.service}"
        slices = await listed(self._api, "endpointslices", namespace, labels, f"endpoints of {what}")
        if isinstance(slices, Unanswered):
            return slices
        found = sorted(one for piece in slices for one in _ready(piece, names[0]))
        if not found:
            return Unanswered(Verdict.NO_DATA, f"{what} has no ready endpoint")
        return found[0]

    async def _fetch(self, url: str, target: str, place: Place, accept: str = "*/*") -> HttpAnswer | Unanswered:
        connector = aiohttp.TCPConnector(resolver=_Guarded(), force_close=True)
        begin = time.monotonic()
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
                ) as session,
                session.get(
                    target,
                    headers={**_HEADERS, "Accept": accept, "Host": place.authority},
                    allow_redirects=False,
                    ssl=self._context(),
                    server_hostname=place.host if place.scheme == "https" else None,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                body = await self._body(response)
                if body is None:
                    return Unanswered(Verdict.ERROR, f"the body has more than {self._config.max_bytes} bytes")
                headers = tuple((name, value) for name, value in response.headers.items())
                return HttpAnswer(url, response.status, headers, body, time.monotonic() - begin)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return Unanswered(Verdict.NO_DATA, f"no answer: {_why(fault)}", {"url": url})

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._config.max_bytes:
                return None
        return bytes(body)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._config.ca_file)
        return self._tls


def _ready(piece: object, name: str) -> Sequence[tuple[str, int]]:
    """Ready endpoints of a slice and the number of the port of that name."""
    ports = [port.get("port") for port in items(piece, "ports") if text(port, "name") == name]
    numbers = [port for port in ports if isinstance(port, int)]
    if not numbers:
        return ()
    found = []
    for endpoint in items(piece, "endpoints"):
        addresses = endpoint.get("addresses")
        if part(endpoint, "conditions").get("ready") is False or not isinstance(addresses, list):
            continue
        found += [(str(address), numbers[0]) for address in addresses[:1] if not is_forbidden(str(address))]
    return found


def _why(fault: Exception) -> str:
    cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
    line = " ".join(str(cause).split())
    return line[:200] or type(fault).__name__
